"""Images of every kind, as the extension takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    from ._native import _Image


@runtime_checkable
class ArrayLike(Protocol):
    """An array of another library: of shape ``[height, width, 3]``, uint8, RGB."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


#: An image: the path of a file; the bytes of a file; an image of Pillow; or an array of shape
#: ``[height, width, 3]``, uint8, RGB.
ImageLike: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, "PilImage", ArrayLike
]

_ORIENTATION = 0x0112


def is_one(images: object) -> bool:
    """Whether this is one image, and not several."""
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)):
        return True
    if _is_pil(images):
        return True
    shape = getattr(images, "shape", None)
    return shape is not None and len(shape) in (2, 3)


def prepare(
    images: ImageLike | Iterable[ImageLike], names: str | Sequence[str] | None, turn: bool
) -> list[_Image]:
    """Each image as the extension takes it; ``turn`` says whether EXIF orientations are applied.

    Raises:
        TypeError: for something that is no image.
        ValueError: for an array of another shape or type.
    """
    listed: list[Any] = [images] if is_one(images) else list(images)  # type: ignore[arg-type]
    if isinstance(names, str):
        names = [names]
    if names is not None and len(names) != len(listed):
        raise ValueError(f"{len(names)} names for {len(listed)} images")
    return [
        _prepare(image, None if names is None else names[index], turn, index)
        for index, image in enumerate(listed)
    ]


def _prepare(image: Any, name: str | None, turn: bool, index: int) -> _Image:
    unnamed = f"image-{index}" if name is None else name
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        if name is None:
            name = os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")
        return (name, path, None, None, 1)
    if isinstance(image, bytes):
        return (unnamed, None, image, None, 1)
    if isinstance(image, (bytearray, memoryview)) and getattr(image, "ndim", 1) == 1:
        return (unnamed, None, bytes(image), None, 1)
    if _is_pil(image):
        return _of_pil(image, unnamed, turn)
    return _of_array(image, unnamed)


def _is_pil(image: object) -> bool:
    # Without importing Pillow: who has an image of it has imported it.
    return any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(image).__mro__
    )


def _of_pil(image: PilImage, name: str, turn: bool) -> _Image:
    from PIL import Image, ImageOps

    orientation = image.getexif().get(_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    if turn and orientation != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode not in ("RGB", "RGBA", "RGBa", "L", "LA", "La", "P", "PA", "1", "CMYK", "YCbCr"):
        raise ValueError(f"{name}: an image of the mode {image.mode}; convert it to RGB")
    if image.mode != "RGB":
        # Alpha is laid over white, as Gemma's own processor does it.
        if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    return (name, None, image.tobytes(), image.size, orientation)


def _of_array(image: Any, name: str) -> _Image:
    try:
        array = np.asarray(image)
    except Exception as error:
        raise TypeError(f"{name}: a {type(image).__name__} is no image") from error
    if array.dtype == object:
        raise TypeError(f"{name}: a {type(image).__name__} is no image")
    if array.dtype != np.uint8:
        raise ValueError(f"{name}: an array of {array.dtype}; expected uint8, 0 to 255")
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        shape = "x".join(map(str, array.shape))
        raise ValueError(f"{name}: an array of the shape {shape}; expected height x width x 3, RGB")
    return (name, None, array.tobytes(), (array.shape[1], array.shape[0]), 1)
