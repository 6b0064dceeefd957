"""`model CHECKPOINT OUT`: from a checkpoint to a model directory that has been compared with
Hugging Face.

The graphs of each precision are written into OUT.unverified, and `verify` compares them with the
checkpoint. Only if every check passes does the folder get the name OUT, so a directory of that name
can be used: `gemscope detect --model OUT`. If one fails, OUT.unverified stays for a look, and the
exit code is 1. The whole model is in memory in f32 for the comparison; where it has no room,
`graphs` exports without one.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from gemscope.onnx_export.graphs import DTYPES, dtypes_of, export
from gemscope.onnx_export.refusal import RefusalError, read_config, weight_bytes, weight_files

BUDGETS = (70, 280)
NEEDED = ("tokenizer.json", "chat_template.jinja")
"""Without these there is nothing to ask."""
COPIES = 3
"""In memory while graphs are compared: the model in f32, the file that it comes from, the
graphs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, help="folder of a checkpoint: config.json, safetensors, tokenizer"
    )
    parser.add_argument("out", type=Path, help="folder to make; it must not be there")
    names = ", ".join(DTYPES)
    parser.add_argument(
        "--dtype",
        default="fp32",
        help=f"one or more of {names}, separated by commas (default: %(default)s)",
    )
    budgets = ",".join(map(str, BUDGETS))
    parser.add_argument(
        "--budgets", default=budgets, help="of soft tokens to compare at (default: %(default)s)"
    )
    parser.add_argument(
        "--images",
        type=Path,
        help="folder with pictures to compare with (default: as for `verify`)",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    checkpoint, out = arguments.checkpoint, arguments.out
    dtypes = dtypes_of(arguments.dtype)
    read_config(checkpoint)
    weight_files(checkpoint)
    for name in NEEDED:
        if not (checkpoint / name).exists():
            raise RefusalError(f"{checkpoint}: no {name}: it comes with the checkpoint")
    unverified = out.with_name(f"{out.name}.unverified")
    for folder in (out, unverified):
        if folder.exists():
            raise RefusalError(f"{folder}: is there already; remove it, or give another name")
    _check_memory(checkpoint)
    # Torch takes long to import, and is not needed for any of the errors above.
    from gemscope.onnx_export.verify import budgets_of, verify

    budgets = budgets_of(arguments.budgets)
    failed = 0
    try:
        for name in dtypes:
            dtype, quantization = DTYPES[name]
            export(checkpoint, unverified, dtype, quantization)
            checks = verify(checkpoint, unverified, dtype, quantization, arguments.images, budgets)
            failed += sum(not check.passed for check in checks)
    except BaseException:
        shutil.rmtree(unverified, ignore_errors=True)
        raise
    if failed:
        raise SystemExit(
            f"{failed} checks failed: the graphs are in {unverified}, and not in {out}"
        )
    unverified.rename(out)
    print(f"{out}: equal to Hugging Face in every check; gemscope detect --model {out}")


def _check_memory(checkpoint: Path) -> None:
    """Raises `RefusalError` rather than being killed. Where the system does not say what is free,
    nothing is checked."""
    needed = COPIES * weight_bytes(checkpoint, 4)
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(
                int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")
            )
    except (OSError, ValueError, StopIteration):
        return
    if needed > free:
        raise RefusalError(
            f"comparing takes about {needed / 1e9:.0f} GB of memory, "
            f"and {free / 1e9:.0f} GB are free; "
            "`graphs` exports without comparing, in about 1 GB"
        )
