"""`clips.json`: what `Gemma4Processor` (and that of 12B) makes of whole videos, and what the tiny checkpoint of each variant answers about them, greedily.

A clip has `total` frames of `width` x `height`: frame i is the `pattern` of `patterns`, whose x and y begin at 5i. `fps` is its rate. `indices` are the
frames that are shown, `stamps` their times in the prompt. Of fewer than 32 frames, which the processor refuses, all are given to it.

A case of `clips` has the hashes of the frames at the `hashed` places among those that are shown: `pixel_values_sha256` over [630, 768] as little-endian f32,
`position_ids_sha256` over [630, 2] as little-endian i64. `unified_pixel_values_sha256` is that of 12B's processor, over [70, 6912]. `ids_sha256` is over the
prompt's ids with the tokenizer of fixtures/gemma4, as little-endian i64.

A case of `answers` has the `model` (a folder of fixtures/variants) and the `clip`, by its place in `clips`, and then what a case of `variants.json` has.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, BatchFeature, PreTrainedModel, ProcessorMixin

from gemscope.onnx_export import tiny
from gemscope.onnx_export.golden.patterns import FORMULAS, PATTERNS
from gemscope.onnx_export.golden.variants import DIFFERENT_TOKENS, MAX_NEW_TOKENS, SMALLEST_MARGIN
from gemscope.onnx_export.processing import processor_around
from gemscope.onnx_export.provenance import made_by, sha256, write_json
from gemscope.onnx_export.reference import generate

SHOWN = 32
STEP = 5
PROMPT = "What happens in this clip?"
PROMPTS = (PROMPT, "detect red circle and star", "detect shape", "Describe this clip in detail.", "detect cat", "Is there a star?")

CLIPS = (
    ("waves", 96, 64, 40, 25.0),
    ("waves", 160, 96, 33, 30.0),
    ("noise", 64, 48, 32, 10.0),
    ("noise", 96, 160, 31, 25.0),
    ("waves", 48, 48, 5, 5.0),
    ("waves", 320, 180, 1, 24.0),
    ("noise", 101, 77, 2, 1.0),
    ("waves", 640, 360, 34, 29.970029970029973),
    ("noise", 384, 384, 64, 60.0),
    ("waves", 432, 336, 90, 23.976023976023978),
    ("noise", 33, 200, 100, 12.5),
    ("waves", 200, 33, 1000, 1.0),
    ("noise", 17, 480, 120, 29.970029970029973),
    ("waves", 480, 17, 7000, 25.0),
    ("noise", 720, 1280, 33, 59.94005994005994),
    ("waves", 1280, 720, 36, 50.0),
    ("noise", 1, 1, 32, 0.5),
    ("waves", 2, 3, 65, 15.0),
    ("noise", 500, 20, 96, 48.0),
    ("waves", 1000, 750, 33, 0.1),
)
ANSWERED = (0, 3, 4, 5)


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.json"
        tokenizer.write_bytes(gzip.decompress((fixtures / "gemma4" / "tokenizer.json.gz").read_bytes()))
        processor, unified = (
            processor_around(tokenizer, fixtures / "gemma4" / "chat_template.jinja", model_type) for model_type in ("gemma4", "gemma4_unified")
        )
    clips = [_clip(clip, processor, unified) for clip in CLIPS]
    answers = []
    for variant in tiny.VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            tiny.write(variant, Path(folder), fixtures)
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
            of_variant = processor_around(Path(folder) / "tokenizer.json", Path(folder) / "chat_template.jinja", model.config.model_type)
        answers += [_answer(variant, place, model, of_variant) for place in ANSWERED]
    write_json(
        out,
        {
            "made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only clips"),
            "patterns": FORMULAS,
            "prompt": PROMPT,
            "max_new_tokens": MAX_NEW_TOKENS,
            "clips": clips,
            "answers": answers,
        },
    )


def inputs_of(processor: ProcessorMixin, frames: np.ndarray, metadata: dict[str, Any], prompt: str) -> BatchFeature:
    """What the model takes for a user's turn of one video, of which `frames` are all that is shown, and a text."""
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
    return processor(
        text=[text], videos=[frames], video_metadata=[metadata], do_sample_frames=False, add_special_tokens=False, return_tensors="pt"
    )


def _shown(total: int) -> list[int]:
    return list(range(total)) if total < SHOWN else [i * total // SHOWN for i in range(SHOWN)]


def _frames(pattern: str, width: int, height: int, indices: list[int]) -> np.ndarray:
    draw = PATTERNS[pattern]
    # Channels first: of a frame of 1x1 pixels the other order could not be told.
    return np.stack([draw(width, height, STEP * i).transpose(2, 0, 1) for i in indices])


def _inputs(clip: tuple[str, int, int, int, float], processor: ProcessorMixin, prompt: str) -> BatchFeature:
    pattern, width, height, total, fps = clip
    indices = _shown(total)
    frames = _frames(pattern, width, height, indices)
    metadata = {"total_num_frames": total, "fps": fps, "frames_indices": indices}
    inputs = inputs_of(processor, frames, metadata, prompt)
    if total >= SHOWN:
        # The processor chooses the same ones by itself.
        sampled = processor.video_processor.sample_frames(_metadata(total, fps), num_frames=processor.video_processor.num_frames)
        assert list(sampled) == indices
    return inputs


def _metadata(total: int, fps: float) -> Any:
    from transformers.video_utils import VideoMetadata

    return VideoMetadata(total_num_frames=total, fps=fps)


def _clip(clip: tuple[str, int, int, int, float], processor: ProcessorMixin, unified: ProcessorMixin) -> dict[str, Any]:
    pattern, width, height, total, fps = clip
    inputs, of_unified = (_inputs(clip, one, PROMPT) for one in (processor, unified))
    indices = _shown(total)
    pixels, positions = inputs["pixel_values_videos"].numpy(), inputs["video_position_ids"].numpy()
    unified_pixels = of_unified["pixel_values_videos"].numpy()
    hashed = sorted({0, len(indices) // 2, len(indices) - 1})
    ids = inputs["input_ids"][0].numpy()
    video_id = processor.video_token_id
    text = processor.tokenizer.decode(ids[ids != video_id])
    stamps = [word for word in text.replace("\n", " ").split(" ") if len(word) >= 5 and word[2:3] == ":" or word[3:4] == ":"]
    assert len(stamps) == len(indices), (stamps, len(indices))
    assert (ids == of_unified["input_ids"][0].numpy()).all()
    return {
        "pattern": pattern,
        "width": width,
        "height": height,
        "total": total,
        "fps": fps,
        "indices": indices,
        "stamps": stamps,
        "soft_tokens": int((ids == video_id).sum()) // len(indices),
        "hashed": hashed,
        "pixel_values_sha256": [sha256(pixels[place], "<f4") for place in hashed],
        "position_ids_sha256": [sha256(positions[place], "<i8") for place in hashed],
        "unified_pixel_values_sha256": [sha256(unified_pixels[place], "<f4") for place in hashed],
        "input_count": len(ids),
        "ids_sha256": sha256(ids, "<i8"),
    }


def _answer(variant: str, place: int, model: PreTrainedModel, processor: ProcessorMixin) -> dict[str, Any]:
    for prompt in PROMPTS:
        inputs = _inputs(CLIPS[place], processor, prompt)
        generated = generate(model, inputs, MAX_NEW_TOKENS)
        input_ids = inputs["input_ids"][0]
        ids = generated.sequences[0, len(input_ids) :]
        best = torch.cat(generated.logits).topk(2).values
        margin = float(np.float32((best[:, 0] - best[:, 1]).min()))
        if len(ids) == MAX_NEW_TOKENS and len(ids.unique()) >= DIFFERENT_TOKENS and margin >= SMALLEST_MARGIN:
            return {
                "model": variant,
                "clip": place,
                "prompt": prompt,
                "input_count": len(input_ids),
                "input_ids_sha256": sha256(input_ids.numpy(), "<i8"),
                "ids": ids.tolist(),
                "text": processor.tokenizer.decode(ids, skip_special_tokens=True),
                "smallest_margin": margin,
            }
    raise SystemExit(f"{variant}: no answer about clip {place} is good enough")
