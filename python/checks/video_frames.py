"""Frames of videos against PyAV, in memory, after a kill, and against the same frames as PNG.

    python python/checks/video_frames.py target/debug/gemscope [--ffmpeg FILE]

- Times: of 17 clips that ffmpeg makes of its own test picture (turned, 29.97 fps, variable rate, 10 bits, with B-frames, one frame, trimmed by an edit list,
  cut off; H.264, HEVC, VP8, VP9, AV1, MPEG-4, FFV1 in six containers), the frames of four ways of choosing are those that PyAV's decoder says.
- Pixels: each frame of `--frames 4` differs from PyAV's (turned, where the clip says so) by less than half a level in the mean;
  of 10 bits by less than 3, since PyAV's own ffmpeg makes 8 bits of them otherwise.
- Memory: a run over 600 frames of a clip of two hours peaks at no more than 1.1 times one over 60 frames of it, and 64 MiB.
- Kill: a run that is killed at ten moments and gone on with has the records of one that was not.
- Boxes: the demo model finds the same in a clip of moving shapes as in its frames as PNG files, and the red circle where it was drawn.

Everything is made in a temporary folder. Exit code 1 if anything is wrong. Needs `pip install av imageio-ffmpeg numpy pillow`; the demo model answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw

WRONG: list[str] = []
TEST = "-f lavfi -i testsrc2=size=320x180:rate="
H264 = "-c:v libx264 -pix_fmt yuv420p"
CLIPS = {
    "plain.mp4": f"{TEST}30:duration=6 {H264}",
    "ntsc.mov": f"{TEST}30000/1001:duration=6 {H264} -g 60",
    "ntsc.mkv": f"{TEST}30000/1001:duration=6 {H264} -g 60 -bf 3",
    "varies.mp4": f"{TEST}30:duration=12 -vf select='not(mod(floor(t),3))+not(mod(n,7))' -fps_mode vfr {H264}",
    "ten-bits.mkv": f"{TEST}25:duration=4 -c:v libx265 -x265-params log-level=error -pix_fmt yuv420p10le",
    "sound.m4v": f"{TEST}25:duration=4 -f lavfi -i sine=d=4 {H264} -c:a aac",
    "one.mp4": f"{TEST}25:duration=1 -frames:v 1 {H264}",
    "vp9.webm": f"{TEST}25:duration=4 -c:v libvpx-vp9 -b:v 300k",
    "vp8.webm": f"{TEST}25:duration=4 -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k",
    "av1.mp4": f"{TEST}25:duration=4 -c:v libsvtav1 -svtav1-params log=0 -crf 40",
    "mpeg4.avi": f"{TEST}25:duration=4 -c:v mpeg4 -q:v 4",
    "h264.avi": f"{TEST}25:duration=4 {H264} -bf 0",
    "ffv1.mkv": f"{TEST}25:duration=3 -c:v ffv1 -pix_fmt yuv422p",
    "whole.mkv": f"{TEST}25:duration=10 {H264} -g 25",
    "whole.mp4": f"{TEST}25:duration=10 {H264} -g 25 -movflags +faststart",
}


def check(right: bool, what: str) -> None:
    print(("ok    " if right else "WRONG ") + what)
    if not right:
        WRONG.append(what)


class Bench:
    """A folder, an ffmpeg and a gemscope."""

    def __init__(self, root: Path, binary: Path, ffmpeg: str) -> None:
        self.root, self.binary, self.ffmpeg = root, str(binary.resolve()), ffmpeg
        self.environment = {**os.environ, "GEMSCOPE_FFMPEG": ffmpeg, "GEMSCOPE_DEVICE": "cpu"}

    def make(self, words: str) -> None:
        subprocess.run([self.ffmpeg, "-nostdin", "-y", "-v", "error", *words.split()], cwd=self.root, check=True)

    def command(self, *words: str) -> list[str]:
        return [self.binary, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), cwd=self.root, env=self.environment, capture_output=True, text=True)

    def planned(self, clip: str, *words: str) -> list[int]:
        """Milliseconds of the frames that a run would ask about."""
        done = self.run("detect", clip, "--labels", "star", "--dry-run", "--json", *words)
        if done.returncode != 0:
            return []
        return [milliseconds(file["image"]) for file in json.loads(done.stdout)["files"] if not file.get("error")]

    def records(self, out: str) -> dict[str, dict]:
        lines = (self.root / out / "journal.jsonl").read_text().splitlines()
        records = {record["image"]: record for record in map(json.loads, lines)}
        for record in records.values():
            record.pop("timings", None)
        return records

    def peak(self, *words: str) -> float:
        """Peak memory of gemscope and of the programs that it starts, each by itself, in MiB."""
        pid = os.posix_spawn(self.binary, self.command(*words), self.environment, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        if status:
            sys.exit(f"{words}: status {status}")
        return usage.ru_maxrss / 1024


def milliseconds(image: str) -> int:
    hours, minutes, seconds = image.rsplit("#t=", 1)[1].split(":")
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)


def decoded(path: Path) -> list[tuple[int, bool, av.VideoFrame]]:
    """Time from the file's beginning in milliseconds, whether it is a key frame, and the frame, of all that PyAV decodes."""
    frames = []
    with av.open(str(path)) as file:
        begin = Fraction(file.start_time or 0, 1_000_000)
        try:
            for frame in file.decode(video=0):
                at = Fraction(frame.pts) * frame.time_base - begin
                frames.append((int((at * 1000 + Fraction(1, 2)) // 1), frame.key_frame, frame))
        except av.error.InvalidDataError:
            pass  # cut off
    return frames


def every(times: list[int], step: int) -> list[int]:
    chosen, due = [], 0
    for at in times:
        if at >= due:
            chosen.append(at)
            due = (at // step + 1) * step
    return chosen


def times_and_pixels(bench: Bench) -> None:
    for name, words in CLIPS.items():
        bench.make(f"{words} {name}")
    bench.make("-display_rotation 90 -i plain.mp4 -c copy turned.mp4")
    bench.make("-ss 1.35 -i plain.mp4 -c copy trimmed.mp4")
    for kind in ("mkv", "mp4"):
        whole = (bench.root / f"whole.{kind}").read_bytes()
        (bench.root / f"cut.{kind}").write_bytes(whole[: len(whole) * 6 // 10])
        (bench.root / f"whole.{kind}").unlink()
    for clip in sorted(path.name for path in bench.root.iterdir()):
        frames = decoded(bench.root / clip)
        times = [at for at, _, _ in frames if at >= 0]
        right = {
            "every:0.7s": every(times, 700),
            "every:13": times[::13],
            "4": [times[i * len(times) // 4] for i in range(4)] if len(times) > 4 else times,
            "keyframes": [at for at, key, _ in frames if key and at >= 0],
        }
        if clip == "h264.avi":
            # The container has no times, and what they are is guessed: versions of FFmpeg differ by a frame.
            check(len(bench.planned(clip, "--frames", "every:1")) == len(times), f"{clip}: {len(times)} frames")
            continue
        for how, expected in right.items():
            found = bench.planned(clip, "--frames", how)
            # A frame that is cut in two counts for one of them and not for the other.
            cut = clip.startswith("cut.") and set(found) ^ set(expected) <= {times[-1], *found[-1:]} or (clip.startswith("cut.") and how == "4")
            check(found == expected or cut, f"{clip} --frames {how}: {found[:5]}" + ("" if found == expected else f", PyAV {expected[:5]}"))
        done = bench.run("detect", clip, "--frames", "4", "--labels", "star", "--export", "none", "--sort", "copy", "--out", f"run-{clip}")
        worst, count = 0.0, 0
        at_time = {at: frame for at, _, frame in frames}
        for file in (bench.root / f"run-{clip}" / "sorted").rglob("*.png"):
            stamp = file.stem.rsplit("_", 1)[1].replace("-", ":")
            frame = at_time.get(milliseconds(f"#t={stamp}"))
            if frame is None:
                check(False, f"{clip}: {file.name} is not among PyAV's")
                continue
            pixels = frame.to_ndarray(format="rgb24").astype(int)
            if clip == "turned.mp4":
                pixels = np.rot90(pixels)
            ours = np.asarray(Image.open(file).convert("RGB")).astype(int)
            worst = max(worst, float(np.abs(pixels - ours).mean()) if pixels.shape == ours.shape else 255.0)
            count += 1
        bound = 3.0 if clip == "ten-bits.mkv" else 0.5
        check(worst < bound and count >= min(4, len(times)) - clip.startswith("cut."), f"{clip}: {count} frames, mean difference at most {worst:.2f} levels ({done.returncode})")


def memory(bench: Bench) -> None:
    bench.make(f"-f lavfi -i testsrc2=size=640x360:rate=1:duration=7200 {H264} -g 60 -preset ultrafast long.mp4")
    def run(frames: str) -> list[str]:
        return ["detect", str(bench.root / "long.mp4"), "--frames", frames, "--labels", "star", "--export", "none", "--max-new-tokens", "1", "--out", str(bench.root / f"run-{frames}")]
    few, many = bench.peak(*run("60")), bench.peak(*run("600"))
    check(many <= 1.1 * few + 64, f"two hours: {few:.0f} MiB for 60 frames, {many:.0f} MiB for 600")


def kills(bench: Bench) -> None:
    def words(out: str) -> list[str]:
        return ["detect", "plain.mp4", "vp9.webm", "--frames", "every:2", "--labels", "blue square", "--export", "none", "--out", out]
    assert bench.run(*words("whole")).returncode == 0
    killed = 0
    for turn in range(10):
        process = subprocess.Popen(bench.command(*words("parts")), cwd=bench.root, env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.8 + turn * 0.5)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    assert bench.run(*words("parts")).returncode == 0
    whole, parts = bench.records("whole"), bench.records("parts")
    check(whole == parts and len(whole) == 140, f"killed {killed} times: {len(parts)} records, the same")


def boxes(bench: Bench) -> None:
    """A red circle and a blue square that move over grey."""
    folder = bench.root / "drawn"
    folder.mkdir()
    truth = []
    for index in range(12):
        image = Image.new("RGB", (384, 384), (150, 150, 150))
        pen = ImageDraw.Draw(image)
        x, y = 30 + index * 18, 60 + index * 10
        pen.ellipse((x, y, x + 100, y + 100), fill=(214, 40, 40))
        truth.append((x, y, x + 100, y + 100))
        pen.rectangle((250 - index * 15, 250, 330 - index * 15, 330), fill=(40, 80, 210))
        image.save(folder / f"{index}.png")
    bench.make(f"-framerate 2 -i drawn/%d.png {H264} -crf 12 shapes.mp4")
    stills = bench.root / "stills"
    stills.mkdir()
    # The same frames by PyAV.
    for at, _, frame in decoded(bench.root / "shapes.mp4"):
        frame.to_image().save(stills / f"{at:06}.png")
    for inputs, out, more in (("shapes.mp4", "of-clip", ["--frames", "every:1"]), ("stills", "of-stills", [])):
        done = bench.run("detect", inputs, "--labels", "red circle,blue square", "--export", "none", "--out", out, *more)
        assert done.returncode == 0, done.stderr
    def found(out: str) -> list[list[tuple[str, list[float]]]]:
        shown = []
        for _, record in sorted(bench.records(out).items()):
            shown.append([(one["label"], one["bbox"]) for one in record["detections"]])
        return shown
    clip, png = found("of-clip"), found("of-stills")
    same = sum([label for label, _ in a] == [label for label, _ in b] and all(abs(p - q) <= 2 for (_, one), (_, other) in zip(a, b) for p, q in zip(one, other)) for a, b in zip(clip, png))
    check(same >= len(png) - 1 and len(clip) == len(png) == 12, f"boxes: {same} of {len(png)} frames as on the same frames as PNG")
    near = sum(any(label == "red circle" and max(abs(p - q) for p, q in zip(box, right)) <= 30 for label, box in one) for one, right in zip(clip, truth))
    near_png = sum(any(label == "red circle" and max(abs(p - q) for p, q in zip(box, right)) <= 30 for label, box in one) for one, right in zip(png, truth))
    check(near >= near_png - 1, f"boxes: the red circle within 30 pixels in {near} of 12 frames, in {near_png} as PNG")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--ffmpeg", default=imageio_ffmpeg.get_ffmpeg_exe())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.binary, shutil.which(arguments.ffmpeg) or arguments.ffmpeg)
        times_and_pixels(bench)
        kills(bench)
        boxes(bench)
        memory(bench)
    print(f"{len(WRONG)} wrong")
    sys.exit(bool(WRONG))


if __name__ == "__main__":
    main()
