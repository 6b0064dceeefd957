"""Opens the contact sheet of a made-up critique of 5,000 frames in headless Chromium and checks what it promises.

    python python/checks/sheet_in_browser.py GEMSCOPE [--chromium PATH] [--frames 5000] [--screenshots DIR]

GEMSCOPE is the built command. The page must load in under 2 s, answer every filter and order in under 200 ms, show the figures of the run's statistics, put the worst frames
first, give whole names and seeds away, be usable with the keyboard alone, ask the network for nothing, and run nothing that a name, a prompt, a model or a rule holds. Needs
pillow and playwright, and a Chromium on the PATH.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import synthetic_run
from playwright.sync_api import BrowserContext, Page, sync_playwright
from report_in_browser import FILTER_MILLISECONDS, LOAD_SECONDS, PAGE, TIMED_FILTER, take_screenshots, watched_page

RUBRIC = Path(__file__).resolve().parents[2] / "pipelines" / "sdxl-critique.toml"
NOT_APPLICABLE = "none"
DEFECTS = ("malformed hand", "malformed face", "extra limb", "garbled text")
HOSTILE = ('"><script>alert(1)</script>', "</script><img src=x onerror=alert(1)>", "{{script}}", "\u2028\u202eprompt")
# Past what a number of JavaScript holds.
LONG_SEED = 18_446_744_073_709_551_557
MODELS = ("sdxl-base", "sdxl-turbo", HOSTILE[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(folder)
        rate(arguments.gemscope, out, arguments.frames)
        command = [arguments.gemscope, "critique", "--report-only", "--min-score", "0", "--rubric", RUBRIC, "--export", "sheet,jsonl,statistics", "--group-by", "seed", "--out", out / "run"]
        # Broken pictures among them are its business, not ours.
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
        assert done.returncode in (0, 2), done.returncode
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        sheet = out / "run" / "sheet" / "index.html"
        check_page(browser.new_context(viewport={"width": 1440, "height": 1000}), sheet, out / "run")
        check_saved_in_run(browser.new_context(viewport={"width": 1440, "height": 1000}), arguments.gemscope, out / "run", arguments.screenshots)
        if arguments.screenshots:
            take_screenshots(browser, sheet, arguments.screenshots, {"narrow": (900, 1000)})
        browser.close()


def asked(gemscope: Path, out: Path) -> dict:
    """The settings of a critique by the rubric: the demo model rates one frame."""
    command = [gemscope, "critique", "--model", "demo", "--rubric", RUBRIC, "--export", "none", "--out", out / "asked"]
    frame = next((out / "images").rglob("*.jpg"))
    subprocess.run([*command, frame], check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "asked" / "run.json").read_text())["settings"]["critique"]


def rate(gemscope: Path, out: Path, count: int) -> None:
    """A run of detections, made a critique: ratings, defects, and what each frame was made with. The same every time."""
    synthetic_run.write(out, count)
    critique = asked(gemscope, out)
    # As the rubric asks: the words of each axis, the one of what is not applicable among them.
    rated = {axis["name"]: axis["words"] for axis in critique["axes"] if axis.get("words") and "{clause}" not in axis["text"]}
    draw = random.Random(6)
    journal = out / "run" / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    with journal.open("w", encoding="utf-8") as file:
        for index, record in enumerate(records):
            if record["status"] != "failed":
                record["status"] = "ok" if record["detections"] else "empty"
            good = draw.betavariate(4, 1.5)
            record["detections"] = [box | {"label": draw.choice(DEFECTS)} for box in record["detections"][: draw.choice((0, 0, 0, 1, 3))]]
            clauses = ["a red barn", "snow", HOSTILE[index % len(HOSTILE)]]
            ratings = [rating(axis, words, good, draw) for axis, words in rated.items()] + [rating("adherence", ["yes", "no"], 1 - good, draw) | {"clause": clause} for clause in clauses]
            record["ratings"] = ratings if record["status"] != "failed" else []
            record["measures"] = {
                "laplacian_variance": round(draw.uniform(1, 900), 2), "noise": round(draw.uniform(0.5, 20), 2), "clipped_shadows": 0.01, "clipped_highlights": 0.02,
                "luma_mean": 120.0, "luma_deviation": round(draw.uniform(10, 70), 2), "luma_entropy": 7.1,
            }  # fmt: skip
            record["generation"] = {
                "prompt": f"{', '.join(clauses)}, frame {index}", "negative_prompt": "blurry", "model": MODELS[index % len(MODELS)], "seed": LONG_SEED if index // 4 == 9 else index // 4,
                "sampler": ("Euler a", "DPM++ 2M")[index % 2], "steps": 20, "tool": "a1111",
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
    manifest_path = out / "run" / "run.json"
    manifest = json.loads(manifest_path.read_text())
    manifest["settings"] |= {"task": None, "critique": critique}
    manifest_path.write_text(json.dumps(manifest))


def rating(axis: str, words: list[str], good: float, draw: random.Random) -> dict:
    applicable = len(words) - (words[-1] == NOT_APPLICABLE)
    weights = [max(0.001, 1 - abs(place / (applicable - 1) - good) * 2 + draw.uniform(-0.2, 0.2)) for place in range(applicable)]
    weights += [draw.choice((0.001, 0.001, 5.0))] * (len(words) - applicable)  # of one frame in three there is nothing to be rated
    whole = sum(weights)
    return {"axis": axis, "words": words, "probabilities": [round(weight / whole, 4) for weight in weights], "mass": 0.9}


def check_page(context: BrowserContext, sheet: Path, run: Path) -> None:
    page, troubles = watched_page(context)
    page.goto(sheet.as_uri())
    page.wait_for_selector("#grid .card")
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    print(f"loaded in {loaded:.2f} s")
    assert loaded < LOAD_SECONDS, loaded
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert page.locator("#grid .card").count() == PAGE, "one page of cards, however many frames"
    unread = page.evaluate("data.frames.filter((frame) => frame.unread).length")
    assert unread < len(lines) / 10, f"{unread} of {len(lines)} frames are not read: their ratings are not those of the rubric"

    slowest = 0.0
    for control, value in [("text", "frame 123"), ("text", ""), ("model", None), ("model", ""), ("sampler", None), ("sampler", ""), ("below", "0.4"), ("below", "1")]:
        chosen = value if value is not None else page.evaluate(f"document.getElementById('{control}').options[1].value")
        slowest = max(slowest, page.evaluate(TIMED_FILTER, [control, chosen]))
        if control == "text":
            expected = sum(value in line["image"] or value in line["generation"]["prompt"] for line in lines)
            assert page.evaluate("shown.length") == expected, (value, expected)
    orders = page.evaluate("[...document.getElementById('sort').options].map((option) => option.value)")
    for order in [*orders, "worst"]:
        slowest = max(slowest, page.evaluate(TIMED_FILTER, ["sort", order]))
    print(f"slowest of {8 + len(orders) + 1} filters and orders: {slowest:.0f} ms")
    assert slowest < FILTER_MILLISECONDS, slowest
    check_reasons(page)
    first = page.locator("#grid .card").first
    assert "reject" in first.inner_text().lower(), "the worst frames come first"
    check_figures(page, json.loads((run / "statistics.json").read_text(encoding="utf-8")))
    check_order(page)
    check_names(page)
    check_seeds(page)
    check_sets(page)
    check_keyboard(page)

    # Names and prompts with markup stand on the page as text, on the cards and in the large view.
    page.evaluate(TIMED_FILTER, ["text", "<script>alert(1)</script>.jpg"])
    page.locator("#grid .card button").first.click()
    assert "<script>alert(1)</script>" in page.locator("#view-name").inner_text()
    about = page.locator("#about").inner_text()
    assert "a red barn" in about and "bits" in about
    page.keyboard.press("Escape")
    assert not page.locator("#view").is_visible()
    page.evaluate(TIMED_FILTER, ["text", ""])
    assert page.locator("script").count() == 2 and page.locator("main script, dialog script, header script").count() == 0
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("3")
    rejected = sum(line["verdict"] == "reject" for line in lines)
    assert page.evaluate("shown.length") == rejected, "3 shows the rejects"
    check_by_hand(page)
    page.wait_for_timeout(300)  # whatever a name might have started has started
    assert not troubles, troubles
    print("no dialog, no error, no refused script, nothing asked of the network")


def check_reasons(page: Page) -> None:
    """Each reason of a verdict shows its frames alone, in time, and shows all again."""
    timed = """async (place) => {
      const button = document.querySelectorAll("#rules button")[place];
      const begun = performance.now();
      button.click();
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return performance.now() - begun;
    }"""
    reasons = page.locator("#rules button")
    slowest, whole = 0.0, page.evaluate("shown.length")
    for place in range(reasons.count()):
        count = int(reasons.nth(place).locator(".number").inner_text().replace(",", ""))
        slowest = max(slowest, page.evaluate(timed, place))
        assert page.evaluate("shown.length") == count, (place, count)
        slowest = max(slowest, page.evaluate(timed, place))
        assert page.evaluate("shown.length") == whole
    print(f"slowest of {reasons.count()} reasons: {slowest:.0f} ms")
    assert slowest < FILTER_MILLISECONDS, slowest


def check_by_hand(page: Page) -> None:
    """Verdicts by keys: of one frame, of several at once, in the large view; taken back; saved as a table."""
    verdict = "(place) => data.frames[shown[place]].verdict"
    page.evaluate("document.activeElement.blur()")
    page.evaluate(TIMED_FILTER, ["text", ""])
    count = page.evaluate("shown.length")
    for key in ("j", "y", "m"):
        page.keyboard.press(key)
    assert [page.evaluate(verdict, place) for place in (0, 1)] == ["keep", "review"], "and the next frame follows"
    assert page.evaluate("shown.length") == count, "what is shown stays until the filters are changed"
    for key in ("x", "j", "x"):
        page.keyboard.press(key)
    page.locator(".select").nth(9).click(modifiers=["Shift"])
    page.keyboard.press("y")
    assert all(page.evaluate(verdict, place) == "keep" for place in range(3, 10))
    page.keyboard.press("Enter")
    page.keyboard.press("u")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    slowest = page.evaluate("(() => { const begun = performance.now(); overrule('review'); return performance.now() - begun; })()")
    print(f"{count} frames overruled at once: {slowest:.0f} ms")
    assert slowest < FILTER_MILLISECONDS, slowest
    with page.expect_download() as download:
        page.locator("#hand-save").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"), newline="")))
    assert len(rows) == count and {row["verdict"] for row in rows} == {"review"} and all(len(row["sha256"]) == 64 for row in rows)
    names = page.evaluate("shown.map((place) => data.frames[place].name)")
    assert {row["image"] for row in rows} == set(names), "names with quotes, commas and line ends too"
    page.keyboard.press("Escape")


def check_saved_in_run(context: BrowserContext, gemscope: Path, run: Path, screenshots: Path | None) -> None:
    """Verdicts of a sheet that `gemscope serve --sheet` shows are in the run when the page says so, and all of them."""
    server = subprocess.Popen([gemscope, "serve", "--sheet", run, "--listen", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("console", lambda message: troubles.append(f"console: {message.text}") if message.type == "error" and "404" not in message.text else None)
        page.goto(server.stdout.readline().strip())
        page.wait_for_selector("#grid .card")
        page.wait_for_function("document.querySelector('#grid .card img').naturalWidth > 0")
        names = page.evaluate("shown.slice(0, 3).map((place) => data.frames[place].name)")
        page.evaluate("document.activeElement.blur()")
        for key in ("j", "y", "m", "n"):
            page.keyboard.press(key)
        page.locator("#hand-save").click()
        page.wait_for_selector("#hand-in-run", state="visible")
        assert not page.locator("#hand-in-file").is_visible()
        if screenshots:
            page.screenshot(path=screenshots / "saved-in-run.png")
        table = list(csv.DictReader(io.StringIO((run / "overrules.csv").read_text(encoding="utf-8"), newline="")))
        assert {row["image"]: row["verdict"] for row in table} == dict(zip(names, ("keep", "review", "reject"))), table
        # Once the server is gone, they come as a file.
        server.send_signal(2)
        assert server.wait(5) == 0
        page.keyboard.press("Escape")
        page.keyboard.press("y")
        with page.expect_download() as download:
            page.locator("#hand-save").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"), newline="")))
        assert len(rows) == 1 and rows[0]["verdict"] == "keep", rows
        assert "did not take" in page.locator("#hand-problem").inner_text()
        assert not [trouble for trouble in troubles if "ERR_CONNECTION_REFUSED" not in trouble], troubles
        print("verdicts are saved in the run, and as a file when its server is gone")
    finally:
        server.kill()


def check_figures(page: Page, statistics: dict) -> None:
    """Bars and medians are those of the run's statistics."""
    of_run = dict(statistics["all"]["axes"])
    scales = page.evaluate("scales.map((scale) => scale.name)")
    assert set(scales) == set(of_run)
    for place, name in enumerate(scales):
        bars = page.evaluate(f"data.verdicts.map((verdict) => counts.bars[{place}][verdict])")
        assert [sum(bar) for bar in zip(*bars)] == of_run[name]["histogram"], name
        assert abs(page.evaluate(f"counts.medians[{place}]") - of_run[name]["percentiles"][2]) < 2e-4, name


def check_order(page: Page) -> None:
    """Rejects, then what is to be reviewed with what was not read before the rest, then what is kept; in each the least first."""
    frames = page.evaluate("shown.map((place) => data.frames[place]).map((frame) => [frame.verdict, Boolean(frame.unread), frame.overall])")
    ranks = [(("reject", "review", "keep").index(verdict), verdict == "review" and not unread, -1 if overall is None else overall) for verdict, unread, overall in frames]
    assert ranks == sorted(ranks) and any(unread for _, unread, _ in frames)


def check_names(page: Page) -> None:
    """The names of what is shown can be had as a file, and all of them."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("3")
    page.locator("#names").click()
    with page.expect_download() as download:
        page.locator("#names-save").click()
    names = page.evaluate("shown.map((place) => data.frames[place].name).join('\\n') + '\\n'")
    assert Path(download.value.path()).read_bytes().decode() == names
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    assert page.evaluate("shown.length === data.frames.length"), "the key once more shows all"


def check_seeds(page: Page) -> None:
    """A seed that a number of the page could not hold is found, and copied whole."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(TIMED_FILTER, ["text", str(LONG_SEED)])
    assert page.evaluate("shown.length") == 4
    page.locator("#grid .card button").first.click()
    page.locator("#view-made button[aria-label='Copy the seed']").click()
    page.locator("#said", has_text="copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == str(LONG_SEED)
    page.keyboard.press("Escape")
    page.evaluate(TIMED_FILTER, ["text", ""])


def check_sets(page: Page) -> None:
    """Groups and sequences lead to their frames."""
    sizes = page.evaluate("data.groups.map((group) => group.frames.length)")
    keeps = page.evaluate("data.groups.filter((group) => group.frames.length > 1 && !group.frames.some((place) => data.frames[place].verdict === 'keep')).length")
    title = page.locator("#groups-title").text_content()
    assert f"{sum(size > 1 for size in sizes):,} groups" in title and f", {keeps:,} without" in title, title
    page.locator("#groups-best").click()
    assert page.evaluate("shown.length") == page.evaluate("data.groups.filter((group) => group.best !== null).length")
    page.locator("#reset").click()
    page.locator("#sequences summary").click()
    sequence = page.evaluate("data.statistics.sequences[0]")
    page.locator("#sequence-list .sequence").first.locator(".link").nth(1).click()
    assert page.locator("#view-name").text_content() == page.evaluate("(place) => data.frames[place].name", sequence["jump"][1])
    page.keyboard.press("Escape")
    page.locator("#sequence-list .sequence").first.locator(".link").first.click()
    assert page.evaluate("shown") == sequence["frames"], "in the order of their numbers"
    page.locator("#set").click()


def check_keyboard(page: Page) -> None:
    """Browsing without a mouse."""
    focused = "document.activeElement.closest('.card')?.querySelector('.name').title"
    names = page.evaluate("shown.map((place) => data.frames[place].name)")
    page.evaluate("document.activeElement.blur()")
    for key in ("j", "ArrowRight", "j", "k"):
        page.keyboard.press(key)
    assert page.evaluate(focused) == names[1]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names[1 + page.evaluate("columns()")]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator("#view-name").text_content() == names[1]
    for _ in range(PAGE):
        page.keyboard.press("ArrowRight")
    assert page.locator("#view-name").text_content() == names[1 + PAGE]
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == names[1 + PAGE], "the grid follows the large view, over pages"
    clear = "document.activeElement.getBoundingClientRect().top >= document.getElementById('filters').getBoundingClientRect().bottom"
    assert page.evaluate(clear), "the frame that the keys are at does not lie under the filters"
    for key, control in (("/", "#text"), ("?", "#help")):
        page.keyboard.press(key)
        assert page.locator(control).is_visible()
        page.keyboard.press("Escape")


if __name__ == "__main__":
    main()
