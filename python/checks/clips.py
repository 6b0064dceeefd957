"""Whole clips (`--clip`) against Hugging Face: which frames, their times, pixels, token ids, and greedy answers.

    python python/checks/clips.py target/debug/gemscope [--ffmpeg FILE] [--only NAME]

Of 20 clips that ffmpeg makes of its own test pictures (sizes, turned, 29.97, 1 and 60 frames a second, variable rate, 10 bits, with B-frames, a start that is not
zero, cut off; of 1, 5, 31, 32, 33 and more frames; H.264, HEVC, VP9, AV1, FFV1, MPEG-4 in six containers):

- Count and rate are those of torchcodec in its exact mode, with which transformers decodes. So are the frames, within a few levels: it makes other RGB of them.
- Frames, given to transformers' processor as ffmpeg decodes them, become the same `pixel_values_videos` and `video_position_ids`, bit for bit, and the prompt
  the same ids, with the processor of E2B and with that of 12B.
- `generate()` gives the same tokens as `detect --clip`, with the tiny model of each variant, about three of the clips.

Of a clip of fewer than 32 frames, which transformers refuses, it is given all. Everything is made in a temporary folder. Exit code 1 if anything is wrong.
Needs ffmpeg, and `pip install -r python/onnx-export.txt torchcodec`; run it in the repository's root.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torchcodec.decoders import VideoDecoder
from transformers import AutoModelForImageTextToText

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gemscope.onnx_export import tiny
from gemscope.onnx_export.golden.clips import SHOWN, inputs_of
from gemscope.onnx_export.processing import processor_around
from gemscope.onnx_export.reference import generate

WRONG: list[str] = []
TEST = "-f lavfi -i testsrc2=size="
H264 = "-c:v libx264 -pix_fmt yuv420p"
CLIPS = {
    "plain.mp4": f"{TEST}320x180:rate=25:duration=6 {H264}",
    "ntsc.mov": f"{TEST}640x360:rate=30000/1001:duration=5 {H264} -g 60",
    "ntsc-b-frames.mkv": f"{TEST}176x144:rate=30000/1001:duration=4 {H264} -bf 3",
    "one.mp4": f"{TEST}320x180:rate=25:duration=1 -frames:v 1 {H264}",
    "five.mp4": f"{TEST}320x180:rate=5:duration=1 {H264}",
    "31.mp4": f"{TEST}160x120:rate=25:duration=2 -frames:v 31 {H264}",
    "32.mp4": f"{TEST}160x120:rate=25:duration=2 -frames:v 32 {H264}",
    "33.mkv": f"{TEST}160x120:rate=25:duration=2 -frames:v 33 {H264}",
    "slow.mp4": f"{TEST}100x300:rate=1:duration=90 {H264}",
    "fast.mp4": f"{TEST}320x180:rate=60:duration=3 {H264}",
    "upright.mp4": f"{TEST}180x320:rate=25:duration=2 {H264}",
    "wide.webm": f"{TEST}640x40:rate=25:duration=2 -c:v libvpx-vp9 -b:v 300k",
    "ten-bits.mkv": f"{TEST}320x180:rate=25:duration=2 -c:v libx265 -x265-params log-level=error -pix_fmt yuv420p10le",
    "varies.mp4": f"{TEST}320x180:rate=30:duration=8 -vf select='not(mod(floor(t),3))+not(mod(n,7))' -fps_mode vfr {H264}",
    "av1.mp4": f"{TEST}320x180:rate=25:duration=2 -c:v libaom-av1 -cpu-used 8 -crf 50",
    "ffv1.mkv": f"{TEST}200x112:rate=12:duration=4 -c:v ffv1 -pix_fmt yuv422p",
    "mpeg4.avi": f"{TEST}320x180:rate=25:duration=2 -c:v mpeg4 -q:v 4",
    "sound.ts": f"-f lavfi -i sine=d=4 {TEST}320x180:rate=25:duration=4 {H264} -c:a aac -output_ts_offset 7.3 -f mpegts",
}
"""Two more are made of these: a turned one and one that is cut off."""
WITHOUT_FRAMES = ("cut.mkv", "mpeg4.avi", "sound.ts")
"""Of these torchcodec 0.17 counts frames that it then does not decode."""
ANSWERED = ("plain.mp4", "five.mp4", "turned.mp4")
PROMPT = "What happens in this clip?"
MAX_NEW_TOKENS = 32


def check(right: bool, what: str) -> None:
    print(("ok    " if right else "WRONG ") + what, flush=True)
    if not right:
        WRONG.append(what)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"))
    parser.add_argument("--only", action="append", help="only clips of this name")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    gemscope = arguments.gemscope.resolve()
    fixtures = Path("fixtures").resolve()
    environment = os.environ | {"GEMSCOPE_FFMPEG": arguments.ffmpeg, "GEMSCOPE_DEVICE": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder)
        make(arguments.ffmpeg, clips)
        names = [*CLIPS, "turned.mp4", "cut.mkv"]
        names = [name for name in names if not arguments.only or name in arguments.only]
        inputs = {name: processed(name, clips, gemscope, environment, arguments.ffmpeg, fixtures) for name in names}
        for variant in tiny.VARIANTS:
            answers(variant, [name for name in ANSWERED if name in names], inputs, clips, gemscope, environment, fixtures)
    print(f"{len(WRONG)} wrong" if WRONG else "all right")
    return 1 if WRONG else 0


def make(ffmpeg: str, clips: Path) -> None:
    def run(words: list[str]) -> None:
        subprocess.run([ffmpeg, "-nostdin", "-y", "-v", "error", *words], cwd=clips, check=True)

    for name, words in CLIPS.items():
        run([*words.split(" "), name])
    run("-display_rotation 90 -i plain.mp4 -c copy turned.mp4".split(" ") if rotates(ffmpeg) else "-i plain.mp4 -c copy -metadata:s:v rotate=270 turned.mp4".split(" "))
    run(f"{TEST}320x180:rate=25:duration=8 {H264} -g 25 whole.mkv".split(" "))
    whole = (clips / "whole.mkv").read_bytes()
    (clips / "cut.mkv").write_bytes(whole[: len(whole) // 2])


def rotates(ffmpeg: str) -> bool:
    options = subprocess.run([ffmpeg, "-hide_banner", "-h", "full"], capture_output=True, text=True, check=True).stdout
    return "display_rotation" in options


def decoded(ffmpeg: str, clip: Path, indices: list[int], size: tuple[int, int]) -> np.ndarray:
    """uint8 [frames, height, width, 3]: those of `indices` among all that ffmpeg decodes."""
    words = ["-nostdin", "-v", "error", "-i", str(clip), "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "bgr24", "-f", "rawvideo", "-"]
    raw = subprocess.run([ffmpeg, *words], capture_output=True, check=True).stdout
    width, height = size
    # As BMP has them: of 10 bits, ffmpeg 9 makes other values by way of rgb24.
    frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
    return np.ascontiguousarray(frames[indices][..., ::-1])


def processed(name: str, clips: Path, gemscope: Path, environment: dict[str, str], ffmpeg: str, fixtures: Path) -> dict:
    """Compares what the two give to a model, and gives what `generate()` needs."""
    clip = clips / name
    decoder = VideoDecoder(str(clip), seek_mode="exact", num_ffmpeg_threads=0)
    total, rate = decoder.metadata.num_frames, decoder.metadata.average_fps
    indices = list(range(total)) if total < SHOWN else [i * total // SHOWN for i in range(SHOWN)]
    frames = None
    for variant, model_type in (("E2B", "gemma4"), ("12B", "gemma4_unified")):
        model, tensors = fixtures / "variants" / variant, clips / f"{name}.{variant}.safetensors"
        words = [gemscope, "inspect", "--clip", "--model", model, "--prompt", PROMPT, "--tensors", tensors, clip]
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            check(False, f"{name}: {done.stderr.strip()}")
            return {}
        ours = json.loads(done.stdout)
        shown = ours["clip"]
        if frames is None:
            check(shown["total_frames"] == total, f"{name}: {shown['total_frames']} frames, torchcodec says {total}")
            check(shown["fps"] == rate, f"{name}: {shown['fps']!r} frames a second, torchcodec says {rate!r}")
            check([frame["index"] for frame in shown["frames"]] == indices, f"{name}: the frames that are shown")
            frames = decoded(ffmpeg, clip, indices, (ours["width"], ours["height"]))
            compare_frames(name, decoder, indices, frames)
        processor = processor_around(model / "tokenizer.json", model / "chat_template.jinja", model_type)
        metadata = {"total_num_frames": total, "fps": rate, "frames_indices": indices}
        inputs = inputs_of(processor, frames.transpose(0, 3, 1, 2), metadata, PROMPT)
        check(ours["token_ids"] == inputs["input_ids"][0].tolist(), f"{name}: {len(ours['token_ids'])} ids ({variant})")
        written = load_file(tensors)
        for key in ("pixel_values_videos", "video_position_ids"):
            other = inputs[key].numpy()
            same = written[key].shape == other.shape and written[key].tobytes() == other.tobytes()
            check(same, f"{name}: {key} {list(other.shape)}, bit for bit ({variant})")
    return {"frames": frames, "metadata": metadata}


def compare_frames(name: str, decoder: VideoDecoder, indices: list[int], frames: np.ndarray) -> None:
    try:
        theirs = decoder.get_frames_at(indices).data.permute(0, 2, 3, 1).numpy().astype(np.int16)
    except RuntimeError as error:
        check(name in WITHOUT_FRAMES, f"{name}: torchcodec gives no frames: {error}")
        return
    if theirs.shape != frames.shape:
        check(False, f"{name}: torchcodec gives frames of {theirs.shape[2]}x{theirs.shape[1]}")
        return
    apart = np.abs(theirs - frames).mean(axis=(1, 2, 3)).max()
    check(apart < 4, f"{name}: frames differ from torchcodec's by {apart:.2f} levels in the mean at most")


def answers(variant: str, names: list[str], inputs: dict, clips: Path, gemscope: Path, environment: dict[str, str], fixtures: Path) -> None:
    """Compares greedy answers about clips."""
    exported = fixtures / "variants" / variant
    with tempfile.TemporaryDirectory() as folder:
        tiny.write(variant, Path(folder), fixtures)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        processor = processor_around(exported / "tokenizer.json", exported / "chat_template.jinja", model.config.model_type)
        out = clips / f"run-{variant}"
        words = [gemscope, "detect", "--clip", "--model", exported, "--prompt", PROMPT, "--max-new-tokens", str(MAX_NEW_TOKENS), "--out", out]
        subprocess.run([*words, *(clips / name for name in names)], check=True, capture_output=True, env=environment)
    records = [json.loads(line) for line in (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    ours = {record["image"]: record for record in records}
    for name in names:
        taken = inputs_of(processor, inputs[name]["frames"].transpose(0, 3, 1, 2), inputs[name]["metadata"], PROMPT)
        generated = generate(model, taken, MAX_NEW_TOKENS).sequences[0, taken["input_ids"].shape[1] :]
        answer = ours[name]["answers"][0]
        tokens = answer["tokens"]["answer"]
        # A random model repeats itself, which Gemscope stops.
        same = reads_as(answer["text"], processor.tokenizer, generated[:tokens].tolist())
        right = same and (answer["ended"] == "looped" or tokens == len(generated))
        check(right, f"{name}: {tokens} tokens of {variant} are those of generate()")


def reads_as(text: str, tokenizer, ids: list[int]) -> bool:
    """Whether `text` is what these tokens write, one after the other, some of them single bytes: bytes that are no character by the next word are a mark each.

    `decode` has marks also for those of them that are characters by themselves. The last bytes may still become a character, and are then left out.
    """
    written, pending = "", b""
    for token in tokenizer.convert_ids_to_tokens(ids):
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            pending += bytes([int(token[3:5], 16)])
            try:
                written, pending = written + pending.decode(), b""
            except UnicodeDecodeError:
                # No character is longer.
                if len(pending) == 4:
                    written, pending = written + "\ufffd" * 4, b""
        else:
            written, pending = written + "\ufffd" * len(pending) + token.replace("\u2581", " "), b""
    last = text.removeprefix(written)
    return text.startswith(written) and last == "\ufffd" * len(last) and len(last) <= len(pending)


if __name__ == "__main__":
    sys.exit(main())
