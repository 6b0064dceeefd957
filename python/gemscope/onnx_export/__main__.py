"""`python -m gemscope.onnx_export COMMAND`: one module a command; each adds its own arguments and is imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os

from gemscope.onnx_export.refusal import RefusalError, in_a_sentence

COMMANDS = {
    "shapes": "write scenes of coloured shapes and their truth.json",
    "photos": "write the photographs of fixtures/photos",
    "images": "write the files of fixtures/images, one for each image format and oddity",
    "generation_frames": "write the files of fixtures/generation, frames with the settings they were made with",
    "frames": "write frames of known quality and their truth.json, for the critique",
    "demo": "train the demo model, or evaluate it",
    "golden": "write what Hugging Face computes, for the Rust tests",
    "model": "export a checkpoint to a model directory that has been compared with Hugging Face",
    "graphs": "export a checkpoint to ONNX",
    "verify": "compare exported graphs with Hugging Face",
    "variants": "make, export and compare a tiny model of each variant",
    "midsize": "write a random model of 330 million parameters and its graphs, for benchmarks",
    "structure": "write the graphs of a random model without its weights, for doctor --gpu",
    "tiny": "write a tiny random checkpoint of a variant of Gemma 4",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gemscope.onnx_export", description="Makes the models, scenes and golden data of Gemscope.")
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from")
    parser.add_argument("command_name", metavar="COMMAND", choices=COMMANDS, help="; ".join(f"{name}: {what}" for name, what in COMMANDS.items()))
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of the command (COMMAND --help lists them)")
    chosen = parser.parse_args()

    # Every model here is a folder.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        module = importlib.import_module(f"gemscope.onnx_export.{chosen.command_name}")
        command_parser = argparse.ArgumentParser(prog=f"python -m gemscope.onnx_export {chosen.command_name}", description=module.__doc__)
        module.add_arguments(command_parser)
        arguments = command_parser.parse_args(chosen.rest)
        arguments.command(arguments)
    except RefusalError as error:
        raise SystemExit(f"{chosen.command_name}: {error}") from None
    except Exception as error:
        if chosen.traceback:
            raise
        raise SystemExit(
            f"{chosen.command_name}: {in_a_sentence(error)}; python -m gemscope.onnx_export --traceback "
            f"{chosen.command_name} ... shows where"
        ) from None


if __name__ == "__main__":
    main()
