"""Lists the clauses that a critique asks of prompts, to be looked through.

    python python/checks/clauses_asked.py PROMPTS.txt GEMSCOPE [--longest 12]

PROMPTS.txt has a prompt a line, or several lines each with lines of `---` between them. GEMSCOPE rates a grey picture with each prompt beside it by the demo model, and the
clauses of its journal are printed under the prompt. Clauses of more words than --longest are marked and counted: they may hold several things that can be checked by themselves.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

RUBRIC = """name = "clauses"
[[axis]]
name = "adherence"
kind = "yes_no"
question = "Does this image show {clause}?"
[gate]
rules = ["keep otherwise"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--longest", type=int, default=12)
    arguments = parser.parse_args()
    text = arguments.prompts.read_text(encoding="utf-8")
    prompts = [prompt.strip() for prompt in (text.split("\n---\n") if "\n---\n" in text else text.splitlines()) if prompt.strip()]
    asked = clauses(prompts, arguments.gemscope)
    long = 0
    for prompt, parts in zip(prompts, asked, strict=True):
        print(prompt)
        for part in parts:
            is_long = len(part.split()) > arguments.longest
            long += is_long
            print(f"  {'!' if is_long else '-'} {part}")
    count = sum(map(len, asked))
    print(f"{len(prompts)} prompts, {count} clauses, {long} of more than {arguments.longest} words, {sum(not parts for parts in asked)} prompts of which nothing is asked")


def clauses(prompts: list[str], gemscope: Path) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        frames, rubric = Path(folder) / "frames", Path(folder) / "rubric.toml"
        frames.mkdir()
        rubric.write_text(RUBRIC)
        for number, prompt in enumerate(prompts):
            (frames / f"{number:06}.png").write_bytes(grey())
            (frames / f"{number:06}.txt").write_text(prompt, encoding="utf-8")
        out = Path(folder) / "run"
        subprocess.run([gemscope.resolve(), "critique", frames, "--rubric", rubric, "--model", "demo", "--quiet", "--export", "none", "--out", out], check=False, stdout=subprocess.DEVNULL)
        records = [json.loads(line) for line in (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    by_name = {record["image"]: [rating["clause"] for rating in record.get("ratings", [])] for record in records}
    return [by_name.get(f"{number:06}.png", []) for number in range(len(prompts))]


def grey() -> bytes:
    """A PNG of 64 by 64 grey pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * 64) * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
