"""One module a section of docs/BENCHMARKS.md.

Each has `TITLE`, `measure(context) -> dict`, what is kept in docs/benchmarks.json, and `show(result) -> str`, the section's text made of nothing but that.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """Where to work and how long: `quick` is for trying the programs out, not for figures."""

    work: Path
    quick: bool
    turns: int
    max_new_tokens: int
    llama_cpp: Path | None = None
    mobius: Path | None = None
    vllm: Path | None = None

    def images(self, many: int) -> int:
        return min(many, 6) if self.quick else many


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def in_turn(turns: int, measures: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Calls each in turn, `turns` times over: what else the machine does falls on all of them."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(turns):
        for name, measure in measures.items():
            values[name].append(measure())
            say(f"  {name}, turn {turn + 1}: {values[name][-1]:.4g}")
    return values


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of neighbouring turns."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    marks = ["---", *["---:"] * (len(lines[0]) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], marks, *lines[1:]])


def verdict(value: float, limit: float, at_least: bool = True) -> str:
    met = value >= limit if at_least else value <= limit
    return f"{value:.2f} (asked: {'at least' if at_least else 'at most'} {limit:g}; {'met' if met else '**not met**'})"
