"""`frames OUT`: writes frames of known quality and `truth.json`: how blurred, noisy, badly exposed and flat each is, 0 (not at all) to 1.

The frames are the demo model's scenes, made worse by known amounts (`demo/frames.py`), from seeds that training cannot have. Each file says what it was
made with as stable-diffusion-webui writes it, so that a critique has prompts, models, samplers and seeds to trace.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from gemscope.onnx_export.demo import frames
from gemscope.onnx_export.scenes import GRIDS, Canvas

MODELS = ("shapes-xl-base", "shapes-xl-turbo")
SAMPLERS = ("Euler a", "DPM++ 2M")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing")
    parser.add_argument("--count", type=int, default=300, help="number of frames (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same frames (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"frames {arguments.seed}")
    truth = []
    for index in range(arguments.count):
        canvas = Canvas.of_grid(*rng.choice(GRIDS))
        axis = frames.AXES[index % len(frames.AXES)]
        image, objects, amounts = frames.draw_frame(canvas, rng, axis)
        prompt = ", ".join(f"{'an' if one.label[0] in 'aeiou' else 'a'} {one.label}" for one in objects)
        seed, model, sampler = rng.randrange(2**32), rng.choice(MODELS), rng.choice(SAMPLERS)
        text = PngInfo()
        text.add_text(
            "parameters",
            f"{prompt}\nNegative prompt: blurry, noisy\nSteps: 20, Sampler: {sampler}, CFG scale: 7, Seed: {seed}, "
            f"Size: {image.width}x{image.height}, Model: {model}",
        )
        name = f"{index + 1:05}-{seed}.png"
        image.save(out / name, pnginfo=text, optimize=True)
        truth.append({"image": name, "axis": axis, "amounts": {key: round(value, 4) for key, value in amounts.items()}, "prompt": prompt, "seed": seed, "model": model})
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {len(truth)} frames")
