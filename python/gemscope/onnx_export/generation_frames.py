"""`generation_frames OUT`: tiny frames with the settings that they were "made" with, in the layouts of the tools that write such, whole and broken.

`expected.json` has a list `frames`: `file`, `settings` (null where the file says nothing) and `notes`, a part of each note that must be there. Nothing here was generated
by a model: prompts and settings are made up, layouts are those that the tools' source and documentation give (see the README beside the files).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from gemscope.onnx_export.provenance import made_by, write_json

USER_COMMENT = 0x9286
MAKER_NOTE = 0x927C
SOFTWARE = 0x0131
MODEL = 0x0110
MAKE = 0x010F
EXIF_DIRECTORY = 0x8769

A1111 = {
    "prompt": "a red fox in the snow, (detailed fur:1.2), <lora:winter:0.8>",
    "negative_prompt": "blurry, extra legs",
    "model": "sd_xl_base_1.0",
    "seed": 3141592653,
    "sampler": "DPM++ 2M",
    "scheduler": "Karras",
    "steps": 28,
    "cfg_scale": 6.5,
    "size": [832, 1216],
    "loras": [{"name": "winter", "weight": 0.8}],
    "software": "v1.10.1",
    "tool": "a1111",
}
A1111_LINE = (
    "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 3141592653, Size: 832x1216, Model hash: 31e35c80fc, Model: sd_xl_base_1.0, "
    'Lora hashes: "winter: 0a1b2c, Size: 1x1", TI hashes: "easy: 9f8e", Version: v1.10.1'
)
A1111_TEXT = f"{A1111['prompt']}\nNegative prompt: {A1111['negative_prompt']}\n{A1111_LINE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to: fixtures/generation")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    frames = Frames(out)
    _a1111(frames)
    _comfyui(frames)
    _invokeai(frames)
    _fooocus(frames)
    _others(frames)
    _broken(frames)
    write_json(out / "expected.json", {"made_by": made_by("python -m gemscope.onnx_export generation_frames fixtures/generation"), "frames": frames.expected})


class Frames:
    """Writes files and remembers what is expected of each."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.expected: list[dict[str, Any]] = []

    def add(self, file: str, data: bytes, settings: dict[str, Any] | None, *notes: str) -> None:
        (self.out / file).write_bytes(data)
        self.expected.append({"file": file, "settings": settings, "notes": list(notes)})


# Files


def picture() -> Image.Image:
    return Image.new("RGB", (8, 8), (90, 60, 30))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, behind: bytes = b"") -> bytes:
    """Chunks before the pixels, and some behind them."""
    rows = b"".join(b"\0" + bytes([90, 60, 30] * 8) for _ in range(8))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows, 9)) + behind + chunk(b"IEND", b"")


def text_chunk(keyword: str, text: str, encoding: str = "latin-1") -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + text.encode(encoding))


def compressed_chunk(keyword: str, text: str) -> bytes:
    return chunk(b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(text.encode("latin-1"), 9))


def international_chunk(keyword: str, text: str, compressed: bool = False) -> bytes:
    data = text.encode()
    data = zlib.compress(data, 9) if compressed else data
    return chunk(b"iTXt", keyword.encode() + b"\0" + bytes([compressed, 0]) + b"en\0" + keyword.encode() + b"\0" + data)


def pillow_png(**texts: str) -> bytes:
    """As the tools themselves write: by Pillow, which takes iTXt where Latin-1 is not enough."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword.replace("__", "-"), text)
    return saved(picture(), "PNG", pnginfo=info)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif_with_comment(comment: bytes, order: str = ">") -> bytes:
    """An EXIF block as piexif lays it out: the first directory has only the place of Exif's, and that only the comment."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.Struct(order + "HHII")
    first = struct.pack(order + "H", 1) + entry.pack(EXIF_DIRECTORY, 4, 1, 26) + bytes(4)
    second = struct.pack(order + "H", 1) + entry.pack(USER_COMMENT, 7, len(comment), 44) + bytes(4)
    return b"Exif\0\0" + mark + struct.pack(order + "I", 8) + first + second + comment


def jpeg(exif: bytes = b"", **options: Any) -> bytes:
    return saved(picture(), "JPEG", quality=80, exif=exif, **options)


def webp(exif: bytes) -> bytes:
    return saved(picture(), "WEBP", lossless=True, exif=exif)


# Tools


def _a1111(frames: Frames) -> None:
    frames.add("a1111.png", pillow_png(parameters=A1111_TEXT), A1111)
    latin = "un café, (été:1.1)"
    frames.add("a1111-latin-1.png", png(text_chunk("parameters", f"{latin}\n{A1111_LINE}")), _without(A1111, "negative_prompt") | {"prompt": latin, "loras": [{"name": "winter"}]})
    japanese = 'a sign: "猫カフェ",\nsecond line: with colons, and: commas, too: 3\n\nNegative space, one tree'
    negative = "text, watermark\nSteps: none of them"
    many_lines = f"{japanese}\nNegative prompt: {negative}\n{A1111_LINE}"
    many = A1111 | {"prompt": japanese, "negative_prompt": negative, "loras": [{"name": "winter"}]}
    frames.add("a1111-lines.png", pillow_png(parameters=many_lines), many)
    frames.add("a1111-compressed.png", png(international_chunk("parameters", many_lines, compressed=True)), many)
    frames.add("a1111-ztxt.png", png(compressed_chunk("parameters", A1111_TEXT)), A1111)
    frames.add("a1111-utf-8-in-text.png", png(text_chunk("parameters", many_lines, "utf-8")), many)
    frames.add("a1111-behind-pixels.png", png(behind=text_chunk("parameters", A1111_TEXT)), A1111)
    frames.add("a1111-only-prompt.png", pillow_png(parameters="just a fox"), {"prompt": "just a fox", "tool": "a1111"})
    frames.add("a1111-lf-at-end.png", pillow_png(parameters=A1111_TEXT.replace("\n", "\r\n") + "\r\nTemplate: a {red|blue} fox\r\n"), A1111)
    forge = A1111_LINE.replace("CFG scale: 6.5", "CFG scale: 1, Distilled CFG Scale: 3.5").replace("Version: v1.10.1", 'Hashes: {"model": "31e3", "x": "a, b"}, Version: f2.0.1')
    forge_settings = A1111 | {"cfg_scale": 1.0, "guidance": 3.5, "software": "f2.0.1"}
    frames.add("forge.png", pillow_png(parameters=A1111_TEXT.replace(A1111_LINE, forge)), forge_settings)

    big = b"UNICODE\0" + many_lines.encode("utf-16-be")
    frames.add("a1111.jpg", jpeg(exif_with_comment(big)), many)
    frames.add("a1111.webp", webp(exif_with_comment(big)), many)
    frames.add("a1111-little-endian.jpg", jpeg(exif_with_comment(b"UNICODE\0" + many_lines.encode("utf-16-le"), "<")), many)
    frames.add("a1111-other-order.jpg", jpeg(exif_with_comment(b"UNICODE\0" + many_lines.encode("utf-16-le"))), many)
    frames.add("a1111-ascii.jpg", jpeg(exif_with_comment(b"ASCII\0\0\0" + A1111_TEXT.encode())), A1111)
    frames.add("a1111-undefined.webp", webp(exif_with_comment(bytes(8) + A1111_TEXT.encode(), "<")), A1111)
    frames.add("a1111-comment.jpg", jpeg(comment=A1111_TEXT.encode()), A1111)


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"inputs": inputs, "class_type": kind, "_meta": {"title": kind}}


def comfyui_graph() -> dict[str, Any]:
    """The graph that ComfyUI starts with, for SDXL."""
    return {
        "3": _node(
            "KSampler", seed=18446744073709551615, steps=25, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1,
            model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": _node("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors"),
        "5": _node("EmptyLatentImage", width=1024, height=768, batch_size=1),
        "6": _node("CLIPTextEncode", text="a lighthouse, 海, evening light", clip=["4", 1]),
        "7": _node("CLIPTextEncode", text="people", clip=["4", 1]),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": _node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }


COMFYUI = {
    "prompt": "a lighthouse, 海, evening light",
    "negative_prompt": "people",
    "model": "sd_xl_base_1.0.safetensors",
    "seed": 18446744073709551615,
    "sampler": "euler",
    "scheduler": "normal",
    "steps": 25,
    "cfg_scale": 7.0,
    "denoise": 1.0,
    "size": [1024, 768],
    "tool": "comfyui",
}


def _comfyui(frames: Frames) -> None:
    graph = comfyui_graph()
    frames.add("comfyui.png", pillow_png(prompt=json.dumps(graph), workflow=json.dumps(_workflow())), COMFYUI)
    frames.add("comfyui-compressed.png", png(international_chunk("prompt", json.dumps(graph, ensure_ascii=False), compressed=True)), COMFYUI)
    exif = Image.Exif()
    exif[MODEL] = f"prompt:{json.dumps(graph)}"
    exif[MAKE] = f"workflow:{json.dumps(_workflow())}"
    frames.add("comfyui.webp", webp(exif.tobytes()), COMFYUI)
    frames.add("comfyui-workflow.png", pillow_png(workflow=json.dumps(_workflow())), COMFYUI | {"prompt": "a lighthouse"})
    large = _workflow() | {"extra": {"noise": _noise()}}
    frames.add("comfyui-large.png", png(compressed_chunk("workflow", json.dumps(large)), compressed_chunk("prompt", json.dumps(graph))), COMFYUI)

    with_nan = json.dumps(graph | {"10": _node("Unused", is_changed=float("nan"), limit=float("inf"), low=float("-inf"), text="NaN")})
    frames.add("comfyui-nan.png", pillow_png(prompt=with_nan), COMFYUI)

    cyclic = comfyui_graph()
    cyclic["6"] = _node("ConditioningCombine", conditioning_1=["11", 0], conditioning_2=["12", 0])
    cyclic["11"] = _node("ConditioningConcat", conditioning_to=["6", 0], conditioning_from=["12", 0])
    cyclic["12"] = _node("CLIPTextEncode", text=COMFYUI["prompt"], clip=["4", 1])
    frames.add("comfyui-cyclic.png", pillow_png(prompt=json.dumps(cyclic)), COMFYUI, "the graph goes round")
    endless = comfyui_graph()
    endless["3"]["inputs"]["latent_image"] = ["8", 0]
    endless["8"]["inputs"]["samples"] = ["3", 0]
    endless["4"] = _node("LoraLoader", lora_name="x", model=["4", 0], clip=["4", 1])
    endless["3"]["inputs"]["seed"] = ["13", 0]
    endless["13"] = _node("Reroute", value=["13", 0])
    frames.add("comfyui-endless.png", pillow_png(prompt=json.dumps(endless)), _without(COMFYUI, "model", "seed", "size") | {"loras": [{"name": "x"}]})

    _comfyui_conditioning(frames)


def _comfyui_conditioning(frames: Frames) -> None:
    combined = comfyui_graph()
    combined["3"]["inputs"] |= {"positive": ["20", 0], "negative": ["20", 1], "seed": ["26", 0]}
    combined["20"] = _node("ControlNetApplyAdvanced", strength=0.8, positive=["21", 0], negative=["7", 0], control_net=["27", 0], image=["28", 0])
    combined["21"] = _node("ConditioningCombine", conditioning_1=["22", 0], conditioning_2=["23", 0])
    combined["22"] = _node("CLIPTextEncodeSDXL", width=1024, height=1024, text_g=["24", 0], text_l=["24", 0], clip=["4", 1])
    combined["23"] = _node("CLIPTextEncode", text=["25", 0], clip=["4", 1])
    combined["24"] = _node("PrimitiveStringMultiline", value="a lighthouse")
    combined["25"] = _node("StringConcatenate", string_a="the sea", string_b=["24", 0], delimiter=" before ")
    combined["26"] = _node("Seed (rgthree)", seed=77)
    combined["27"] = _node("ControlNetLoader", control_net_name="canny.safetensors")
    combined["28"] = _node("LoadImage", image="edges.png")
    combined["3"]["inputs"]["model"] = ["29", 0]
    combined["29"] = _node("LoraLoader", lora_name="x.safetensors", strength_model=1, model=["4", 0], clip=["4", 1])
    settings = COMFYUI | {"prompt": "a lighthouse\nthe sea before a lighthouse", "seed": 77, "loras": [{"name": "x.safetensors", "weight": 1.0}]}
    frames.add("comfyui-conditioning.png", pillow_png(prompt=json.dumps(combined)), settings)

    refiner = comfyui_graph()
    refiner["3"] = _node(
        "KSamplerAdvanced", add_noise="enable", noise_seed=42, steps=25, cfg=8.0, sampler_name="euler", scheduler="normal", start_at_step=0, end_at_step=20,
        return_with_leftover_noise="enable", model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
    )
    refiner["30"] = _node(
        "KSamplerAdvanced", add_noise="disable", noise_seed=0, steps=25, cfg=8.0, sampler_name="euler", scheduler="normal", start_at_step=20, end_at_step=10000,
        return_with_leftover_noise="disable", model=["31", 0], positive=["32", 0], negative=["33", 0], latent_image=["3", 0],
    )
    refiner["31"] = _node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner_1.0.safetensors")
    refiner["32"] = _node("CLIPTextEncode", text="refined", clip=["31", 1])
    refiner["33"] = _node("CLIPTextEncode", text="", clip=["31", 1])
    refiner["8"]["inputs"]["samples"] = ["30", 0]
    frames.add("comfyui-refiner.png", pillow_png(prompt=json.dumps(refiner)), _without(COMFYUI, "denoise") | {"seed": 42, "cfg_scale": 8.0})

    custom = {
        "5": _node("EmptySD3LatentImage", width=["5b", 0], height=640, batch_size=1),
        "5b": _node("PrimitiveInt", value=960),
        "6": _node("CLIPTextEncodeFlux", clip_l="a kite", t5xxl="A kite over a field, seen from below.", guidance=3.5, clip=["11", 0]),
        "8": _node("VAEDecode", samples=["13", 0], vae=["10", 0]),
        "9": _node("SaveImage", filename_prefix="x", images=["8", 0]),
        "10": _node("VAELoader", vae_name="ae.safetensors"),
        "11": _node("DualCLIPLoader", clip_name1="t5xxl.safetensors", clip_name2="clip_l.safetensors", type="flux"),
        "12": _node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
        "13": _node("SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0], sigmas=["17", 0], latent_image=["5", 0]),
        "16": _node("KSamplerSelect", sampler_name="euler"),
        "17": _node("BasicScheduler", scheduler="simple", steps=20, denoise=1, model=["12", 0]),
        "22": _node("CFGGuider", cfg=1.5, model=["12", 0], positive=["26", 0], negative=["27", 0]),
        "25": _node("RandomNoise", noise_seed=1234567890123),
        "26": _node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
        "27": _node("ConditioningZeroOut", conditioning=["6", 0]),
    }
    flux = {
        "prompt": "a kite\nA kite over a field, seen from below.", "model": "flux1-dev.safetensors", "seed": 1234567890123, "sampler": "euler",
        "scheduler": "simple", "steps": 20, "cfg_scale": 1.5, "guidance": 3.5, "denoise": 1.0, "vae": "ae.safetensors", "size": [960, 640], "tool": "comfyui",
    }
    frames.add("comfyui-custom-sampler.png", pillow_png(prompt=json.dumps(custom)), flux)
    del custom["22"]["inputs"]["positive"], custom["22"]["inputs"]["negative"], custom["22"]["inputs"]["cfg"]
    custom["22"]["class_type"] = "BasicGuider"
    custom["22"]["inputs"]["conditioning"] = ["26", 0]
    frames.add("comfyui-basic-guider.png", pillow_png(prompt=json.dumps(custom)), _without(flux, "cfg_scale"))

    efficient = {
        "1": _node("KSampler (Efficient)", seed=5, steps=8, cfg=2.0, sampler_name="lcm", scheduler="sgm_uniform", model=["2", 0], positive=["2", 1], negative=["2", 2], latent_image=["2", 3]),
        "2": _node("Efficient Loader", ckpt_name="turbo.safetensors", positive="a boat", negative="rain", empty_latent_width=512, empty_latent_height=512),
        "3": _node("Preview Image", images=["1", 5]),
    }
    settings = {"prompt": "a boat", "negative_prompt": "rain", "model": "turbo.safetensors", "seed": 5, "sampler": "lcm", "scheduler": "sgm_uniform", "steps": 8, "cfg_scale": 2.0, "size": [512, 512], "tool": "comfyui"}
    frames.add("comfyui-efficient.png", pillow_png(prompt=json.dumps(efficient)), settings)

    two = comfyui_graph()
    two |= {"40": _node("KSampler", **(two["3"]["inputs"] | {"seed": 2})), "41": _node("VAEDecode", samples=["40", 0], vae=["4", 2]), "42": _node("SaveImage", images=["41", 0])}
    frames.add("comfyui-two-pictures.png", pillow_png(prompt=json.dumps(two)), COMFYUI, "the graph makes 2 pictures")
    frames.add("comfyui-no-sampler.png", pillow_png(prompt=json.dumps({"1": _node("LoadImage", image="x.png")})), {}, "the graph has no sampler")


def _workflow() -> dict[str, Any]:
    """What is drawn for `comfyui_graph`, with another prompt that shows which of the two was read, and a sampler that is switched off."""

    def node(number: int, kind: str, widgets: list[Any], mode: int = 0, **links: int) -> dict[str, Any]:
        inputs = [{"name": name, "type": "*", "link": link} for name, link in links.items()]
        return {"id": number, "type": kind, "mode": mode, "inputs": inputs, "outputs": [], "widgets_values": widgets, "pos": [0, 0]}

    nodes = [
        node(3, "KSampler", [18446744073709551615, "randomize", 25, 7.0, "euler", "normal", 1], model=1, positive=4, negative=6, latent_image=2),
        node(4, "CheckpointLoaderSimple", ["sd_xl_base_1.0.safetensors"]),
        node(5, "EmptyLatentImage", [1024, 768, 1]),
        node(6, "CLIPTextEncode", ["shown, but led over"], clip=3, text=10),
        node(7, "CLIPTextEncode", ["people"], clip=5),
        node(8, "VAEDecode", [], samples=7, vae=8),
        node(9, "SaveImage", ["ComfyUI"], images=9),
        node(10, "PrimitiveNode", ["a lighthouse"]),
        node(11, "Reroute", [], **{"": 11}),
        node(12, "KSampler", [1, "fixed", 2, 3.0, "x", "y", 1], mode=4, model=1, positive=4, negative=6, latent_image=12),
    ]
    links = [
        [1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"], [4, 11, 0, 3, 1, "CONDITIONING"], [5, 4, 1, 7, 0, "CLIP"],
        [6, 7, 0, 3, 2, "CONDITIONING"], [7, 12, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"], [9, 8, 0, 9, 0, "IMAGE"], [10, 10, 0, 6, 1, "STRING"],
        [11, 6, 0, 11, 0, "*"], [12, 3, 0, 12, 3, "LATENT"],
    ]
    return {"last_node_id": 12, "last_link_id": 12, "nodes": nodes, "links": links, "groups": [], "config": {}, "version": 0.4}


def _noise() -> list[int]:
    """200 KB that compress well."""
    rng = random.Random(1)
    few = [rng.randrange(1000, 9999) for _ in range(16)]
    return [few[index % 16] for index in range(34_000)]


def _invokeai(frames: Frames) -> None:
    metadata = {
        "generation_mode": "sdxl_txt2img", "positive_prompt": "a market in the rain", "negative_prompt": "cars", "width": 1024, "height": 1024, "seed": 2468013579, "rand_device": "cpu",
        "cfg_scale": 7.5, "cfg_rescale_multiplier": 0, "steps": 30, "scheduler": "dpmpp_3m_k", "model": {"key": "6b1c", "hash": "blake3:ae2c", "name": "Juggernaut XL", "base": "sdxl", "type": "main"},
        "positive_style_prompt": "", "app_version": "5.4.2",
    }
    settings = {
        "prompt": "a market in the rain", "negative_prompt": "cars", "model": "Juggernaut XL", "seed": 2468013579, "scheduler": "dpmpp_3m_k", "steps": 30, "cfg_scale": 7.5,
        "size": [1024, 1024], "software": "5.4.2", "tool": "invokeai",
    }
    frames.add("invokeai.png", pillow_png(invokeai_metadata=json.dumps(metadata)), settings)
    older = metadata | {"model": {"model_name": "Juggernaut XL", "base_model": "sdxl", "model_type": "main"}}
    frames.add("invokeai-3.png", pillow_png(invokeai_metadata=json.dumps(older)), settings)
    second = {
        "model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "model_hash": "cc6c", "app_id": "invoke-ai/InvokeAI", "app_version": "2.3.5",
        "image": {
            "prompt": [{"prompt": "a market in the rain [cars, dogs]", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "threshold": 0, "perlin": 0, "height": 512, "width": 768,
            "seed": 99, "seamless": False, "hires_fix": False, "type": "txt2img", "sampler": "k_euler_a", "variations": [],
        },
    }
    settings = {
        "prompt": "a market in the rain", "negative_prompt": "cars, dogs", "model": "stable-diffusion-1.5", "seed": 99, "sampler": "k_euler_a", "steps": 50, "cfg_scale": 7.5,
        "size": [768, 512], "tool": "invokeai",
    }
    dream = '"a market in the rain [cars, dogs]" -s 50 -S 99 -W 768 -H 512 -C 7.5 -A k_euler_a'
    frames.add("invokeai-2.png", pillow_png(sd__metadata=json.dumps(second), Dream=dream), settings)
    frames.add("invokeai-1.png", pillow_png(Dream=dream), _without(settings, "model"))


def _fooocus(frames: Frames) -> None:
    metadata = {
        "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689", "full_negative_prompt": ["blurry", "anime"],
        "full_prompt": ["cinematic still a train on a bridge . emotional", "a train on a bridge, intricate"], "guidance_scale": 4, "loras": [["sd_xl_offset", 0.1, "4852"]],
        "metadata_scheme": "fooocus", "negative_prompt": "blurry", "performance": "Speed", "prompt": "a train on a bridge", "refiner_model": "None", "refiner_switch": 0.5,
        "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "7123456789012345678", "sharpness": 2, "steps": 30,
        "styles": "['Fooocus V2']", "vae": "Default (model)", "version": "Fooocus v2.5.5",
    }
    settings = {
        "prompt": "a train on a bridge", "negative_prompt": "blurry", "model": "juggernautXL_v8Rundiffusion", "seed": 7123456789012345678, "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras", "steps": 30, "cfg_scale": 4.0, "size": [1152, 896], "loras": [{"name": "sd_xl_offset", "weight": 0.1}], "tool": "fooocus",
    }
    text = json.dumps(metadata)
    frames.add("fooocus.png", pillow_png(parameters=text, fooocus_scheme="fooocus"), settings)
    for file, write in (("fooocus.jpg", jpeg), ("fooocus.webp", webp)):
        frames.add(file, write(_fooocus_exif(text, "fooocus")), settings)
    like_a1111 = (
        "cinematic still a train on a bridge . emotional, a train on a bridge, intricate\nNegative prompt: blurry, anime\nSteps: 30, Sampler: DPM++ 2M SDE Karras, "
        "Seed: 7123456789012345678, Size: 1152x896, CFG scale: 4, Sharpness: 2, ADM Guidance: \"(1.5, 0.8, 0.3)\", Model: juggernautXL_v8Rundiffusion, Model hash: aeb7e9e689, "
        'Performance: Speed, Scheduler: karras, VAE: Default (model), Raw prompt: "a train on a bridge", Raw negative prompt: blurry, Version: Fooocus v2.5.5'
    )
    settings = _without(settings, "loras") | {"sampler": "DPM++ 2M SDE Karras", "software": "Fooocus v2.5.5"}
    frames.add("fooocus-a1111.png", pillow_png(parameters=like_a1111, fooocus_scheme="a1111"), settings)
    frames.add("fooocus-a1111.jpg", jpeg(_fooocus_exif(like_a1111, "a1111")), settings)


def _fooocus_exif(text: str, scheme: str) -> bytes:
    exif = Image.Exif()
    exif[USER_COMMENT] = text
    exif[SOFTWARE] = "Fooocus v2.5.5"
    exif[MAKER_NOTE] = scheme
    return exif.tobytes()


def _others(frames: Frames) -> None:
    comment = {"prompt": "2 birds, {{tree}}", "steps": 28, "height": 1216, "width": 832, "scale": 5.0, "uncond_scale": 0.0, "seed": 1777, "n_samples": 1, "noise_schedule": "karras", "sampler": "k_euler_ancestral", "uc": "lowres"}
    novelai = {"prompt": "2 birds, {{tree}}", "negative_prompt": "lowres", "model": "NovelAI Diffusion V4 37442FCA", "seed": 1777, "sampler": "k_euler_ancestral", "scheduler": "karras", "steps": 28, "cfg_scale": 5.0, "size": [832, 1216], "tool": "novelai"}
    data = pillow_png(Title="NovelAI generated image", Description=comment["prompt"], Software="NovelAI", Source=novelai["model"], Comment=json.dumps(comment))
    frames.add("novelai.png", data, novelai)
    swarm = {"sui_image_params": {"prompt": "a clock", "negativeprompt": "hands", "model": "xl/base", "seed": 12, "steps": 20, "cfgscale": 7, "aspectratio": "1:1", "width": 1024, "height": 1024, "sampler": "euler", "scheduler": "normal", "swarm_version": "0.9.5"}}
    settings = {"prompt": "a clock", "negative_prompt": "hands", "model": "xl/base", "seed": 12, "sampler": "euler", "scheduler": "normal", "steps": 20, "cfg_scale": 7.0, "size": [1024, 1024], "software": "0.9.5", "tool": "swarmui"}
    frames.add("swarmui.png", pillow_png(parameters=json.dumps(swarm)), settings)
    frames.add("swarmui.jpg", jpeg(exif_with_comment(b"UNICODE\0" + json.dumps(swarm).encode("utf-16-be"))), settings)

    frames.add("nothing.png", png(), None)
    frames.add("other-texts.png", pillow_png(Software="Paint 3", Comment="made by hand", Description="a fox"), None)
    frames.add("camera.jpg", jpeg(exif_with_comment(b"ASCII\0\0\0My holidays: Seed: corn, 20 steps")), None)
    frames.add("empty-parameters.png", pillow_png(parameters=" "), None)


def _broken(frames: Frames) -> None:
    whole = text_chunk("parameters", A1111_TEXT)
    start = png()[:33]
    frames.add("broken-cut.png", start + whole[:80], {"prompt": A1111["prompt"], "loras": A1111["loras"], "tool": "a1111"}, "the file ends within the text parameters")
    frames.add("broken-checksum.png", png(whole[:-4] + b"\0\1\2\3"), A1111, "the text parameters has a wrong checksum")
    graph = json.dumps(comfyui_graph())
    frames.add("broken-json.png", pillow_png(prompt=graph[:-40]), {}, "prompt is broken JSON")
    frames.add("broken-json-list.png", pillow_png(prompt="[1, 2]"), {}, "prompt is not a JSON object")
    frames.add("broken-prompt-whole-workflow.png", pillow_png(prompt=graph[:-40], workflow=json.dumps(_workflow())), COMFYUI | {"prompt": "a lighthouse"}, "prompt is broken JSON")
    packed = zlib.compress(A1111_TEXT.encode(), 9)
    frames.add("broken-zlib.png", png(chunk(b"zTXt", b"parameters\0\0" + packed[:10] + b"\xff" * 8)), {}, "the compressed text parameters is broken")
    frames.add("broken-seed.png", pillow_png(parameters=A1111_TEXT.replace("3141592653", "-1")), _without(A1111, "seed"), "Seed is not a whole number")
    bomb = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * (17 << 20), 9))
    frames.add("broken-bomb.png", png(text_chunk("parameters", A1111_TEXT), bomb), A1111, "workflow takes more than 16 MiB")
    deep = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b'{"a":' * 100_000, 9))
    frames.add("broken-deep.png", png(deep), {}, "prompt is broken JSON")
    block = exif_with_comment(b"UNICODE\0" + A1111_TEXT.encode("utf-16-be"))
    frames.add("broken-exif.webp", webp(block[:200]), {}, "the EXIF block ends before its comment does")
    round_and_round = b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, EXIF_DIRECTORY, 4, 1, 8, 8)
    frames.add("broken-exif-round.webp", webp(round_and_round), None)


def _without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}
