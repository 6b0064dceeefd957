"""Opens the HTML report of a 5,000-image run in headless Chromium and checks what it promises.

    python python/checks/report_in_browser.py GEMSCOPE [--chromium PATH] [--images 5000] [--screenshots DIR]

GEMSCOPE is the built command. The page must load in under 2 s, answer every filter in under 200 ms, be usable with the keyboard alone,
ask the network for nothing, and run nothing that a name, label or answer holds. Needs pillow and playwright, and a Chromium on the PATH.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import synthetic_run
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

LOAD_SECONDS = 2.0
FILTER_MILLISECONDS = 200.0
PAGE = 60

# Sets one filter the way a reader does, and gives the milliseconds until the changed page has been drawn: the second frame after it.
TIMED_FILTER = """async ([id, value]) => {
  const control = document.getElementById(id);
  await new Promise((done) => requestAnimationFrame(done));
  const begun = performance.now();
  control.value = value;
  control.dispatchEvent(new Event(control.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begun;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(folder)
        synthetic_run.write(out, arguments.images)
        command = [arguments.gemscope, "export", out / "run", "--to", "html,jsonl", "--min-score", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        report = out / "run" / "report" / "index.html"
        check_page(browser.new_context(viewport={"width": 1440, "height": 1000}), report, out / "run")
        if arguments.screenshots:
            take_screenshots(browser, report, arguments.screenshots, {"phone": (390, 844)})
        browser.close()


def check_page(context: BrowserContext, report: Path, run: Path) -> None:
    """All checks, on one page."""
    page, troubles = watched_page(context)
    page.goto(report.as_uri())
    page.wait_for_selector("#grid .card")
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    print(f"loaded in {loaded:.2f} s")
    assert loaded < LOAD_SECONDS, loaded

    # Split at line feeds alone: labels hold other characters that end a line.
    lines = (run / "detections.jsonl").read_text(encoding="utf-8").split("\n")
    records = [json.loads(line) for line in lines if line]
    check_filters(page, records)
    check_hostile_text(page)
    check_keyboard(page)
    page.wait_for_timeout(300)  # whatever a name might have started has started
    assert not troubles, troubles
    print("no dialog, no error, no refused script, nothing asked of the network")


def watched_page(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and the list of what should never happen on it."""
    troubles: list[str] = []
    page = context.new_page()
    page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("console", lambda message: troubles.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("request", lambda request: troubles.append(f"request: {request.url}") if not request.url.startswith("file:") else None)
    page.on("requestfailed", lambda request: troubles.append(f"not found: {request.url}") if "/images/" not in request.url else None)
    return page, troubles


def check_filters(page: Page, records: list[dict]) -> None:
    """Every filter shows the images that the export lists, in time."""
    labels = page.evaluate("data.labels.map((label) => label.name)")
    red = labels.index("red ellipse")

    def has(record: dict, label: str | None = None, score: float = 0.0) -> bool:
        return any((label is None or box["label"] == label) and (score == 0 or (box["score"] or 0) >= score) for box in record["detections"])

    cases = [
        ("search", "frame-012", lambda record: "frame-012" in record["image"]),
        ("search", "", lambda record: True),
        ("label", str(red), lambda record: has(record, "red ellipse")),
        ("score", "0.9", lambda record: has(record, "red ellipse", 0.9)),
        ("status", "truncated", lambda record: record["status"] == "truncated" and has(record, "red ellipse", 0.9)),
        ("label", "-1", lambda record: record["status"] == "truncated" and has(record, None, 0.9)),
        ("score", "0", lambda record: record["status"] == "truncated"),
        ("status", "", lambda record: True),
    ]
    slowest = 0.0
    for control, value, fits in cases:
        slowest = max(slowest, page.evaluate(TIMED_FILTER, [control, value]))
        expected = sum(map(fits, records))
        shown = page.evaluate("shown.length")
        # The page knows scores to four digits.
        assert abs(shown - expected) <= (1 if control == "score" else 0), (control, value, shown, expected)
    for order in ("most", "fewest", "lowest", "highest", "status", "name"):
        slowest = max(slowest, page.evaluate(TIMED_FILTER, ["sort", order]))
        if order == "most":
            assert page.evaluate("shown[0].boxes.length") == max(len(record["detections"]) for record in records)
    print(f"slowest of {len(cases) + 6} filters and orders: {slowest:.0f} ms")
    assert slowest < FILTER_MILLISECONDS, slowest
    assert page.locator("#grid .card").count() == PAGE, "one page of cards, however many images"


def check_hostile_text(page: Page) -> None:
    """Names and labels with markup stand on the page as text; every thumbnail and large picture of theirs is found."""
    page.evaluate(TIMED_FILTER, ["search", "<script>"])
    name = '"><script>alert(1)</script>.jpg'
    assert page.locator("#grid .name").first.get_attribute("title") == name
    assert page.locator("#grid img").first.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
    page.locator("#grid .card button").first.click()
    assert page.locator("#view-name").text_content() == name
    page.wait_for_function("document.getElementById('picture').src.includes('/images/')")
    page.keyboard.press("Escape")
    page.evaluate(TIMED_FILTER, ["search", ""])
    labels = page.evaluate("data.labels.map((label) => label.name)")
    for label in synthetic_run.HOSTILE_LABELS:
        page.evaluate(TIMED_FILTER, ["label", str(labels.index(label))])
        page.locator("#grid .card button").first.click()
        assert label in page.locator("#view-boxes bdi").all_text_contents(), label
        page.keyboard.press("Escape")
    assert page.locator("script").count() == 2 and page.locator("main script, dialog script, header script").count() == 0
    page.locator("#failures summary").click()
    assert "<script>" in page.locator("#failure-list").inner_text()
    page.locator("#failures summary").click()
    page.locator("#reset").click()


def check_keyboard(page: Page) -> None:
    """Browsing without a mouse."""
    focused = "document.activeElement.closest('.card')?.querySelector('.name').title"
    names = page.evaluate("shown.map((entry) => data.images[entry.index].name)")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    assert page.evaluate(focused) == names[0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(focused) == names[1]
    columns = page.evaluate("columns()")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names[1 + columns]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator("#view-name").text_content() == names[1]
    for _ in range(PAGE):
        page.keyboard.press("ArrowRight")
    assert page.locator("#view-name").text_content() == names[1 + PAGE]
    page.keyboard.press("b")
    assert not page.locator("#marks").is_visible()
    page.keyboard.press("b")
    page.keyboard.press("Escape")
    assert not page.locator("#view").is_visible()
    assert page.evaluate(focused) == names[1 + PAGE], "the grid follows the large view, over pages"
    page.keyboard.press("[")
    assert page.locator(".page-number").first.text_content().startswith("1–60")
    page.keyboard.press("/")
    page.keyboard.type("frame-00012")
    page.wait_for_function("shown.length === 1")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.locator("#reset").click()
    print("keyboard: next, previous, rows, large view, pages, boxes, search, help")


def take_screenshots(browser: Browser, page_file: Path, folder: Path, narrow: dict[str, tuple[int, int]]) -> None:
    """Pictures to look at: light, dark, the NARROW screen of that name and size, and the large view of each."""
    folder.mkdir(parents=True, exist_ok=True)
    wide = (1440, 1000)
    for name, (width, height) in {"light": wide, "dark": wide, **narrow}.items():
        scheme = "dark" if name == "dark" else "light"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png")
        page.locator("#grid .card button").nth(3).click()
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"{name}-view.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
        context.close()


if __name__ == "__main__":
    main()
