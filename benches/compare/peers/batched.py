"""What every peer that takes many images at once has in common: its arguments, and the one JSON object that it prints.

In: a model, a prompt, images, how many tokens to generate at most, and the peer's settings. Out: `load_seconds`; `seconds`, from the first file to the last token of the last
image; for each image its token `ids`. Promises: greedy; the first image is answered once before, which is not counted; no image is answered from what was kept of an earlier one.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[list[Path]], list[dict[str, Any]]]


def run(doc: str | None, open_model: Callable[[argparse.Namespace], Answer]) -> None:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompt", required=True, help="the user's words; the chat template goes around them")
    parser.add_argument("--budget", type=int, required=True, help="of soft tokens")
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rows", type=int, default=32, help="images at the same time")
    parser.add_argument("--regex", help="where the peer can: what an answer is held to")
    parser.add_argument("--compile", action="store_true", help="where the peer can: compiled beforehand, which is not counted")
    parser.add_argument("images", nargs="+", type=Path)
    arguments = parser.parse_args()

    started = time.perf_counter()
    answer = open_model(arguments)
    answer(arguments.images[:1])
    load_seconds = time.perf_counter() - started
    started = time.perf_counter()
    told = answer(arguments.images)
    seconds = time.perf_counter() - started
    images = [{"image": path.name, **one} for path, one in zip(arguments.images, told, strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"load_seconds": load_seconds, "seconds": seconds, "peak_bytes": peak, "images": images}))
