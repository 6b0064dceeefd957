"""Frames of known quality: scenes made blurred, noisy, flat, too dark or too bright.

In: a scene and how much of each defect (0 = none, 1 = as bad as it gets). Out: the picture, and for each axis the word that says how good it is.
"""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageFilter

from gemscope.onnx_export.scenes import Canvas, SceneObject, draw_scene

AXES = ("sharpness", "noise", "exposure", "contrast")
TRAINED_AXES = ("sharpness", "sharpness", "noise", "noise", "exposure", "contrast")
"""What training draws the main axis from: the two that are hard to see come twice. Evaluation asks about all alike."""
LEVELS = ("bad", "poor", "fair", "good", "excellent")
"""Worst first. Each covers a fifth of the amounts: `excellent` is less than 0.2, `bad` at least 0.8."""

Amounts = dict[str, float]
"""Axis to amount, 0..1."""

WORST_BLUR = 6.0
"""Radius of the Gaussian, pixels."""
WORST_NOISE = 50.0
"""Standard deviation per channel and pixel, of 255."""
WORST_EXPOSURE = 2.5
"""Stops, up or down."""
WORST_CONTRAST = 0.85
"""Share of the distance to the mean colour that is taken away."""
ONSET = 1.3
"""Exponent on the amounts of blur and noise: the eye sees ratios, so the small amounts are closer together."""


def word(amount: float) -> str:
    return LEVELS[max(0, min(4, int(5 * (1 - amount))))]


def draw_amounts(rng: random.Random, main_axis: str) -> Amounts:
    """One axis anywhere in 0..1; each other one is usually left alone, else at most 0.6."""
    amounts = {axis: rng.uniform(0, 0.6) if rng.random() < 0.35 else 0.0 for axis in AXES}
    amounts[main_axis] = rng.random()
    return amounts


def draw_frame(canvas: Canvas, rng: random.Random, main_axis: str) -> tuple[Image.Image, list[SceneObject], Amounts]:
    """A frame with at least one object in it, since an empty grey has neither sharpness nor exposure to speak of."""
    image, objects = draw_scene(canvas, rng, rng.choice((2, 3, 3, 4)), blur_chance=0.0)
    amounts = draw_amounts(rng, main_axis)
    return degrade(image, amounts, rng), objects, amounts


def degrade(image: Image.Image, amounts: Amounts, rng: random.Random) -> Image.Image:
    """As a camera would: optics first, then tone, then the sensor's noise."""
    if amounts["sharpness"]:
        image = image.filter(ImageFilter.GaussianBlur(blur_radius(amounts["sharpness"])))
    pixels = np.asarray(image, dtype=np.float32)
    if amounts["contrast"]:
        mean = pixels.mean(axis=(0, 1))
        pixels = mean + (pixels - mean) * (1 - WORST_CONTRAST * amounts["contrast"])
    if amounts["exposure"]:
        stops = WORST_EXPOSURE * amounts["exposure"] * rng.choice((-1, 1))
        pixels = pixels * 2.0**stops
    if amounts["noise"]:
        noise_rng = np.random.default_rng(rng.getrandbits(32))
        sigma = WORST_NOISE * amounts["noise"] ** ONSET
        pixels = np.clip(pixels, 0, 255) + noise_rng.standard_normal(pixels.shape, dtype=np.float32) * sigma
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def blur_radius(amount: float) -> float:
    return WORST_BLUR * amount**ONSET
