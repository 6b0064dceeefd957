"""Supervision of the attention: where the decoder should look while it answers.

In: the attention weights of a forward pass and the masks of a `Segments`. Out: a loss. Without it the decoder answers about whatever is in the picture and
hardly reads the words of the question: cross-entropy alone found no way to compare words with soft tokens in thousands of steps. Three kinds of look are
taught, each to a head or two: at the words of the question, at every object that is meant, and at the object that comes next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Gemma4ForConditionalGeneration

from gemscope.onnx_export.demo.batches import Segments

AT_NAMES = ((0, 0),)
"""(layer, head) pairs that look at the words of the question."""
AT_COLOR = ((0, 1),)
"""... from a shape of the question at its own colour, so that `red circle and star` is not a bag of three words."""
AT_HEADS = ((1, 0),)
"""... at the shapes of the question."""
AT_CURRENT_WORD = ((3, 0),)
"""... at the shape that the current object answers."""
AT_ALL = ((2, 0),)
"""... at every object that is meant."""
AT_CURRENT = ((2, 1), (4, 0), (4, 1))
"""... at the object whose box is being written, or that comes next."""
_LAYERS = {layer for layer, _ in (*AT_NAMES, *AT_COLOR, *AT_HEADS, *AT_CURRENT_WORD, *AT_ALL, *AT_CURRENT)}

FLOOR = 1e-4
"""Added to the mass before the logarithm, so that one wrong look cannot dominate a batch."""


@dataclass
class Recorder:
    """Attention weights of the layers that are guided, [n, heads, s, keys] each, of the last forward pass."""

    recording: bool = False
    weights: dict[int, Tensor] = field(default_factory=dict)


_RECORDER = Recorder()


def _attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **_: object) -> tuple[Tensor, None]:
    """Attention with one key and value head; scale 1.0, as Gemma 4 has it. query [n, heads, s, d], key and value [n, 1, keys, d]."""
    batch, heads, length, size = query.shape
    scores = (query.reshape(batch, heads * length, size) @ key[:, 0].transpose(1, 2)).view(batch, heads, length, -1)
    weights = torch.softmax(scores + attention_mask, -1)
    if _RECORDER.recording and module.layer_idx in _LAYERS:
        _RECORDER.weights[module.layer_idx] = weights
    out = weights.view(batch, heads * length, -1) @ value[:, 0]
    return out.view(batch, heads, length, size).transpose(1, 2), None


def install(model: Gemma4ForConditionalGeneration) -> Recorder:
    """Makes the decoder of `model` report its attention."""
    AttentionInterface.register("recorded", _attend)
    model.model.language_model.config._attn_implementation = "recorded"
    return _RECORDER


def loss(recorder: Recorder, segments: Segments) -> dict[str, Tensor]:
    """Mean of -log(attention mass on what should be looked at) over the guided positions, for each kind of look."""
    at = segments.guided
    prefix = segments.all_cells.shape[1]
    rows = at.nonzero()[:, 0]
    names = segments.name_words[rows]
    heads = segments.head_words[rows]
    every = segments.all_cells[rows]
    current = segments.current_cells[at]

    # One gather for each layer: its backward pass fills a tensor as large as the weights.
    looked = {layer: weights.transpose(1, 2)[at] for layer, weights in recorder.weights.items()}

    def look(pairs: tuple[tuple[int, int], ...], wanted: Tensor, own: bool) -> Tensor:
        keys = slice(prefix, None) if own else slice(prefix)
        masses = [(looked[layer][:, head, keys] * wanted).sum(-1) for layer, head in pairs]
        return -(torch.stack(masses) + FLOOR).log().mean()

    def point(pairs: tuple[tuple[int, int], ...], wanted: Tensor) -> Tensor:
        row, place = (wanted >= 0).nonzero(as_tuple=True)
        masses = [recorder.weights[layer][row, head, place, prefix + wanted[row, place]] for layer, head in pairs]
        return -(torch.stack(masses) + FLOOR).log().mean() if row.numel() else torch.zeros(())

    return {
        "names": look(AT_NAMES, names, True),
        "color": point(AT_COLOR, segments.bound),
        "heads": look(AT_HEADS, torch.where(heads.sum(1, keepdim=True) > 0, heads, names), True),
        "word": point(AT_CURRENT_WORD, segments.current_word),
        "all": look(AT_ALL, every, False),
        "current": look(AT_CURRENT, current, False),
    }
