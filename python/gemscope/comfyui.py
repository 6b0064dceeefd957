"""Gemscope in ComfyUI: a node that judges pictures by a rubric, and passes on score, verdict and picture.

One file in ComfyUI's folder of custom nodes, say ``custom_nodes/gemscope_nodes.py``:

    from gemscope.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

Gemscope has to be installed into ComfyUI's own Python.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._detector import Detector
from ._images import ImageLike

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "GemscopeCritic"]

_BUDGETS = ["default", "70", "140", "280", "560", "1120"]


#: The one that judged last.
_KEPT: dict[tuple[str, str, str], Detector] = {}


def _detector(model: str, device: str, budget: str) -> Detector:
    asked = (model, device, budget)
    if asked not in _KEPT:
        _KEPT.clear()
        tokens = None if budget == "default" else int(budget)
        _KEPT[asked] = Detector(model or None, device=device, budget=tokens)
    return _KEPT[asked]


class GemscopeCritic:
    """A node: each picture of a batch is judged, and goes on by itself with its score and verdict."""

    CATEGORY = "image/gemscope"
    DESCRIPTION = "Judges pictures by a rubric: score 0 to 1, and keep, review or reject"
    FUNCTION = "judge"
    RETURN_TYPES = ("FLOAT", "STRING", "IMAGE")
    RETURN_NAMES = ("score", "verdict", "image")
    # A batch becomes a list, so that what follows is done for each picture.
    OUTPUT_IS_LIST = (True, True, True)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes, in ComfyUI's words."""
        return {
            "required": {
                "image": ("IMAGE",),
                "model": ("STRING", {"default": "", "tooltip": "A directory, or OWNER/NAME"}),
                "rubric": ("STRING", {"default": "", "tooltip": "A file; none is the one for SDXL"}),
                "device": (["auto", "cpu", "cuda"],),
                "budget": (_BUDGETS, {"tooltip": "The most soft tokens of a picture"}),
                "keep_loaded": ("BOOLEAN", {"default": True}),
            },
            "optional": {
                "prompt": ("STRING", {"default": "", "forceInput": True}),
            },
        }

    def judge(
        self,
        image: Any,
        model: str,
        rubric: str,
        device: str,
        budget: str,
        keep_loaded: bool,
        prompt: str = "",
    ) -> tuple[list[float], list[str], list[Any]]:
        """Judges ``image``, float ``[batch, height, width, channels]``, 0 to 1. A picture without an answer
        has the score 0 and the rubric's verdict for such, ``review``.

        Args:
            image: ComfyUI's tensor.
            model: As that of :class:`gemscope.Detector`; none is ``$GEMSCOPE_MODEL``.
            rubric: As that of :meth:`gemscope.Detector.critique`.
            device: As that of :class:`gemscope.Detector`.
            budget: Likewise, or ``default``.
            keep_loaded: Whether the model stays in memory for the next picture.
            prompt: What the pictures were made of, for rubrics that ask about it.
        """
        detector = _detector(model.strip(), device, budget)
        pictures = [_picture(one, prompt) for one in image]
        judged = detector.critique(pictures, rubric.strip() or None)
        if not keep_loaded:
            detector.unload()
        scores = [0.0 if one.overall is None else one.overall for one in judged]
        passed = [image[place : place + 1] for place in range(len(judged))]
        return scores, [one.verdict for one in judged], passed


def _picture(tensor: Any, prompt: str) -> ImageLike:
    """A picture of ComfyUI for a detector: pixels, or a PNG file with the prompt in it."""
    values = np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)[..., :3]
    # As ComfyUI's own SaveImage does it.
    pixels: NDArray[np.uint8] = np.clip(255.0 * values, 0, 255).astype(np.uint8)
    if not prompt.strip():
        return pixels
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", prompt.strip())
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_level=1)
    return file.getvalue()


#: What ComfyUI looks for.
NODE_CLASS_MAPPINGS = {"GemscopeCritic": GemscopeCritic}
NODE_DISPLAY_NAME_MAPPINGS = {"GemscopeCritic": "Gemscope: judge"}
