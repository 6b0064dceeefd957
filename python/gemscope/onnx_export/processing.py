"""Hugging Face's processor around the tokenizer of a model's folder: Gemma 4's, or that of `gemma4_unified`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from transformers import (
    BatchFeature,
    Gemma4AudioFeatureExtractor,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4UnifiedAudioFeatureExtractor,
    Gemma4UnifiedImageProcessor,
    Gemma4UnifiedProcessor,
    Gemma4UnifiedVideoProcessor,
    Gemma4VideoProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

SPECIAL_TOKENS = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
MODALITY_TOKENS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}


def processor_around(tokenizer_json: Path, chat_template: Path, model_type: str = "gemma4") -> ProcessorMixin:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_json), padding_side="left", extra_special_tokens=MODALITY_TOKENS, **SPECIAL_TOKENS
    )
    parts = {"tokenizer": tokenizer, "chat_template": chat_template.read_text(encoding="utf-8")}
    if model_type == "gemma4_unified":
        return Gemma4UnifiedProcessor(
            feature_extractor=Gemma4UnifiedAudioFeatureExtractor(),
            image_processor=Gemma4UnifiedImageProcessor(),
            video_processor=Gemma4UnifiedVideoProcessor(),
            **parts,
        )
    return Gemma4Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(), image_processor=Gemma4ImageProcessor(), video_processor=Gemma4VideoProcessor(), **parts
    )


def prompt_inputs(processor: ProcessorMixin, images: list[Image.Image], prompt: str, budget: int) -> BatchFeature:
    """What the model takes for a user's turn of images and a text."""
    content = [{"type": "image"} for _ in images] + [{"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
    return processor(text=[text], images=[images] if images else None, max_soft_tokens=budget, add_special_tokens=False, return_tensors="pt")
