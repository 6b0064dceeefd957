"""Whether Python's huggingface_hub and gemscope use one cache.

    pip install huggingface_hub && python python/checks/hub_cache.py GEMSCOPE

Against a hub of its own on this machine (the real one is not asked): what `gemscope model download` wrote is opened by
`snapshot_download` and `hf_hub_download` offline, and by `scan_cache_dir`; what `snapshot_download` wrote is opened by gemscope
offline, and not fetched again; a lock that Python holds is waited for; both again without links.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "fixtures/demo-model"
NAME, COMMIT, LARGE = "demo/shapes-ONNX", "0123456789abcdef0123456789abcdef01234567", 10_000
FILES = {path.relative_to(MODEL).as_posix(): path.read_bytes() for path in MODEL.rglob("*") if path.is_file()}
PATTERNS = ["*.json", "*.jinja", "onnx/vision_encoder.onnx", "onnx/embed_tokens.onnx", "onnx/decoder_model_merged.onnx"]


def sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict:
    found = {"type": "file", "path": path, "size": len(content), "oid": sha1(content)}
    if len(content) >= LARGE:
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found


class Hub(BaseHTTPRequestHandler):
    cdn = ""
    fetched: list[str] = []

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == f"/api/models/{NAME}/revision/main":
            siblings = [{"rfilename": name} for name in FILES]
            self.answer(200, json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(f"/api/models/{NAME}/tree/"):
            self.answer(200, json.dumps([entry(*file) for file in FILES.items()]).encode())
        elif path.startswith(f"/{NAME}/resolve/"):
            name = path.split("/", 5)[5]
            content = FILES[name]
            large = len(content) >= LARGE
            tag = hashlib.sha256(content).hexdigest() if large else sha1(content)
            headers = {"X_Repo_Commit": COMMIT, "X_Linked_Etag": f'"{tag}"', "X_Linked_Size": str(len(content)), "ETag": f'"{tag}"'}
            if large:
                self.answer(302, Location=f"{self.cdn}/{name}", **headers)
            else:
                self.answer(200, content, **headers)
        elif path.lstrip("/") in FILES:
            self.fetched.append(path)
            self.answer(200, FILES[path.lstrip("/")])
        else:
            self.answer(404)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def serve() -> str:
    hub, cdn = (ThreadingHTTPServer(("127.0.0.1", 0), Hub) for _ in range(2))
    for server in (hub, cdn):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.cdn = f"http://localhost:{cdn.server_port}"  # another host than the hub, or its redirects are taken for the hub's own
    return f"http://127.0.0.1:{hub.server_port}"


def python(code: str, **variables: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def gemscope(command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run([command, *arguments], env={**os.environ, **variables}, capture_output=True, text=True)


def main() -> None:
    command, endpoint = sys.argv[1], serve()
    download = ["model", "download", NAME, "--dtype", "fp32"]
    for links in (True, False):
        way = {} if links else {"HF_HUB_DISABLE_SYMLINKS": "1"}
        with tempfile.TemporaryDirectory() as home:
            settings = {"HF_HOME": home, "HF_ENDPOINT": endpoint, **way}
            done = gemscope(command, *download, **settings)
            assert done.returncode == 0, done.stderr
            snapshot = done.stdout.strip()
            offline = {**settings, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
            opened = python(f"from huggingface_hub import snapshot_download as s; print(s({NAME!r}))", **offline)
            assert opened == snapshot, (opened, snapshot)
            file = python(f"from huggingface_hub import hf_hub_download as h; print(h({NAME!r}, 'onnx/embed_tokens.onnx'))", **offline)
            assert Path(file).read_bytes() == FILES["onnx/embed_tokens.onnx"]
            scanned = python(
                "from huggingface_hub import scan_cache_dir as s; c = s(); r = next(iter(c.repos)); "
                "print(len(c.repos), len(c.warnings), r.repo_id, r.size_on_disk)",
                **settings,
            )
            assert scanned.startswith(f"1 0 {NAME} "), scanned
            print(f"links {links}: huggingface_hub opens offline what gemscope wrote ({scanned})")
        with tempfile.TemporaryDirectory() as home:
            settings = {"HF_HOME": home, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", **way}
            code = f"from huggingface_hub import snapshot_download as s; print(s({NAME!r}, allow_patterns={PATTERNS!r}))"
            snapshot = python(code, **settings)
            offline = {**settings, "HF_HUB_OFFLINE": "1"}
            done = gemscope(command, *download, **offline)
            assert done.returncode == 0 and done.stdout.strip() == snapshot, done.stderr
            inspected = gemscope(command, "model", "inspect", NAME, "--device", "cpu", **offline)
            assert inspected.returncode == 0, inspected.stderr
            Hub.fetched.clear()
            done = gemscope(command, *download, "--json", **settings)
            assert json.loads(done.stdout)["files_fetched"] == 0 and not Hub.fetched, (done.stdout, Hub.fetched)
            listed = gemscope(command, "model", "list", **settings).stdout
            assert f"{NAME}  fp32" in listed, listed
            print(f"links {links}: gemscope opens offline what huggingface_hub wrote")
    with tempfile.TemporaryDirectory() as home:
        settings = {"HF_HOME": home, "HF_ENDPOINT": endpoint}
        tag = hashlib.sha256(FILES["onnx/decoder_model_merged.onnx"]).hexdigest()
        lock = Path(home, "hub/.locks/models--demo--shapes-ONNX", f"{tag}.lock")
        hold = f"import time; from huggingface_hub.utils import WeakFileLock as w; l = {str(lock)!r}\nwith w(l): print('held', flush=True); time.sleep(4)"
        lock.parent.mkdir(parents=True)
        held = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
        held.stdout.readline()
        began = time.monotonic()
        done = gemscope(command, *download, **settings)
        assert done.returncode == 0 and "waiting for it" in done.stderr, done.stderr
        assert time.monotonic() - began > 2, "it did not wait"
        held.wait()
        print("a lock that Python holds is waited for")


if __name__ == "__main__":
    main()
