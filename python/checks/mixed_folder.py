"""Gives Gemscope a folder of all kinds of files at once, 1,000 of them, and compares its counts with what was put there.

    pip install pillow pillow-heif
    python python/checks/mixed_folder.py target/debug/gemscope

Images of every format, videos, archives, texts, damaged and empty files, wrong extensions, hidden files, links, pipes, deep and odd names; a zip with a
bomb in it is named beside the folder. Wants an ffmpeg on PATH for HEIC, AVIF and videos. Exits 1 if a count differs.
"""

import collections
import io
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

import pillow_heif
from PIL import Image, ImageDraw

pillow_heif.register_heif_opener()
SEED = 11


class Folder:
    """A folder, and what Gemscope should make of it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.random = random.Random(SEED)
        self.files = 0
        self.ok = self.failed = self.repeated = self.videos = 0
        self.passed_over: collections.Counter[str] = collections.Counter()

    def picture(self) -> Image.Image:
        image = Image.new("RGB", (64, 48), tuple(self.random.randrange(256) for _ in range(3)))
        x, y = self.random.randrange(30), self.random.randrange(20)
        ImageDraw.Draw(image).ellipse((x, y, x + 25, y + 25), fill=(200, 30, 30))
        return image

    def bytes_of(self, format_: str) -> bytes:
        buffer = io.BytesIO()
        self.picture().save(buffer, format_)
        return buffer.getvalue()

    def write(self, name: str | bytes, content: bytes) -> pathlib.Path:
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        self.files += 1
        return pathlib.Path(os.fsdecode(path))

    def images(self, count: int, format_: str, name: str) -> None:
        for index in range(count):
            self.write(name.format(index), self.bytes_of(format_))
            self.ok += 1

    def failures(self, count: int, name: str, content) -> None:
        for index in range(count):
            self.write(name.format(index), content())
            self.failed += 1

    def others(self, count: int, name: str, kind: str, content) -> None:
        for index in range(count):
            self.write(name.format(index), content())
            self.passed_over[kind] += 1


def archive(folder: Folder, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as made:
            made.writestr("a.png", folder.bytes_of("PNG"))
    else:
        with tarfile.open(fileobj=buffer, mode="w") as made:
            content = folder.bytes_of("PNG")
            entry = tarfile.TarInfo("a.png")
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def video(root: pathlib.Path) -> bytes:
    path = root / "made.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=2", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    content = path.read_bytes()
    path.unlink()
    return content


def ffmpeg_reads(content: bytes, path: pathlib.Path) -> bool:
    path.write_bytes(content)
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-f", "null", "-"], capture_output=True)
    path.unlink()
    return done.returncode == 0


def bombs(path: pathlib.Path) -> None:
    """A zip with a good image, a gigabyte of zeros called .png, and an image that says less than it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), "white").save(buffer, "PNG")
        made.writestr("good.png", buffer.getvalue())
        with made.open("zeros.png", "w") as file:
            for _ in range(1 << 10):
                file.write(bytes(1 << 20))
        # A PNG of 40,000 x 40,000 in a few bytes.
        header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        pixels = zlib.compress(bytes(1 << 20))
        made.writestr("wide.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def fill(folder: Folder, outside: pathlib.Path) -> None:
    text = lambda: b"words " * folder.random.randrange(1, 50)
    for format_, ending, count in [
        ("JPEG", "jpg", 90), ("JPEG", "JPEG", 10), ("PNG", "png", 90), ("PNG", "PNG", 10), ("WEBP", "webp", 70),
        ("GIF", "gif", 40), ("BMP", "bmp", 40), ("TIFF", "tiff", 30), ("TIFF", "tif", 20),
    ]:  # fmt: skip
        folder.images(count, format_, f"{format_.lower()}/{{}}.{ending}")
    # Old ffmpegs read AVIF alone.
    for format_, ending in [("HEIF", "heic"), ("AVIF", "avif")]:
        if ffmpeg_reads(folder.bytes_of(format_), outside / f"made.{ending}"):
            folder.images(20, format_, f"{ending}/{{}}.{ending}")
        else:
            folder.failures(20, f"{ending}/{{}}.{ending}", lambda: folder.bytes_of(format_))
    # Called by another format's name, and read by their content.
    folder.images(20, "PNG", "wrong/png-{}.jpg")
    folder.images(20, "JPEG", "wrong/jpeg-{}.png")
    folder.others(10, "wrong/image-{}.dat", ".dat", lambda: folder.bytes_of("JPEG"))
    folder.others(10, "wrong/image-{}", "images without extension", lambda: folder.bytes_of("PNG"))
    folder.failures(20, "wrong/text-{}.jpg", text)
    folder.failures(5, "wrong/pdf-{}.png", lambda: b"%PDF-1.7\n" + text())
    # Damaged.
    folder.failures(20, "damaged/empty-{}.jpg", bytes)
    folder.failures(20, "damaged/cut-{}.png", lambda: folder.bytes_of("PNG")[:60])
    folder.failures(10, "damaged/head-{}.jpg", lambda: folder.bytes_of("JPEG")[:200])
    # No images.
    folder.others(100, "other/{}.txt", ".txt", text)
    folder.others(90, "other/{}.json", ".json", lambda: b'{"a": 1}')
    folder.others(20, "other/{}.zip", ".zip", lambda: archive(folder, "zip"))
    folder.others(20, "other/{}.tar", ".tar", lambda: archive(folder, "tar"))
    folder.others(10, "other/{}.tar.gz", ".gz", lambda: b"\x1f\x8b")
    folder.others(15, "other/{}.dng", ".dng", lambda: b"II*\0")
    folder.others(10, "other/noextension{}", "without extension", text)
    # Sidecars.
    for index in range(20):
        folder.write(f"sidecars/{index}.jpg", folder.bytes_of("JPEG"))
        folder.write(f"sidecars/{index}.jpg.json", b"{}")
        folder.write(f"sidecars/{index}.xmp", b"<x/>")
        folder.ok += 1
        folder.passed_over[".json"] += 1
        folder.passed_over[".xmp"] += 1
    # Neither read nor counted.
    for index in range(15):
        folder.write(f"hidden/.{index}.jpg", folder.bytes_of("JPEG"))
        folder.write(f".hidden-{index}/a.png", folder.bytes_of("PNG"))
        folder.write(f"@eaDir/{index}.jpg", folder.bytes_of("JPEG"))
    folder.write("Thumbs.db", b"x")
    # Videos, two frames each.
    content = video(outside)
    for index in range(8):
        folder.write(f"video/{index}.mp4", content)
        folder.videos += 1
        folder.ok += 2
    for index in range(3):
        folder.write(f"video/broken-{index}.mp4", content[:300])
        folder.videos += 1
        folder.failed += 1
    # Odd names.
    for index, name in enumerate(["ünï", "комната", "部屋", "🦊", "a b", "a'b\"c", "-rf", "a\nb", "a\\b", "#t=1", "%41", "{a}", "[b]", "*"]):
        folder.images(1, "PNG", f"names/{index}-{name.replace('{', '{{').replace('}', '}}')}.png")
    for index in range(4):
        folder.write(b"names/latin-%d-\xe9.jpg" % index, folder.bytes_of("JPEG"))
        folder.ok += 1
    folder.images(1, "PNG", "/".join(["deep" * 20] * 35).lstrip("/") + "/a.png")
    folder.images(1, "PNG", "n" * 240 + ".png")
    # Links.
    links = folder.root / "links"
    links.mkdir()
    for index in range(10):
        (links / f"{index}.png").symlink_to(f"../png/{index}.png")
        folder.repeated += 1
    for index in range(3):
        (links / f"nowhere-{index}.jpg").symlink_to("gone.jpg")
        folder.failed += 1
        (links / f"nowhere-{index}.txt").symlink_to("gone.txt")
    (links / "loop").symlink_to("..")
    folder.failed += 1
    there = outside / "there"
    there.mkdir()
    (there / "a.png").write_bytes(folder.bytes_of("PNG"))
    (links / "outside").symlink_to(there)
    folder.ok += 1
    os.link(folder.root / "png/0.png", links / "hard.png")
    folder.ok += 1
    folder.files += 20
    for index in range(2):
        os.mkfifo(folder.root / f"pipe-{index}.jpg")
        folder.passed_over["pipes, sockets or devices"] += 1
    folder.files += 2
    # Whoever is not root may not read these.
    for index in range(5):
        path = folder.write(f"closed/{index}.png", folder.bytes_of("PNG"))
        path.chmod(0)
        if os.access(path, os.R_OK):
            folder.ok += 1
        else:
            folder.failed += 1


def main() -> int:
    gemscope = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as work:
        outside = pathlib.Path(work)
        root = outside / "in"
        root.mkdir()
        folder = Folder(root)
        fill(folder, outside)
        bombs(outside / "bombs.zip")
        folder.ok += 1
        folder.failed += 2
        command = [gemscope, "detect", root, outside / "bombs.zip", "--prompt", "detect shape", "--budget", "70", "--frames", "2"]
        command += ["--export", "jsonl,coco", "--out", outside / "run", "--json", "--quiet"]
        done = subprocess.run(["/usr/bin/time", "-f", "%M", *map(str, command)], capture_output=True, text=True)
        summary = json.loads(done.stdout)
        statuses = collections.Counter(summary["statuses"])
        besides = {key: summary.get(key) for key in ("passed_over", "repeated_links", "videos")}
        found = {
            "ok": sum(count for status, count in statuses.items() if status != "failed"),
            "failed": statuses["failed"],
            "images": summary["images"],
            "exit code": done.returncode,
            **besides,
        }
        expected = {
            "ok": folder.ok,
            "failed": folder.failed,
            "images": folder.ok + folder.failed,
            "exit code": 2,
            "passed_over": dict(sorted(folder.passed_over.items())),
            "repeated_links": folder.repeated,
            "videos": folder.videos,
        }
        wrong = [key for key in expected if found[key] != expected[key]]
        for key in wrong:
            print(f"{key}: {found[key]}, expected {expected[key]}")
        if wrong:
            reasons = collections.Counter(failure["reason"] for failure in summary["failures"])
            print(*(f"{count} x {reason}" for reason, count in reasons.most_common()), sep="\n")
        memory = int(done.stderr.split()[-1]) >> 10
        print(f"{folder.files} files, {expected['images']} images, {memory} MiB at most: {'wrong' if wrong else 'as expected'}")
        return 1 if wrong or memory > 2000 else 0


sys.exit(main())
