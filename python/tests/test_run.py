"""Runs that the module makes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import gemscope
import pytest

from conftest import LABELS, ROOT, SHAPES, command


def same_files(one: Path, other: Path, *names: str) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_a_run_is_that_of_the_command(detector: gemscope.Detector, tmp_path: Path) -> None:
    by_command, by_module = tmp_path / "command", tmp_path / "module"
    assert command("detect", SHAPES, "--model", "demo", "--labels", LABELS, "--out", by_command).returncode == 0
    told: list[tuple[int, int]] = []
    run = detector.run(SHAPES, by_module, labels=LABELS, progress=lambda *now: told.append(now))
    exports = "detections.jsonl", "instances.json", "results.json", "counts.csv"
    assert same_files(by_command, by_module, *exports)
    assert told[-1] == (20, 20) and sorted(told) == told
    assert run.summary is not None and (run.summary["done"], len(run)) == (20, 20)
    again = detector.run([SHAPES], by_module, labels=LABELS)
    assert again.summary is not None and (again.summary["done"], again.summary["resumed"]) == (0, 20)
    with pytest.raises(gemscope.RunError, match="other"):
        detector.run(SHAPES, by_module, labels="star", budget=140)


def test_a_pipeline_and_what_stands_over_it(detector: gemscope.Detector, tmp_path: Path) -> None:
    pipeline = tmp_path / "stars.toml"
    pipeline.write_text(f"[task]\nlabels = ['star']\n[source]\ninputs = ['{SHAPES}']\nlimit = 3\n")
    run = detector.run([], tmp_path / "run", pipeline, export="jsonl")
    assert len(run) == 3 and (tmp_path / "run" / "pipeline.toml").read_text() == pipeline.read_text()
    assert len(detector.run([], tmp_path / "two", pipeline, limit=2, export="none")) == 2
    pipeline.write_text("[task]\nlables = ['star']\n")
    with pytest.raises(gemscope.SettingsError, match="line 2.*labels"):
        detector.run(SHAPES, tmp_path / "three", pipeline)


def test_a_critique_is_that_of_the_command(detector: gemscope.Detector, tmp_path: Path) -> None:
    frames = ROOT / "fixtures" / "frames"
    by_command, by_module = tmp_path / "command", tmp_path / "module"
    flags = ("--model", "demo", "--rubric", "demo", "--out", by_command)
    assert command("critique", frames, *flags).returncode == 0
    detector.run(frames, by_module, rubric="demo")
    assert same_files(by_command, by_module, "verdicts.jsonl", "verdicts.csv", "keep.txt", "rubric.toml")


def test_frames_are_grouped_and_sorted_as_the_command_does(
    detector: gemscope.Detector, tmp_path: Path
) -> None:
    frames = ROOT / "fixtures" / "frames"
    table = tmp_path / "made.csv"
    rows = (f"{path.name},{number % 3}" for number, path in enumerate(sorted(frames.glob("*.png"))))
    table.write_text("\n".join(["image,seed", *rows]) + "\n")
    by_command, by_module = tmp_path / "command", tmp_path / "module"
    flags = ("--generation", table, "--group-by", "seed", "--sort", "copy")
    done = command("critique", frames, "--model", "demo", "--rubric", "demo", *flags, "--out", by_command)
    assert done.returncode == 0, done.stderr
    detector.run(frames, by_module, rubric="demo", generation=table, group_by="seed", sort="copy")
    assert same_files(by_command, by_module, "verdicts.jsonl", "groups.csv", "keep.txt")
    sorted_files = [path.relative_to(by_command) for path in sorted(by_command.glob("sorted/*/*"))]
    assert len(sorted_files) == 12 and all((by_module / path).is_file() for path in sorted_files)
    with pytest.raises(gemscope.SettingsError, match="critique"):
        detector.run(frames, tmp_path / "other", labels="star", sort="copy")
    with pytest.raises(gemscope.SettingsError, match="grouped by"):
        detector.run(frames, tmp_path / "other", rubric="demo", group_by="model")  # type: ignore[arg-type]


def test_an_exception_of_progress_stops_the_run(detector: gemscope.Detector, tmp_path: Path) -> None:
    def stop(done: int, images: int) -> None:
        if done >= 1:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        detector.run(SHAPES, tmp_path / "run", labels=LABELS, progress=stop, batch=1)
    run = detector.run(SHAPES, tmp_path / "run", labels=LABELS)
    assert run.summary is not None and run.summary["resumed"] >= 1 and len(run) == 20


def test_what_cannot_be_run(detector: gemscope.Detector, tmp_path: Path) -> None:
    with pytest.raises(gemscope.RunError, match="no such file or folder"):
        detector.run(tmp_path / "nothing", tmp_path / "run", labels="star")
    with pytest.raises(gemscope.RunError, match="no images"):
        detector.run(tmp_path, tmp_path / "run", labels="star")
    with pytest.raises(gemscope.SettingsError, match="setting of a Detector"):
        detector.run(SHAPES, tmp_path / "run", labels="star", threads=2)  # type: ignore[call-arg]


STOPPED = """
import sys, gemscope
def tell(done, images):
    print(done, flush=True)
try:
    gemscope.Detector("demo", batch=1).run(sys.argv[1], sys.argv[2], labels="star", tiles="3x3", progress=tell)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_ctrl_c_stops_a_run_and_keeps_what_is_done(detector: gemscope.Detector, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, SHAPES, out], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.endswith("stopped\n") and process.returncode == 0
    assert len(gemscope.read_run(out)) < 20


def test_the_command_of_the_wheel(tmp_path: Path) -> None:
    version = command("--version")
    assert version.returncode == 0 and version.stdout.startswith("gemscope ")
    assert command("detect", "--no-such-flag").returncode == 1
    failing = tmp_path / "images"
    failing.mkdir()
    (failing / "bad.png").write_bytes(b"no image")
    some = command("detect", failing, "--labels", "star", "--out", tmp_path / "run")
    assert some.returncode == 2, some.stderr
    module = subprocess.run([sys.executable, "-m", "gemscope", "--version"], capture_output=True, text=True)
    assert module.stdout == version.stdout
    doctor = command("doctor", "--json")
    assert "onnxruntime" in doctor.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_ctrl_c_stops_the_command_as_it_stops_the_binary(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("gemscope")
    many = tmp_path / "many"
    many.mkdir()
    for index in range(300):
        (many / f"{index}.png").symlink_to(SHAPES / "scene-01.png")
        if index:
            (many / f"{index}.png").unlink()
            (many / f"{index}.png").write_bytes((SHAPES / "scene-01.png").read_bytes())
    words = [program, "detect", many, "--labels", "star", "--batch", "1", "--out", tmp_path / "run"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    journal = tmp_path / "run" / "journal.jsonl"
    while not journal.exists() or not journal.stat().st_size:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
