"""`golden OUT`: what Hugging Face's code computes, for the Rust tests to compare with.

Each module writes one file and says in its doc how to read it. All of them need the pinned versions of `pyproject.toml`; other versions may
well compute something else.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

FILES = ("preprocess", "target_size", "jpeg", "prompts", "generate", "variants", "clips")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to: fixtures/golden")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the images, templates and tokenizers (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("python/demo/checkpoint"), help="the demo model in Hugging Face's form (default: %(default)s)"
    )
    parser.add_argument("--only", choices=FILES, action="append", help="write this file; may be given more than once (default: all)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in arguments.only or FILES:
        module = importlib.import_module(f"gemscope.onnx_export.golden.{name}")
        module.write(arguments.out / f"{name}.json", arguments.fixtures, arguments.checkpoint)
