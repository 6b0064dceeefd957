"""llama.cpp through llama-cpp-python, on GGUF files that its own converter made of the checkpoint: `model.gguf` (or `model_q4.gguf`) and `mmproj.gguf`. It tells text, no ids."""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import llama_cpp
from llama_cpp import mtmd_cpp
from llama_cpp.llama_chat_format import Gemma4ChatHandler

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


def open_model(arguments: argparse.Namespace) -> Callable[[Path], dict[str, Any]]:
    defaults = mtmd_cpp.mtmd_context_params_default

    def with_budget() -> Any:
        parameters = defaults()
        parameters.image_min_tokens = parameters.image_max_tokens = arguments.budget
        return parameters

    # The handler has no argument for it.
    mtmd_cpp.mtmd_context_params_default = with_budget
    threads = arguments.threads or len(os.sched_getaffinity(0))
    handler = Gemma4ChatHandler(clip_model_path=str(arguments.model / "mmproj.gguf"), verbose=False, use_gpu=False)
    model = llama_cpp.Llama(
        str(arguments.model / f"model{arguments.suffix}.gguf"), chat_handler=handler, n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False
    )

    def answer(path: Path) -> dict[str, Any]:
        url = f"data:{MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": arguments.prompt}]
        model.reset()
        told = model.create_chat_completion([{"role": "user", "content": content}], max_tokens=arguments.max_new_tokens, temperature=0.0, repeat_penalty=1.0)
        return {"text": told["choices"][0]["message"]["content"], "tokens": told["usage"]["completion_tokens"]}

    return answer


if __name__ == "__main__":
    common.run(__doc__, open_model)
