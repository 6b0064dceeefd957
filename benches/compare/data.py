"""What is measured: JPEGs of known sizes, folders of images, the models. All of it is made from what the repository holds, once, in the work folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ("china.jpg", "flower.jpg", "astronaut.jpg", "chelsea.png", "rocket.png")
SIZES = {"12 MP": (4000, 3000, 800), "1 MP": (1152, 864, 432)}
"""Width, height, and how high each photograph of the mosaic is."""
JPEGS_OF_A_SIZE = 4
SEED = 4_000_037
"""Of scenes that are drawn for a measurement."""
NOISE = 4.0
"""Standard deviation in levels, as of a camera's sensor: without it an enlarged photograph is smoother, and its JPEG smaller, than a real one."""


@dataclass(frozen=True)
class Model:
    """One set of weights, in the form that each program takes."""

    name: str
    checkpoint: Path
    onnx: Path
    genai: Path
    gguf: Path
    budget: int
    prompt: str


def demo_model(work: Path, llama_cpp: Path | None = None) -> Model:
    """`llama_cpp`: where llama.cpp's converter is; without it there is no GGUF file."""
    checkpoint, gguf = ROOT / "python/demo/checkpoint", work / "demo-gguf"
    if llama_cpp:
        _convert(checkpoint, gguf, llama_cpp)
    return Model("demo", checkpoint, ROOT / "fixtures/demo-model", ROOT / "fixtures/demo-model-mobius", gguf, 70, "detect shape")


def midsize_model(work: Path, llama_cpp: Path | None = None, mobius: Path | None = None) -> Model:
    """Makes it where it is not yet: some minutes and 7 GB. `mobius`: a Python that can make onnxruntime-genai's graphs; without it there are none."""
    folder = work / "midsize"
    checkpoint, onnx, genai = folder / "checkpoint", folder / "model", folder / "mobius"
    if not (onnx / "onnx" / "decoder_model_merged_q4.onnx").exists():
        _python(["-m", "gemscope.onnx_export", "midsize", str(folder), "--fixtures", str(ROOT / "fixtures")])
    if mobius and not (genai / "chat_template.jinja").exists():
        shutil.rmtree(genai, ignore_errors=True)
        command = [str(mobius), "-m", "mobius", "build", "--config", str(checkpoint), "--runtime", "ort-genai", "--ep", "cpu", "--dtype", "f32", str(genai)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        shutil.copyfile(checkpoint / "chat_template.jinja", genai / "chat_template.jinja")
    if llama_cpp:
        _convert(checkpoint, folder / "gguf", llama_cpp)
    return Model("mid-size", checkpoint, onnx, genai, folder / "gguf", 70, "detect person")


def _convert(checkpoint: Path, out: Path, llama_cpp: Path) -> None:
    """GGUF files of a checkpoint: f32, the same in 4 bits (blocks of 32, as in the ONNX graphs), and the vision tower."""
    for name, flags in (("model.gguf", []), ("mmproj.gguf", ["--mmproj"])):
        if not (out / name).exists():
            source = _for_converter(checkpoint, out / "checkpoint")
            converter = [str(llama_cpp / "convert_hf_to_gguf.py"), str(source), "--outtype", "f32", "--outfile"]
            _python([*converter, str(out / f"part-{name}"), *flags], llama_cpp / "gguf-py")
            (out / f"part-{name}").replace(out / name)
    if not (out / "model_q4.gguf").exists():
        import llama_cpp as library

        settings = library.llama_model_quantize_default_params()
        settings.ftype = library.LLAMA_FTYPE_MOSTLY_Q4_0
        library.llama_model_quantize(str(out / "model.gguf").encode(), str(out / "part.gguf").encode(), settings)
        (out / "part.gguf").replace(out / "model_q4.gguf")


def _for_converter(checkpoint: Path, out: Path) -> Path:
    """Links to a checkpoint, with a tokenizer that llama.cpp's converter reads rightly.

    Left out is the token that Gemma's tokenizer has behind the last row of the embeddings (`<image_soft_token>`, which no prompt has): llama.cpp refuses it. Named are the tokens of a
    turn, as Google's checkpoints do: what no setting names is a text to the converter, and prompts would be spelt out in letters.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in checkpoint.iterdir():
        link = out / path.name
        if path.name not in ("tokenizer.json", "tokenizer_config.json") and not link.exists():
            link.symlink_to(path)
    tokenizer, settings, config = (json.loads((checkpoint / f"{name}.json").read_text(encoding="utf-8")) for name in ("tokenizer", "tokenizer_config", "config"))
    rows = config["text_config"]["vocab_size"]
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] < rows]
    settings |= {"sot_token": "<|turn>", "eot_token": "<turn|>"}
    for name, content in (("tokenizer", tokenizer), ("tokenizer_config", settings)):
        (out / f"{name}.json").unlink(missing_ok=True)
        (out / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return out


def jpegs(work: Path, size: str) -> list[Path]:
    """JPEGs of quality 90 and 4:2:0, mosaics of the fixtures' photographs with the noise of a sensor."""
    width, height, row = SIZES[size]
    folder = work / "jpegs"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{size.replace(' ', '').lower()}-{index}.jpg" for index in range(JPEGS_OF_A_SIZE)]
    for index, path in enumerate(paths):
        if not path.exists():
            _mosaic(width, height, row, index).save(path, quality=90, subsampling="4:2:0")
    return paths


def _mosaic(width: int, height: int, row: int, first: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    index, y = first, 0
    while y < height:
        x = 0
        while x < width:
            with Image.open(ROOT / "fixtures/photos" / PHOTOS[index % len(PHOTOS)]) as photo:
                scaled = photo.convert("RGB").resize((photo.width * row // photo.height, row), Image.Resampling.BICUBIC)
            canvas.paste(scaled, (x, y))
            index, x = index + 1, x + scaled.width
        y += row
    noise = np.random.default_rng(first).normal(0, NOISE, (height, width, 1))
    return Image.fromarray((np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8))


def folder_of(work: Path, count: int, kind: str = "scenes") -> Path:
    """A folder of `count` images, each with content of its own: `scenes` are drawn as those of the fixtures, PNG; `photos` are pieces of a mosaic, JPEG. The first of a larger
    folder are those of a smaller one."""
    folder = work / f"{kind}-{count}"
    if folder.is_dir() and sum(1 for _ in os.scandir(folder)) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pictures = {"scenes": _scenes, "photos": _pieces}[kind](count)
    suffix, settings = {"scenes": (".png", {}), "photos": (".jpg", {"quality": 90})}[kind]
    for index, picture in enumerate(pictures):
        picture.save(folder / f"{index:06}{suffix}", **settings)
    return folder


def links(work: Path, count: int) -> Path:
    """A folder of `count` hard links to the 20 scenes of the fixtures, where not what a model is shown counts, but how many files there are."""
    folder = work / f"links-{count}"
    if folder.is_dir() and sum(1 for _ in os.scandir(folder)) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sources = sorted(path for path in (ROOT / "fixtures/shapes").iterdir() if path.suffix in (".png", ".jpg"))
    for index in range(count):
        source = sources[index % len(sources)]
        target = folder / f"{index:06}{source.suffix}"
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return folder


def _scenes(count: int) -> Iterator[Image.Image]:
    """The canvases and numbers of objects of `fixtures/shapes`, in turn; other seeds than the demo model was trained and evaluated with."""
    sys.path.insert(0, str(ROOT / "python"))
    from gemscope.onnx_export.scenes import OBJECT_COUNTS, draw_scene
    from gemscope.onnx_export.shapes import PICTURES

    random = Random(SEED)
    for index in range(count):
        canvas, _ = PICTURES[index % len(PICTURES)]
        yield draw_scene(canvas, random, OBJECT_COUNTS[index % len(OBJECT_COUNTS)])[0]


def _pieces(count: int) -> Iterator[Image.Image]:
    """Pictures of 800x800 pixels, cut from a mosaic: 256 soft tokens at a budget of 280, 64 at 70."""
    random = np.random.default_rng(7)
    mosaic = _mosaic(4000, 3000, 800, 0)
    for _ in range(count):
        x, y = int(random.integers(0, 3200)), int(random.integers(0, 2200))
        yield mosaic.crop((x, y, x + 800, y + 800))


def _python(arguments: list[str], *modules: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, modules), str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=sys.stderr)
