"""Where the time of a run goes."""

from __future__ import annotations

from typing import Any

import data
import programs

from sections import Context, table

TITLE = "Where the time goes"
IMAGES = 48
STAGES = ("vision_seconds", "prefill_seconds", "decode_seconds")
FORMATS = {"f32": "fp32", "q4": "q4"}


def measure(context: Context) -> dict[str, Any]:
    result: dict[str, Any] = {"runs": {}}
    demo, midsize = data.demo_model(context.work), data.midsize_model(context.work)
    scenes, photos = (data.folder_of(context.work, context.images(IMAGES), kind) for kind in ("scenes", "photos"))
    runs = {"demo, f32": programs.gemscope(demo, [scenes], "--dtype=fp32", max_new_tokens=300)}
    for name, dtype in FORMATS.items():
        runs[f"mid-size, {name}"] = programs.gemscope(midsize, [photos], f"--dtype={dtype}", "--decoding=free", max_new_tokens=context.max_new_tokens)
    for name, run in runs.items():
        summary = run.summary
        seconds = {stage: run.effort(stage) for stage in STAGES}
        seconds["outside"] = summary["wall_seconds"] - summary["onnx_runtime_seconds"]
        result["runs"][name] = {
            "wall": summary["wall_seconds"],
            "seconds": seconds,
            "start": run.process_seconds - summary["wall_seconds"],
            "steps": run.effort("decoder_steps"),
            "tokens": run.tokens(),
            "command": " ".join(run.command),
        }
    return result


def show(result: dict[str, Any]) -> str:
    rows, named = [], []
    for name, run in result["runs"].items():
        seconds = {stage: value for stage, value in run["seconds"].items() if value is not None}
        share = {stage: value / run["wall"] for stage, value in seconds.items()}
        cells = [f"{share[stage]:.1%}" if stage in share else "" for stage in (*STAGES, "outside")]
        rows.append([name, f"{run['wall']:.1f}", *cells, f"{run['start']:.1f}", run["steps"] or "", run["tokens"]])
        most = max(share, key=share.__getitem__).removesuffix("_seconds")
        named.append(f"- {name}: the next bottleneck is **{most}**.")
    header = ["run", "wall, s", "vision", "prefill", "decode", "outside ONNX Runtime", "start and end, s", "decoder steps", "tokens"]
    commands = "\n".join(f"    {run['command']}" for run in result["runs"].values())
    return "\n\n".join(["Shares of the wall time of a run. *Start and end* come on top: opening the model, writing the summary.", table(header, rows), "\n".join(named), commands])
