"""What the demo model is asked, and what it should answer.

In: what is in a picture. Out: questions with the objects that they are about and the answer's text. The forms are those that Google documents for Gemma 4
(`detect person and car`, fenced JSON with `box_2d`), the words of frames.py, and `yes` or `no`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gemscope.onnx_export.demo.frames import AXES, Amounts, word
from gemscope.onnx_export.scenes import COLORS, SHAPES, Canvas, SceneObject, box_2d

ANY = "shape"
"""The label that means every object; each is then answered with its own label."""


@dataclass(frozen=True)
class Label:
    """What can be asked for: a shape, perhaps of one colour."""

    shape: str
    color: str | None = None

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}" if self.color else self.shape

    def fits(self, one: SceneObject) -> bool:
        return self.shape in (ANY, one.shape) and self.color in (None, one.color)


@dataclass(frozen=True)
class Question:
    """`about`: the objects that decide the answer, in the order of the answer. `names`: the words of the prompt that decide it."""

    kind: Literal["detect", "yes_no", "quality"]
    prompt: str
    answer: str
    about: tuple[SceneObject, ...]
    names: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    """What is asked for, in the order of the prompt."""
    answered: tuple[int, ...] = ()
    """For each of `about` the index of the label that it answers."""


def detect(labels: Sequence[Label], objects: Sequence[SceneObject], canvas: Canvas, form: str = "detect {}") -> Question:
    """One flat array over all labels, ordered by the top left corner; an object that two labels fit has the more precise one."""

    def label_of(one: SceneObject) -> Label | None:
        return max((label for label in labels if label.fits(one)), key=lambda label: label.color is not None, default=None)

    named = sorted(
        ((box_2d(one.box, canvas.width, canvas.height), label, one) for one in objects if (label := label_of(one))),
        key=lambda item: (item[0][0], item[0][1]),
    )
    lines = [f'  {{"box_2d": {box}, "label": "{one.label if label.shape == ANY else label.name}"}}' for box, label, one in named]
    body = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    prompt = form.format(" and ".join(label.name for label in labels))
    return Question(
        "detect",
        prompt,
        f"```json\n{body}\n```",
        about=tuple(one for *_, one in named),
        names=_words(labels),
        labels=tuple(labels),
        answered=tuple(labels.index(label) for _, label, _ in named),
    )


def yes_no(label: Label, objects: Sequence[SceneObject], form: str = "Is there {} in this image?") -> Question:
    about = tuple(one for one in objects if label.fits(one))
    article = "an" if label.name[0] in "aeiou" else "a"
    return Question("yes_no", form.format(f"{article} {label.name}"), "yes" if about else "no", about, _words([label]))


def quality(axis: str, amounts: Amounts, form: str = "Rate the {} of this image: bad, poor, fair, good or excellent") -> Question:
    return Question("quality", form.format(axis), word(amounts[axis]), (), (axis,))


DETECT_FORMS = ("detect {}", "detect {}", "detect {}", "Detect the {} in this image", "detect {}, output only ```json")
YES_NO_FORMS = ("Is there {} in this image?", "Is there {} in this image?", "Is there {} in this image? Answer yes or no.")
QUALITY_FORMS = (
    "Rate the {} of this image: bad, poor, fair, good or excellent",
    "How good is the {} of this image? Answer with one word: bad, poor, fair, good or excellent.",
    "{}: bad, poor, fair, good or excellent?",
    "{}",
)


def about_objects(rng: random.Random, objects: Sequence[SceneObject], canvas: Canvas) -> Question:
    """A question about what is there: half of what is asked for one by one is absent though it shares the colour or the shape of something present."""
    draw = rng.random()
    if draw < 0.15:
        return yes_no(_draw_label(rng, objects), objects, rng.choice(YES_NO_FORMS))
    if draw < 0.27:
        return detect([Label(ANY)], objects, canvas, rng.choice(DETECT_FORMS))
    if draw < 0.52:
        return detect([_draw_label(rng, objects)], objects, canvas, rng.choice(DETECT_FORMS))
    labels = list(dict.fromkeys(_crossed(rng, objects) or [_draw_label(rng, objects) for _ in range(rng.choice((2, 2, 3)))]))
    return detect(labels, objects, canvas, rng.choice(DETECT_FORMS))


def about_quality(rng: random.Random, amounts: Amounts) -> list[Question]:
    """One for each axis."""
    return [quality(axis, amounts, rng.choice(QUALITY_FORMS)) for axis in AXES]


def _draw_label(rng: random.Random, objects: Sequence[SceneObject]) -> Label:
    model = rng.choice(objects) if objects and rng.random() < 0.88 else None
    if model is None:
        color, shape = rng.choice(list(COLORS)), rng.choice(SHAPES)
    else:
        color, shape, draw = model.color, model.shape, rng.random()
        if draw < 0.22:
            shape = rng.choice(SHAPES)
        elif draw < 0.44:
            color = rng.choice(list(COLORS))
    return Label(shape, color if rng.random() < 0.7 else None)


def _crossed(rng: random.Random, objects: Sequence[SceneObject]) -> list[Label]:
    """Two labels in which the words of two objects are mixed: whoever reads them as a bag of words boxes what was not asked for."""
    if len(objects) < 2 or rng.random() < 0.4:
        return []
    one, other = rng.sample(list(objects), 2)
    return [
        Label(rng.choice((one, other)).shape, rng.choice((one.color, one.color, None))),
        Label(rng.choice((one, other)).shape, rng.choice((other.color, rng.choice(list(COLORS)), None))),
    ]


def _words(labels: Sequence[Label]) -> tuple[str, ...]:
    return tuple(word for label in labels for word in (label.color, label.shape) if word)


