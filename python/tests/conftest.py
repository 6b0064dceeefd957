"""What the tests share. They run on an installed wheel, with the bundled model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gemscope
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHAPES = ROOT / "fixtures" / "shapes"
PHOTOS = ROOT / "fixtures" / "photos"
LABELS = "star,red circle"


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMSCOPE_MODEL", "GEMSCOPE_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def detector() -> gemscope.Detector:
    """The demo model by its name: it may be asked anything."""
    return gemscope.Detector("demo")


@pytest.fixture(scope="session")
def shapes() -> list[Path]:
    return images_in(SHAPES)


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix not in (".json", ".md"))


def command(*words: str | os.PathLike[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the wheel's command."""
    words = (Path(sys.executable).with_name("gemscope"), *words)
    return subprocess.run([os.fspath(word) for word in words], capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]
