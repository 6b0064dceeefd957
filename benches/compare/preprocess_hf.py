"""Times Hugging Face's way from files to `pixel_values`: open and decode with Pillow, then `Gemma4ImageProcessor` (torchvision backend).

    python benches/compare/preprocess_hf.py --budget 280 --threads 1 photos/*.jpg

Prints images a second over all rounds after a warm-up round. Threads are those of torch (resize and arithmetic); Pillow decodes on one. With
--workers, so many processes share the files, as a PyTorch DataLoader does. Needs transformers, torch, torchvision and pillow.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import time
from pathlib import Path

import torch
from PIL import Image, ImageOps
from transformers import Gemma4ImageProcessor

BUDGETS = (70, 140, 280, 560, 1120)

_processor: Gemma4ImageProcessor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--budget", type=int, choices=BUDGETS, default=280, help="most soft tokens of an image (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, in each process; 0 is its own choice (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 works in this one (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="times that all files are done after the warm-up (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    seconds = measure(arguments.files, arguments.budget, arguments.threads, arguments.workers, arguments.rounds)
    images = len(arguments.files) * arguments.rounds
    versions = {package: importlib.metadata.version(package) for package in ("transformers", "torch", "torchvision", "pillow")}
    result = {
        "images": images,
        "seconds": round(seconds, 4),
        "images_per_second": round(images / seconds, 2),
        "budget": arguments.budget,
        "threads": arguments.threads,
        "workers": arguments.workers,
        "versions": versions,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{result['images_per_second']} images/s ({images} images in {seconds:.3f} s; budget {arguments.budget}, "
              f"{arguments.threads} threads, {arguments.workers} workers; transformers {versions['transformers']}, torch {versions['torch']})")


def measure(files: list[Path], budget: int, threads: int, workers: int, rounds: int) -> float:
    """Wall time of all rounds in seconds, without starting the processes and the warm-up."""
    if workers == 0:
        start_worker(budget, threads)
        for path in files:
            preprocess(path)
        started = time.perf_counter()
        for path in files * rounds:
            preprocess(path)
        return time.perf_counter() - started
    with multiprocessing.get_context("spawn").Pool(workers, start_worker, (budget, threads)) as pool:
        pool.map(preprocess, files * workers, chunksize=1)
        started = time.perf_counter()
        for _ in pool.imap_unordered(preprocess, files * rounds):
            pass
        return time.perf_counter() - started


def start_worker(budget: int, threads: int) -> None:
    global _processor
    if threads:
        torch.set_num_threads(threads)
    _processor = Gemma4ImageProcessor(max_soft_tokens=budget)


def preprocess(path: Path) -> int:
    """One file to tensors; returns the soft tokens, so that a pool need not send the pixels back."""
    with Image.open(path) as stored:
        image = ImageOps.exif_transpose(stored)
    return int(_processor(image, return_tensors="pt")["num_soft_tokens_per_image"][0])


if __name__ == "__main__":
    main()
