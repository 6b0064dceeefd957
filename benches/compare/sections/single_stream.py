"""One image after the other: how much of the wall time is outside ONNX Runtime, how near to memory's bandwidth decoding is, and whether the tokens are everybody's."""

from __future__ import annotations

import statistics
from typing import Any

import data
import machine
import programs

from sections import Context, in_turn, say, table, verdict

TITLE = "Single stream"
FORMATS = {"f32": "", "q4": "_q4"}


def measure(context: Context) -> dict[str, Any]:
    model = data.midsize_model(context.work)
    folder = data.folder_of(context.work, context.images(12), "photos")
    images = sorted(folder.iterdir())
    result: dict[str, Any] = {
        "images": len(images),
        "max_new_tokens": context.max_new_tokens,
        "read_bandwidth": machine.read_bandwidth(),
        "copy_bandwidth": machine.copy_bandwidth(),
        "formats": {},
    }
    for name, suffix in FORMATS.items():
        say(f"single stream: {name}")
        runs: list[programs.Run] = []

        def run(dtype: str = suffix.lstrip("_") or "fp32") -> float:
            flags = ("--batch=1", "--decoding=free", f"--dtype={dtype}")
            runs.append(programs.gemscope(model, [folder], *flags, max_new_tokens=context.max_new_tokens))
            return runs[-1].summary["wall_seconds"] / runs[-1].tokens()

        values = in_turn(context.turns, {"seconds a token": run})
        inside = [run.summary["onnx_runtime_seconds"] for run in runs]
        decode = [run.effort("decode_seconds") for run in runs]
        bytes_read = _decoder_bytes(model, suffix)
        tokens = runs[0].tokens()
        result["formats"][name] = {
            "seconds_a_token": values["seconds a token"],
            "wall_over_inside": statistics.median(run.summary["wall_seconds"] / seconds for run, seconds in zip(runs, inside, strict=True)),
            "decoder_bytes": bytes_read,
            "decode_seconds_a_token": statistics.median(seconds / tokens for seconds in decode) if all(decode) else None,
            "command": " ".join(runs[0].command),
            "left_out": runs[0].left_out,
        }
    return result


def _decoder_bytes(model: data.Model, suffix: str) -> int:
    """The decoder's weights, all of which every token needs: the head is one of them, tables that rows are looked up in are in another graph."""
    return sum(path.stat().st_size for path in (model.onnx / "onnx").glob(f"decoder_model_merged{suffix}.onnx*"))


def show(result: dict[str, Any]) -> str:
    rows, verdicts, lines = [], [], []
    bandwidth = result["read_bandwidth"]
    for name, measured in result["formats"].items():
        token = statistics.median(measured["seconds_a_token"])
        floor = measured["decoder_bytes"] / bandwidth
        decode = measured["decode_seconds_a_token"]
        share = f"{floor / decode:.0%}" if decode else ""
        rows.append([
            name, f"{token * 1000:.1f}", f"{measured['wall_over_inside']:.3f}", f"{measured['decoder_bytes'] / 1e6:.0f}", f"{floor * 1000:.1f}",
            f"{decode * 1000:.1f}" if decode else "", share,
        ])  # fmt: skip
        verdicts.append(f"- {name}: wall time a token {verdict(measured['wall_over_inside'], 1.05, at_least=False)} times the time inside ONNX Runtime.")
        lines.append(f"    {measured['command']}")
    header = ["weights", "ms a token, everything", "wall / inside ONNX Runtime", "decoder MB", "roofline, ms", "decode step, ms a token", "roofline / decode step"]
    intro = (
        f"Mid-size model, {result['images']} photographs at a budget of 70, {result['max_new_tokens']} tokens each, one row at a time. *Everything* has loading, vision and prefill in "
        f"it. Roofline: the decoder's bytes over the bandwidth at which all cores read memory, here measured as {bandwidth / 1e9:.1f} GB/s "
        f"(one core copies {result['copy_bandwidth'] / 1e9:.1f} GB/s, read and written)."
    )
    return "\n\n".join([intro, table(header, rows), "\n".join(verdicts), "\n".join(lines)])
