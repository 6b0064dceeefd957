"""Do the annotation tools that `gemscope serve` is for get its boxes?

    python python/checks/annotation_tools.py target/debug/gemscope --label-studio VENV/bin/label-studio --x-anylabeling CHECKOUT

Begins `gemscope serve` with the demo model over copies of the shapes in fixtures/, and compares every box that a tool gets with those of `gemscope detect`, each edge within 0.5 pixels:

- a running Label Studio: a project is made by its API, tasks are imported (files of the disk, and an upload that only Label Studio has), the model is connected, predictions are asked for
  as the data manager does, and read back from the project;
- X-AnyLabeling's own client (`RemoteServer` of its checkout, run by a Python with its dependencies), over a folder;
- 200 requests at once, of which each gets a record or a 503.

`pip install label-studio`; for the client the core dependencies in its pyproject.toml and --python; fetch github.com/CVHub520/X-AnyLabeling.
A tool that is not named is left out, and said. Not part of the CI.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["star", "red circle", "blue square"]
LIMIT = 0.5
TOKEN = "0123456789abcdef0123456789abcdef01234567"
Box = tuple[str, float, float, float, float]


def request(url: str, body: object = None, headers: dict[str, str] | None = None, data: bytes | None = None) -> object:
    headers = dict(headers or {})
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=120) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        if error.code != 503:
            print(f"{url}: {error.code} {error.read()[:500]!r}", file=sys.stderr)
        raise
    return json.loads(text) if text else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def expected(gemscope: str, images: Path, out: Path) -> dict[str, list[Box]]:
    command = [gemscope, "detect", str(images), "--labels", ",".join(LABELS), "--strict-labels", "--export", "jsonl", "--quiet", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["image"]: [(found["label"], *found["bbox"]) for found in line["detections"]] for line in lines}


def compare(tool: str, name: str, wanted: list[Box], given: list[Box]) -> float:
    if len(wanted) != len(given):
        sys.exit(f"{tool}: {name}: {len(given)} boxes, expected {len(wanted)}")
    worst, left = 0.0, list(given)
    for box in wanted:
        distance = lambda other: max(abs(a - b) for a, b in zip(box[1:], other[1:])) if other[0] == box[0] else 1e9
        best = min(left, key=distance)
        worst = max(worst, distance(best))
        left.remove(best)
    if worst > LIMIT:
        sys.exit(f"{tool}: {name}: a box is {worst:.2f} pixels away")
    return worst


class Served:
    """A running `gemscope serve`."""

    def __init__(self, gemscope: str, images: Path, out: Path, extra: dict[str, str] | None = None) -> None:
        command = [gemscope, "serve", "--listen", "0", "--images", str(images), "--queue", "32", "--out", str(out)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(extra or {})})
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            sys.exit("gemscope serve does not begin")

    def end(self) -> None:
        begun = time.monotonic()
        self.process.send_signal(2)
        code = self.process.wait(10)
        took = time.monotonic() - begun
        if code != 0 or took > 2:
            sys.exit(f"gemscope serve ends with {code} after {took:.1f} s")
        print(f"ends after {took:.2f} s")


def label_studio(command: str, served: Served, images: Path, wanted: dict[str, list[Box]], folder: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    environment = {
        **os.environ,
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(images),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "label-studio"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": url,
        # Without both, it refuses a model on its own machine (the second: for the webhook that comes with the model).
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    start = [command, "start", "--no-browser", "--port", str(port), "--username", "a@example.org", "--password", "password1", "--user-token", TOKEN]
    with (folder / "label-studio.log").open("w") as log:
        process = subprocess.Popen(start, env=environment, stdout=log, stderr=log, cwd=folder)
    headers = {"Authorization": f"Token {TOKEN}"}
    try:
        for _ in range(900):  # it makes its database first
            try:
                request(f"{url}/api/projects", headers=headers)
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    sys.exit(f"label-studio does not begin: see {folder / 'label-studio.log'}")
                time.sleep(1)
        else:
            sys.exit(f"label-studio does not answer: see {folder / 'label-studio.log'}")
        version = request(f"{url}/api/version", headers=headers)["release"]
        config = '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
        config += "".join(f'<Label value="{label}"/>' for label in LABELS) + "</RectangleLabels></View>"
        project = request(f"{url}/api/projects", {"title": "shapes", "label_config": config}, headers)["id"]
        names = sorted(wanted)
        upload, local = names[0], names[1:]
        tasks = [{"data": {"image": f"/data/local-files/?d={name}"}} for name in local]
        request(f"{url}/api/projects/{project}/import", tasks, headers)
        edge = "gemscope"
        part = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{upload}"\r\nContent-Type: image/png\r\n\r\n'
        data = part.encode() + (images / upload).read_bytes() + f"\r\n--{edge}--\r\n".encode()
        request(f"{url}/api/projects/{project}/import", headers={**headers, "Content-Type": f"multipart/form-data; boundary={edge}"}, data=data)
        model = request(f"{url}/api/ml", {"project": project, "url": served.url, "title": "gemscope", "is_interactive": True}, headers)
        found = request(f"{url}/api/tasks?project={project}&fields=all&page_size=1000", headers=headers)["tasks"]
        assert len(found) == len(names), f"{len(found)} tasks"
        body = {"selectedItems": {"all": True, "excluded": []}, "project": str(project)}
        request(f"{url}/api/dm/actions?id=retrieve_tasks_predictions&project={project}", body, headers)
        worst = 0.0
        for task in found:
            image = task["data"]["image"]
            name = image.split("?d=")[1] if "?d=" in image else upload
            predictions = request(f"{url}/api/tasks/{task['id']}", headers=headers)["predictions"]
            if len(predictions) != 1:
                sys.exit(f"Label Studio: {image} has {len(predictions)} predictions")
            boxes = []
            for region in predictions[0]["result"]:
                value, width, height = region["value"], region["original_width"], region["original_height"]
                x0, y0 = value["x"] * width / 100, value["y"] * height / 100
                boxes.append((value["rectanglelabels"][0], x0, y0, x0 + value["width"] * width / 100, y0 + value["height"] * height / 100))
            worst = max(worst, compare("Label Studio", name, wanted[name], boxes))
        # A person in the editor asks about one task.
        answer = request(f"{url}/api/ml/{model['id']}/interactive-annotating", {"task": found[0]["id"], "context": {"result": []}}, headers)
        if "result" not in (answer.get("data") or {}):
            sys.exit(f"Label Studio: in the editor it gets {answer}")
        print(f"label-studio {version}: {len(found)} tasks, {sum(map(len, wanted.values()))} boxes, {worst:.4f} pixels away at most")
    finally:
        process.terminate()
        process.wait(20)


CLIENT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from PyQt6 import QtWidgets
application = QtWidgets.QApplication([])
from unittest.mock import patch
from anylabeling.services.auto_labeling.remote_server import RemoteServer
said = []
settings = {"remote_server_settings": {"server_url": sys.argv[2]}}
# As the client's own tests do: the settings are those of a program that runs.
with patch("anylabeling.services.auto_labeling.model.get_config", return_value=settings):
    client = RemoteServer({"type": "remote_server", "display_name": "Remote", "timeout": 30}, said.append)
assert client.predict_url == sys.argv[2] + "/v1/predict", client.predict_url
models = client.get_available_models()
(identifier,) = models
client.set_model_id(identifier)
client.set_task(models[identifier]["available_tasks"][0]["id"])
assert client.get_batch_processing_mode() == "text_prompt", client.get_batch_processing_mode()
found = {}
for path in sorted(Path(sys.argv[3]).iterdir()):
    result = client.predict_shapes(object(), str(path), text_prompt=sys.argv[4])
    found[path.name] = [[s.label, s.shape_type, s.score, [[p.x(), p.y()] for p in s.points]] for s in result.shapes]
assert not said, said
json.dump(found, sys.stdout)
"""


def x_anylabeling(checkout: str, python: str, served: Served, images: Path, wanted: dict[str, list[Box]], folder: Path) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(folder)}
    command = [python, "-c", CLIENT, checkout, served.url, str(images), ", ".join(LABELS)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        sys.exit(f"X-AnyLabeling's client: {answer.stderr[-2000:]}")
    worst, count = 0.0, 0
    for name, shapes in json.loads(answer.stdout.splitlines()[-1]).items():
        boxes = []
        for label, kind, score, points in shapes:
            assert kind == "rectangle" and len(points) == 4 and (score is None or 0 <= score <= 1), (kind, points, score)
            (x0, y0), _, (x1, y1), _ = points
            assert points == [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], points
            boxes.append((label, x0, y0, x1, y1))
        # The client asks for no certain labels: boxes of others would be shown, too.
        worst = max(worst, compare("X-AnyLabeling", name, wanted[name], [box for box in boxes if box[0] in LABELS]))
        count += len(boxes)
    print(f"X-AnyLabeling's client: {len(wanted)} images, {count} boxes, {worst:.4f} pixels away at most")


def many(served: Served, images: Path, journal: Path) -> None:
    names = sorted(path.name for path in images.iterdir())

    def ask(index: int) -> int:
        bytes_ = (images / names[index % len(names)]).read_bytes()
        label = ["star", "circle", "square", "triangle"][index // len(names) % 4]
        try:
            request(f"{served.url}/v1/detect?labels={label}&name={names[index % len(names)]}", data=bytes_)
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(ask, range(200)))
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    if set(counts) - {200, 503}:
        sys.exit(f"200 at once: {counts}")
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    keys = [(record["sha256"], record["question"]) for record in records]
    if len(keys) != len(set(keys)):
        sys.exit("200 at once: something was asked twice")
    peak = Path(f"/proc/{served.process.pid}/status")
    peak = next((line.split(":")[1].strip() for line in peak.read_text().splitlines() if line.startswith("VmHWM")), "?") if peak.exists() else "?"
    print(f"200 at once: {counts}, {len(records)} records in the journal, none twice, peak memory {peak}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope")
    parser.add_argument("--label-studio", help="the command of an installed Label Studio")
    parser.add_argument("--x-anylabeling", help="a checkout of X-AnyLabeling")
    parser.add_argument("--python", default=sys.executable, help="a Python with the dependencies of X-AnyLabeling's client")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        images.mkdir()
        for scene in sorted((ROOT / "fixtures/shapes").glob("scene-*")):
            shutil.copy(scene, images)
        wanted = expected(arguments.gemscope, images, folder / "run")
        out = folder / "served"
        served = Served(arguments.gemscope, images, out)
        try:
            if arguments.label_studio:
                label_studio(arguments.label_studio, served, images, wanted, folder)
            else:
                print("left out: Label Studio (--label-studio)", flush=True)
            if arguments.x_anylabeling:
                x_anylabeling(arguments.x_anylabeling, arguments.python, served, images, wanted, folder)
            else:
                print("left out: X-AnyLabeling's client (--x-anylabeling)")
            many(served, images, out / "journal.jsonl")
            served.end()
        finally:
            served.process.kill()


if __name__ == "__main__":
    main()
