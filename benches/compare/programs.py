"""Runs what is compared, each in a process of its own: the peers of `peers/`, and Gemscope's release binary.

In: a model of `data`, images. Out: seconds and answers. Promises: a run of Gemscope starts from an empty directory; flags that this binary does not have are left out, and said so.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data import ROOT, Model

BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "gemscope"
PEERS = {
    "transformers": ("transformers_generate.py", "checkpoint"),
    "onnxruntime-genai": ("genai.py", "genai"),
    "llama.cpp": ("llama_cpp_chat.py", "gguf"),
    "ONNX loop": ("onnx_loop.py", "onnx"),
}
BATCHED_PEERS = {"transformers": "transformers_batch.py", "vLLM": "vllm_batch.py"}
PEER_SECONDS = 3600


class Unavailable(Exception):
    """A peer that is not installed, or cannot run the model; the message says why."""


def peer(name: str, model: Model, images: list[Path], max_new_tokens: int, suffix: str = "") -> dict[str, Any]:
    """What `peers/common.py` prints."""
    script, kind = PEERS[name]
    command = [sys.executable, str(ROOT / "benches/compare/peers" / script), "--model", str(getattr(model, kind)), "--prompt", model.prompt]
    command += ["--budget", str(model.budget), "--max-new-tokens", str(max_new_tokens), f"--suffix={suffix}", *map(str, images)]
    return _told(command)


def batched_peer(name: str, model: Model, images: list[Path], max_new_tokens: int, flags: tuple[str, ...], vllm: Path | None) -> dict[str, Any]:
    """What `peers/batched.py` prints. `vllm`: a Python that has it; without one, vLLM is not there."""
    if name == "vLLM" and vllm is None:
        raise Unavailable("not installed (--vllm)")
    python = str(vllm) if name == "vLLM" else sys.executable
    command = [python, str(ROOT / "benches/compare/peers" / BATCHED_PEERS[name]), "--model", str(model.checkpoint), "--prompt", model.prompt]
    command += ["--budget", str(model.budget), "--max-new-tokens", str(max_new_tokens), *flags, *map(str, images)]
    return _told(command)


def _told(command: list[str]) -> dict[str, Any]:
    paths = [str(ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PEER_SECONDS)
    except subprocess.TimeoutExpired as reason:
        raise Unavailable(f"not done after {PEER_SECONDS} s") from reason
    if ended.returncode != 0:
        raise Unavailable((ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1])
    return json.loads(ended.stdout.strip().splitlines()[-1])


_tokenizers: dict[str, Any] = {}


def text_of(model: Model, ids: list[int]) -> str:
    """As Gemscope's journal has it: without special tokens."""
    from tokenizers import Tokenizer

    tokenizer = _tokenizers.setdefault(model.name, Tokenizer.from_file(str(model.onnx / "tokenizer.json")))
    return tokenizer.decode(ids, skip_special_tokens=True)


@dataclass
class Run:
    """A finished run of Gemscope."""

    command: list[str]
    summary: dict[str, Any]
    records: list[dict[str, Any]]
    process_seconds: float
    peak_bytes: int
    left_out: list[str] = field(default_factory=list)

    def texts(self) -> dict[str, str]:
        """The first answer about each image."""
        return {record["image"]: record["answers"][0]["text"] if record["answers"] else "" for record in self.records}

    def boxes(self) -> dict[str, list[Any]]:
        return {record["image"]: [[found["label"], found["bbox"]] for found in record["detections"]] for record in self.records}

    def effort(self, figure: str) -> Any:
        """What the summary says of the model's work, or nothing where this program does not say it."""
        return self.summary.get("effort", {}).get(figure)

    def tokens(self) -> int:
        return sum(answer["tokens"]["answer"] for record in self.records for answer in record["answers"] if answer.get("tokens"))


def gemscope(model: Model, inputs: list[Path], *flags: str, labels: str | None = None, max_new_tokens: int | None = None) -> Run:
    """`gemscope detect`, with `--json` and no exports. `labels` in place of the model's prompt."""
    asked = ["--labels", labels] if labels else ["--prompt", model.prompt]
    limit = ["--max-new-tokens", str(max_new_tokens)] if max_new_tokens else []
    known, left_out = _known(flags)
    return _run("detect", model, inputs, [*asked, *limit, *known], left_out)


def critique(model: Model, inputs: list[Path], *flags: str) -> Run:
    """`gemscope critique`, with `--json` and no exports."""
    run = _run("critique", model, inputs, list(flags), [])
    return replace(run, summary=run.summary["run"])


def _run(job: str, model: Model, inputs: list[Path], flags: list[str], left_out: list[str]) -> Run:
    folder = Path(tempfile.mkdtemp(prefix="gemscope-bench-"))
    command = [str(BINARY), job, *map(str, inputs), "--model", str(model.onnx), "--budget", str(model.budget), *flags]
    command += ["--export", "none", "--json", "--out", str(folder / "run")]
    started = time.perf_counter()
    # wait4 tells the peak of this one process; getrusage only that of the largest child so far.
    with (folder / "stdout").open("wb") as output, (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(command)}\n{(folder / 'stderr').read_text()}")
    summary = json.loads((folder / "stdout").read_text())
    records = [json.loads(line) for line in (folder / "run" / "journal.jsonl").read_text().splitlines()]
    shutil.rmtree(folder)
    shown = [part.replace(str(ROOT) + os.sep, "").replace(str(folder), "OUT") for part in command]
    return Run(shown, summary, records, seconds, usage.ru_maxrss * 1024, left_out)


def _known(flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Those of the flags that the binary has, and those that it has not; `--decoding=free` form."""
    known = [flag for flag in flags if has_flag(flag.split("=")[0])]
    return known, [flag for flag in flags if flag not in known]


def has_flag(flag: str) -> bool:
    return f" {flag} " in _help() or f" {flag}\n" in _help()


@functools.cache
def _help() -> str:
    return subprocess.run([str(BINARY), "detect", "--help"], check=True, capture_output=True, text=True).stdout
