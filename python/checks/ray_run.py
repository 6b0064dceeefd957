"""Whether a run on Ray writes every image once, whatever is killed, and what it costs beside the command.

    pip install 'ray[data]' && python python/checks/ray_run.py [IMAGES] [--turns 3] [--threads 2]

Asks the bundled model about copies of fixtures/shapes, with 2 actors on 4 declared CPUs: kills an actor after a third
of the images and the whole job after two thirds, runs it again, and compares what was written with the command's
records. Then measures one actor and the command in turns, from the first answers to the last. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

SHAPES = Path(__file__).resolve().parents[2] / "fixtures" / "shapes"
LABELS = "star,red circle"
BUDGET = 70


def job(words: list[str]) -> None:
    """The job, in a process of its own: what it asks about is written down."""
    folder, out, log, actors, threads, per_file = words
    import logging

    import gemscope.ray
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)

    class Watched(gemscope.ray.Detector):
        def answer(self, batch: Any) -> Any:
            rows = super().answer(batch)
            note = {"pid": os.getpid(), "time": time.time(), "names": [row["name"] for row in rows]}
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")
            return rows

    plain = ray.data.Dataset.map_batches
    ray.data.Dataset.map_batches = lambda self, _, **more: plain(self, Watched, **more)
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    finished = gemscope.ray.run(
        folder,
        out,
        LABELS,
        model="demo",
        budget=BUDGET,
        actors=int(actors),
        num_cpus=1,
        threads=int(threads),
        batch_size=int(per_file),
        images_per_file=int(per_file),
    )
    print(f"answered {finished.answered} of {finished.images}", flush=True)
    ray.shutdown()


def start(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--job", *map(str, words)], start_new_session=True)


def notes(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def asked(log: Path) -> int:
    return sum(len(note["names"]) for note in notes(log))


def command(folder: Path, out: Path, *more: str) -> None:
    words = [Path(sys.executable).with_name("gemscope"), "detect", folder, "--labels", LABELS, "--model", "demo"]
    words += ["--budget", str(BUDGET), "--export", "jsonl", "-q", "--out", out, *more]
    call(words)


def call(words: list[Any]) -> None:
    subprocess.run([os.fspath(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def written(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "records").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def every_image_once(folder: Path, work: Path, images: int) -> bool:
    out, log = work / "ray", work / "asked.jsonl"
    running = start(folder, out, log, 2, 1, 16)
    killed = False
    while running.poll() is None and asked(log) < images * 2 // 3:
        if not killed and asked(log) >= images // 3:
            victim = notes(log)[-1]["pid"]
            os.kill(victim, signal.SIGKILL)
            killed = True
            print(f"killed an actor after {asked(log)} images", flush=True)
        time.sleep(0.05)
    if running.poll() is not None:
        print("the job ended before it could be killed")
        return False
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = asked(log)
    print(f"killed the job after {before} images; {len(written(out))} are written", flush=True)
    # Ray's processes of that job notice, and end.
    time.sleep(10)
    lost = time.time()
    again = start(folder, out, log, 2, 1, 16)
    assert again.wait() == 0, "the second run failed"
    print(f"the job again: {time.time() - lost:.0f} s, asked about {asked(log) - before} images", flush=True)
    command(folder, work / "command")
    expected = {
        line["image"]: line for line in map(json.loads, (work / "command/detections.jsonl").read_text().splitlines())
    }
    found = written(out)
    counts = Counter(line["image"] for line in found)
    same = all(expected[line["image"]] == line for line in found)
    once = len(expected) == images and counts == Counter(expected.keys())
    twice = (asked(log) - images) / images
    print(f"{len(found)} records of {images} images; each once: {once}; equal to the command's: {same}")
    print(f"images that were asked about more than once: {twice:.1%}")
    for made, coco in ((out, "ray.json"), (work / "command", "command.json")):
        call([Path(sys.executable).with_name("gemscope"), "convert", made, "--to", "coco", "--out", work / coco])
    equal = (work / "ray.json").read_bytes() == (work / "command.json").read_bytes()
    print(f"the same COCO file as of the command's run: {equal}")
    return once and same and equal


def rate(times: list[float], counts: list[int]) -> float:
    """Images a second, from the first answers to the last."""
    return sum(counts[1:]) / (times[-1] - times[0])


def throughput(folder: Path, work: Path, turns: int, threads: int) -> bool:
    of_command, of_ray = [], []
    for turn in range(turns):
        out = work / f"command-{turn}"
        command(folder, out, "--threads", str(threads))
        journal = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
        times = sorted(line["timings"]["finished"] for line in journal if "timings" in line)
        of_command.append(rate(times, [1] * len(times)))
        log = work / f"asked-{turn}.jsonl"
        assert start(folder, work / f"ray-{turn}", log, 1, threads, 64).wait() == 0
        batches = sorted(notes(log), key=lambda note: note["time"])
        of_ray.append(rate([note["time"] for note in batches], [len(note["names"]) for note in batches]))
        print(f"turn {turn + 1}: command {of_command[-1]:.2f}, one actor {of_ray[-1]:.2f} images/s", flush=True)
    ratio = statistics.median(of_ray) / statistics.median(of_command)
    print(f"one actor is {ratio:.2f} times as fast as the command, {threads} threads, medians of {turns} turns")
    return ratio >= 0.9


def main() -> int:
    if sys.argv[1:2] == ["--job"]:
        job(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int, nargs="?", default=500)
    parser.add_argument("--no-kills", action="store_true", help="measure alone")
    parser.add_argument("--turns", type=int, default=3, help="of the measurement; 0 leaves it out")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    scenes = sorted(path for path in SHAPES.iterdir() if path.suffix in (".png", ".jpg"))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = work / "images"
        for number in range(args.images):
            place = folder / f"part-{number % 7}" / f"{number:05}{scenes[number % len(scenes)].suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(scenes[number % len(scenes)], place)
        good = args.no_kills or every_image_once(folder, work, args.images)
        if args.turns:
            good = throughput(folder, work, args.turns, args.threads) and good
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
