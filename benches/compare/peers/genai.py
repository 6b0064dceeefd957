"""onnxruntime-genai on the same weights in mobius' graphs, f32. Its own image processing, which puts blank lines around the image; so its answers are compared with those
of Gemscope under `--image-newlines`. Pixels differ a little from Hugging Face's, which its processor does not promise to equal.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import onnxruntime_genai as genai
from jinja2 import Environment


def open_model(arguments: argparse.Namespace) -> Callable[[Path], dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="genai-"))
    _link(arguments.model, folder, arguments.budget, arguments.threads)
    model = genai.Model(str(folder))
    processor = model.create_multimodal_processor()
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string((arguments.model / "chat_template.jinja").read_text(encoding="utf-8"))
    content = [{"type": "image"}, {"type": "text", "text": arguments.prompt}]
    prompt = template.render(messages=[{"role": "user", "content": content}], add_generation_prompt=True, bos_token="<bos>")
    shutil.rmtree(folder)

    def answer(path: Path) -> dict[str, Any]:
        params = genai.GeneratorParams(model)
        params.set_search_options(do_sample=False, max_length=4096)
        generator = genai.Generator(model, params)
        generator.set_inputs(processor(prompt, images=genai.Images.open(str(path))))
        ids: list[int] = []
        while not generator.is_done() and len(ids) < arguments.max_new_tokens:
            generator.generate_next_token()
            ids.append(int(generator.get_next_tokens()[0]))
        return {"ids": ids}

    return answer


def _link(model: Path, folder: Path, budget: int, threads: int) -> None:
    """The model's files, with the settings that a detection run needs: the multimodal type, the budget, the threads."""
    for path in model.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
    config = json.loads((model / "genai_config.json").read_text(encoding="utf-8"))
    config["model"]["type"] = "gemma4"
    # Without it, the type expects graphs for audio.
    config["model"]["speech"] = {"config_filename": ""}
    if threads:
        for part in ("decoder", "vision", "embedding"):
            config["model"][part].setdefault("session_options", {})["intra_op_num_threads"] = threads
    _write(folder / "genai_config.json", json.dumps(config))
    processor = (model / "image_processor.json").read_text(encoding="utf-8")
    _write(folder / "image_processor.json", processor.replace('"max_soft_tokens": 280', f'"max_soft_tokens": {budget}'))


def _write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    common.run(__doc__, open_model)
