"""What every peer's program has in common: its arguments, and the one JSON object that it prints.

In: a model, a prompt, images, how many tokens to generate at most. Out: `load_seconds`, and for each image `seconds` (from the file to the last token), token `ids` without the
stop token's successors, and the seconds of its parts where the peer can tell them. Promises: one image at a time, greedy, and a warm-up image that is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(doc: str | None, open_model: Callable[[argparse.Namespace], Callable[[Path], dict[str, Any]]]) -> None:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompt", required=True, help="the user's words; the chat template goes around them")
    parser.add_argument("--budget", type=int, required=True, help="of soft tokens")
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0, help="0: the library's own choice")
    parser.add_argument("--suffix", default="", help="of the ONNX files: _q4")
    parser.add_argument("images", nargs="+", type=Path)
    arguments = parser.parse_args()

    started = time.perf_counter()
    answer = open_model(arguments)
    load_seconds = time.perf_counter() - started
    answer(arguments.images[0])
    images = []
    for path in arguments.images:
        started = time.perf_counter()
        told = answer(path)
        images.append({"image": path.name, "seconds": time.perf_counter() - started, **told})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"load_seconds": load_seconds, "peak_bytes": peak, "images": images}))
