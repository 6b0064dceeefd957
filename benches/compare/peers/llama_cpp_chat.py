"""llama.cpp through llama-cpp-python, on GGUF files that its own converter made of the checkpoint: `model.gguf` (or `model_q4.gguf`) and `mmproj.gguf`. It tells text, no ids.

Its own rule for an image's size gives more soft tokens than the budget (80 for 70), so images are resized beforehand as Hugging Face does, which is not counted.

Soft tokens attend causally in E2B and E4B and in both directions in the larger models. llama.cpp tells them apart by the width of the text model (`mtmd_decode_use_non_causal`), which
is not E2B's in the models of the comparison, so the soft tokens are decoded here.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import llama_cpp
import torchvision.transforms.v2.functional as tvf
from llama_cpp import llama_cpp as library
from llama_cpp import mtmd_cpp
from llama_cpp.llama_chat_format import Gemma4ChatHandler
from PIL import Image
from transformers import Gemma4ImageProcessor


def open_model(arguments: argparse.Namespace) -> Callable[[Path], dict[str, Any]]:
    defaults, model_defaults = mtmd_cpp.mtmd_context_params_default, library.llama_model_default_params

    def with_budget() -> Any:
        parameters = defaults()
        parameters.image_min_tokens, parameters.image_max_tokens = 1, arguments.budget
        return parameters

    def without_amx() -> Any:
        parameters = model_defaults()
        parameters.use_extra_bufts = False
        return parameters

    # Neither the handler nor the model has an argument for it.
    mtmd_cpp.mtmd_context_params_default = with_budget
    library.llama_model_default_params = without_amx
    mtmd_cpp.mtmd_helper_eval_chunk_single = _image_causally
    threads = arguments.threads or len(os.sched_getaffinity(0))
    handler = Gemma4ChatHandler(clip_model_path=str(arguments.model / "mmproj.gguf"), verbose=False, use_gpu=False)
    model = llama_cpp.Llama(
        str(arguments.model / f"model{arguments.suffix}.gguf"), chat_handler=handler, n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    processor = Gemma4ImageProcessor(max_soft_tokens=arguments.budget)
    urls = {path: _resized(path, processor) for path in arguments.images}

    def answer(path: Path) -> dict[str, Any]:
        content = [{"type": "image_url", "image_url": {"url": urls[path]}}, {"type": "text", "text": arguments.prompt}]
        model.reset()
        told = model.create_chat_completion([{"role": "user", "content": content}], max_tokens=arguments.max_new_tokens, temperature=0.0, repeat_penalty=1.0)
        return {"text": told["choices"][0]["message"]["content"], "tokens": told["usage"]["completion_tokens"]}

    return answer


def _image_causally(mtmd: Any, context: Any, chunk: Any, past: Any, sequence: Any, _batch: int, _logits: bool, new_past: Any) -> int:
    """`mtmd_helper_eval_chunk_single` of an image as for E2B: vision tower, then one causal pass of its soft tokens. 0, or the error's code."""
    if (code := mtmd_cpp.mtmd_encode_chunk(mtmd, chunk)) != 0:
        return code
    count, width = mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk), library.llama_model_n_embd_inp(library.llama_get_model(context))
    batch = library.llama_batch_init(count, width, 1)
    batch.n_tokens = count
    ctypes.memmove(batch.embd, mtmd_cpp.mtmd_get_output_embd(mtmd), count * width * ctypes.sizeof(ctypes.c_float))
    for index in range(count):
        batch.pos[index] = past.value + index
        batch.n_seq_id[index], batch.seq_id[index][0], batch.logits[index] = 1, sequence.value, 0
    code = library.llama_decode(context, batch)
    library.llama_batch_free(batch)
    ctypes.cast(new_past, ctypes.POINTER(library.llama_pos))[0] = past.value + count
    return code


def _resized(path: Path, processor: Gemma4ImageProcessor) -> str:
    with Image.open(path) as stored:
        pixels = tvf.pil_to_tensor(stored.convert("RGB"))
    side, pooled = processor.patch_size, processor.pooling_kernel_size
    pixels = processor.aspect_ratio_preserving_resize(pixels, side, processor.max_soft_tokens * pooled**2, pooled, tvf.InterpolationMode.BICUBIC)
    out = io.BytesIO()
    tvf.to_pil_image(pixels).save(out, "PNG", compress_level=0)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


if __name__ == "__main__":
    common.run(__doc__, open_model)
