"""What the package is made on, in Rust. Private: use the names of `gemscope`."""

from collections.abc import Callable
from os import PathLike
from typing import TypeAlias, TypedDict, final

__all__ = ["Engine", "list_images", "parse", "read_run", "ready_rubric", "main", "sections"]

#: name, path, bytes of a file or RGB pixels, (width, height) of pixels, EXIF orientation
_Image: TypeAlias = tuple[
    str, str | PathLike[str] | None, bytes | None, tuple[int, int] | None, int
]

class _Asked(TypedDict):
    inputs: list[str]
    out: str
    pipeline: str | None
    rubric: str | None
    generation: str | None
    group_by: str | None
    sort: str | None
    fresh: bool
    retry_failed: bool
    adopt: bool

@final
class Engine:
    def __new__(cls, settings: str, onnxruntime: str | None) -> Engine: ...
    def answer(self, settings: str, rubric: str | None, images: list[_Image]) -> list[str]: ...
    def run(
        self,
        settings: str,
        onnxruntime: str | None,
        asked: _Asked,
        progress: Callable[[int, int], object] | None,
    ) -> str: ...
    def unload(self) -> None: ...
    @property
    def device(self) -> str | None: ...

def list_images(
    inputs: list[str], out: str | PathLike[str], settings: str
) -> tuple[PathLike[str], list[str]]: ...
def main(arguments: list[str], onnxruntime: str | None) -> int: ...
def parse(text: str, width: int, height: int, settings: str) -> str: ...
def read_run(
    run: str | PathLike[str], settings: str, keep_missing: bool
) -> tuple[list[str], str, list[str]]: ...
def ready_rubric(settings: str, demo: bool) -> str: ...
def sections() -> list[tuple[str, list[str]]]: ...
