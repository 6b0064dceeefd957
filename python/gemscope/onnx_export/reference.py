"""What Hugging Face's model computes for a prompt: logits of every position, and greedy tokens.

For `gemma4_unified` (12B) transformers 5.23 has two masks for pictures. Its `forward`, when it is given a plain mask, lets a picture's tokens see each other on all layers and
beyond the window. Its `create_masks_for_generate`, which `generate` uses with a static cache, does so on sliding layers and inside the window only, as the other large
models do, in transformers and in Google's own code. The latter is what the graphs compute, so it is asked for here.
"""

from __future__ import annotations

import torch
from transformers import BatchFeature, PreTrainedModel
from transformers.generation import GenerateDecoderOnlyOutput


def logits_of(model: PreTrainedModel, inputs: BatchFeature) -> torch.Tensor:
    """f32 [1, tokens, vocabulary]."""
    if not _has_two_masks(model):
        return model(**inputs).logits
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    masks = model.create_masks_for_generate(
        model.config,
        inputs_embeds=embeds,
        attention_mask=inputs["attention_mask"],
        past_key_values=None,
        position_ids=None,
        mm_token_type_ids=inputs["mm_token_type_ids"],
    )
    return model(**{**inputs, "attention_mask": masks}).logits


def generate(model: PreTrainedModel, inputs: BatchFeature, count: int) -> GenerateDecoderOnlyOutput:
    """At most `count` greedy tokens after the prompt, in `sequences`, and the `logits` of each step."""
    cache = {"cache_implementation": "static"} if _has_two_masks(model) else {}
    return model.generate(**inputs, **cache, max_new_tokens=count, do_sample=False, output_logits=True, return_dict_in_generate=True)


def _has_two_masks(model: PreTrainedModel) -> bool:
    return model.config.model_type == "gemma4_unified"
