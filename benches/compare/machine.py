"""What the figures were measured on: processor, memory, versions, and the memory bandwidth that the roofline is drawn from."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("transformers", "torch", "torchvision", "pillow", "onnxruntime", "onnxruntime-genai", "mobius-onnx", "llama-cpp-python", "numpy")
STREAM_BYTES = 256 << 20
"""Of each thread's array: far more than any cache holds."""


def facts() -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "rustc": _output(["rustc", "--version"]),
        "commit": _output(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]),
        "versions": versions,
    }


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_bandwidth() -> float:
    """Bytes a second that all cores together read from memory, the best of ten passes: what decoding one token can have of the weights."""
    arrays = [np.ones(STREAM_BYTES // 8) for _ in range(cores())]

    def read(array: np.ndarray) -> None:
        # numpy's sum runs at the speed of memory and holds no lock.
        array.sum()

    best = 0.0
    for _ in range(10):
        threads = [threading.Thread(target=read, args=(array,)) for array in arrays]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        best = max(best, STREAM_BYTES * len(arrays) / (time.perf_counter() - started))
    return best


def copy_bandwidth() -> float:
    """Bytes a second read and written by one core's `memmove`, the best of ten passes."""
    source, target = (np.ones(STREAM_BYTES // 8) for _ in range(2))
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        ctypes.memmove(target.ctypes.data, source.ctypes.data, STREAM_BYTES)
        best = max(best, 2 * STREAM_BYTES / (time.perf_counter() - started))
    return best


def vector_features() -> str:
    """What of a processor decides how fast products are: the widest of each kind that it names."""
    flags = set(_output(["lscpu"]).split())
    kinds = {"AMX": "amx_tile", "AVX-512": "avx512f", "bf16 products": "avx512_bf16", "8-bit products (VNNI)": "avx512_vnni"}
    named = [kind for kind, flag in kinds.items() if flag in flags]
    return ", ".join(named) if named else "AVX2" if "avx2" in flags else "no AVX2"


def load() -> float:
    """Processes that wanted to run in the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _cpu() -> str:
    for line in _output(["lscpu"]).splitlines():
        if line.startswith("Model name:"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or sys.platform


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
