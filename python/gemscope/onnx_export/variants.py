"""`variants`: makes the tiny checkpoint of each variant of Gemma 4, exports it, compares the graphs with Hugging Face, and sums up in one table.

Ends with exit code 1 if any check of any variant fails. With `--out` the exports stay: the f32 one of E2B in OUT/E2B, the f16 one in OUT/E2B-f16, and so on. Formats: f32, f16,
and q4, q8, int8, which are f32 with weights in 4 or 8 bits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from gemscope.onnx_export import tiny
from gemscope.onnx_export.graphs import ATTENTION, QUANTIZATIONS, export
from gemscope.onnx_export.refusal import RefusalError
from gemscope.onnx_export.verify import BUDGETS, Check, budgets_of, verify

FORMATS = ("f32", "f16")
OTHER_BUDGETS = (70, 280)
"""Enough to see the number format; what depends on the budget shows in f32."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=tiny.VARIANTS, action="append", help="this variant; may be given more than once (default: all)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="separated by commas (default: %(default)s)")
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)), help="of soft tokens, in f32; a few make it quick (default: %(default)s)")
    parser.add_argument("--attention", choices=ATTENTION, default="plain", help="as for `graphs` (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="keep the exports in this folder")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the configurations and the tokenizer (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    formats = arguments.formats.split(",")
    if unknown := set(formats) - {*FORMATS, *QUANTIZATIONS}:
        raise RefusalError(f"--formats: {', '.join(sorted(unknown))} is none of {', '.join((*FORMATS, *QUANTIZATIONS))}")
    summary, failed = [], False
    budgets = budgets_of(arguments.budgets)
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.out or Path(folder) / "exports"
        for variant in arguments.only or tiny.VARIANTS:
            checkpoint = Path(folder) / variant
            tiny.write(variant, checkpoint, arguments.fixtures)
            for dtype in formats:
                exported = out / (variant if dtype == "f32" else f"{variant}-{dtype}")
                numbers, quantization = (dtype, "none") if dtype in FORMATS else ("f32", dtype)
                export(checkpoint, exported, numbers, quantization, fused=arguments.attention == "fused")
                checks = verify(checkpoint, exported, numbers, quantization, budgets=budgets if dtype == "f32" else OTHER_BUDGETS)
                failed |= not all(check.passed for check in checks)
                summary.append(_summary(variant, dtype, exported, checks))
    print("variant   format      bytes  checks  features    logits  tokens off  result", *summary, sep="\n")
    if failed:
        raise SystemExit(1)


def _summary(variant: str, dtype: str, exported: Path, checks: list[Check]) -> str:
    size = sum(path.stat().st_size for path in (exported / "onnx").iterdir())
    features, logits, tokens = (
        max(check.difference for check in checks if check.name.startswith(kind)) for kind in ("features", "logits", ("64 tokens", "tokens"))
    )
    result = "pass" if all(check.passed for check in checks) else "FAIL"
    return f"{variant:9} {dtype:6} {size:10} {len(checks):7} {features:9.1e} {logits:9.1e} {tokens:11}  {result}"
