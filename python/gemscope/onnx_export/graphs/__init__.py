"""`graphs CHECKPOINT OUT`: a Gemma 4 checkpoint to ONNX, in the layout of the onnx-community repositories that transformers.js reads.

OUT/onnx gets `vision_encoder`, `embed_tokens` and `decoder_model_merged`, each with a suffix that says its number format; OUT gets the tokenizer, the template and the
configurations beside. All variants of Gemma 4 are taken by their configurations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gemscope.onnx_export.refusal import RefusalError, read_config, weight_files

GRAPHS = ("vision", "embed", "decoder")
SUFFIXES = {
    ("f32", "none"): "",
    ("f16", "none"): "_fp16",
    ("f32", "q4"): "_q4",
    ("f16", "q4"): "_q4f16",
    ("f32", "q8"): "_quantized",
    ("f32", "int8"): "_int8",
}
"""By dtype and quantization, as transformers.js names them; other pairs have no name there."""
DTYPES = {
    "fp32": ("f32", "none"),
    "fp16": ("f16", "none"),
    "q8": ("f32", "q8"),
    "int8": ("f32", "int8"),
    "q4": ("f32", "q4"),
    "q4f16": ("f16", "q4"),
}
"""The same pairs by the names of gemscope's --dtype."""
QUANTIZATIONS = ("q4", "q8", "int8")
ATTENTION = ("plain", "fused")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint: config.json, safetensors, tokenizer")
    parser.add_argument("out", type=Path, help="folder to write to; graphs of other formats may be there already")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32", help="of weights, cache and logits (default: %(default)s)")
    parser.add_argument(
        "--quantize",
        choices=("none", *QUANTIZATIONS),
        default="none",
        help="weights in 4 or 8 bits; int8: in 8, multiplied in a way that is fast for many rows (default: %(default)s)",
    )
    parser.add_argument(
        "--attention", choices=ATTENTION, default="plain", help="of the decoder: written out, or one operator a layer, for cards (default: %(default)s)"
    )
    parser.add_argument("--cuda", action="store_true", help="what a card is best given: --dtype f16 --quantize q4 --attention fused")
    parser.add_argument("--graphs", default=",".join(GRAPHS), help="which to write, separated by commas (default: %(default)s)")
    parser.add_argument("--audio-stub", action="store_true", help="also write an audio_encoder that does nothing; transformers.js insists on one")
    parser.add_argument("--inline-limit", type=int, default=1000, metavar="MB", help="weights larger than this are files of their own (default: %(default)s)")
    parser.set_defaults(command=run)


def dtypes_of(text: str) -> list[str]:
    """Names of `DTYPES` that are separated by commas."""
    names = text.split(",")
    if unknown := set(names) - set(DTYPES):
        raise RefusalError(f"--dtype: {', '.join(sorted(unknown))} is none of {', '.join(DTYPES)}")
    return names


def run(arguments: argparse.Namespace) -> None:
    if arguments.cuda:
        arguments.dtype, arguments.quantize, arguments.attention = "f16", "q4", "fused"
    if (arguments.dtype, arguments.quantize) not in SUFFIXES:
        raise RefusalError(f"--dtype {arguments.dtype} --quantize {arguments.quantize}: transformers.js has no name for such a file; use f32")
    chosen = arguments.graphs.split(",")
    if unknown := set(chosen) - set(GRAPHS):
        raise RefusalError(f"--graphs: {', '.join(sorted(unknown))} is none of {', '.join(GRAPHS)}")
    fused = arguments.attention == "fused"
    export(arguments.checkpoint, arguments.out, arguments.dtype, arguments.quantize, chosen, arguments.inline_limit * 1_000_000, fused)
    if arguments.audio_stub:
        from gemscope.onnx_export.graphs.files import write_audio_stub

        write_audio_stub(arguments.out / "onnx" / f"audio_encoder{SUFFIXES[arguments.dtype, arguments.quantize]}.onnx")


def export(
    folder: Path,
    out: Path,
    dtype: str = "f32",
    quantization: str = "none",
    chosen: list[str] | tuple[str, ...] = GRAPHS,
    inline_limit: int = 10**9,
    fused: bool = False,
) -> None:
    # Before torch is imported, which takes long.
    read_config(folder)
    weight_files(folder)
    from gemscope.onnx_export.graphs import build, files, quantize
    from gemscope.onnx_export.graphs.attention import use_f16, use_fused
    from gemscope.onnx_export.graphs.checkpoint import Checkpoint

    checkpoint = Checkpoint(folder)
    if dtype == "f16":
        use_f16(checkpoint.model)
    if fused:
        use_fused(checkpoint.model)
    suffix = SUFFIXES[dtype, quantization]
    data_files = {}
    for name in chosen:
        graph = build.BUILDERS[name](checkpoint)
        if quantization != "none":
            quantize.quantize(graph, quantization)
        data_files[f"{graph.name}{suffix}.onnx"] = files.write_graph(graph, checkpoint, out / "onnx", suffix, inline_limit)
    files.copy_side_files(checkpoint, out, data_files)
