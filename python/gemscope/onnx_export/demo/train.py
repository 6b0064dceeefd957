"""Training of the demo model on CPU cores.

In: a directory to go on from, or nothing. Out: a directory with the checkpoint as Hugging Face writes it, `training.pt` (optimiser, auxiliary head, how far) and `curve.jsonl`.
Promises: stopping at any time loses at most SAVE_EVERY seconds; the same command goes on where it was.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Gemma4ForConditionalGeneration

from gemscope.onnx_export.demo import guidance, model as demo_model, settings
from gemscope.onnx_export.demo.batches import DECIDING, IGNORED, TOKENIZER, Batch, Segments, draw_batch, draw_small_frames
from gemscope.onnx_export.demo.frames import AXES
from gemscope.onnx_export.scenes import LABELS

SAVE_EVERY = 60.0
"""Seconds between checkpoints, of processor time like all times here: on a busy machine the learning rate must not fall before anything was learned."""
REPORT_EVERY = 50
"""Steps between lines of the curve."""
WARMUP = 100
"""Steps until the learning rate is reached."""
_MASKED = -1e9


class Auxiliary(nn.Module):
    """Reads off the soft tokens what is there: it trains the vision tower quickly, and the decoder then finds the digits ready. Not part of the model.

    Per soft token: object or none, which of the 24 labels, the four coordinates as numbers and as digits; and how much of each defect the whole frame
    has, wherever the token lies. That is one linear layer: what it can read off, the decoder can.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell = nn.Linear(hidden, 1 + len(LABELS) + 4 + 4 * 31)
        self.quality = nn.Linear(hidden, len(AXES))

    def forward(self, features: Tensor, cells: Tensor | None, amounts: Tensor) -> dict[str, Tensor]:
        """features [b, cells, hidden], cells [b, cells, 6] and amounts [b, 4] as in `Batch`."""
        rated = amounts[:, 0] >= 0
        quality = quality_loss(self.quality(features[rated]), amounts[rated]) if rated.any() else torch.zeros(())
        if cells is None:
            return {"quality": quality}
        said = self.cell(features)
        there = cells[..., 5] > 0
        found = F.binary_cross_entropy_with_logits(said[..., 0], there.float(), pos_weight=torch.tensor(3.0))
        if not there.any():
            return {"object": found, "quality": quality}
        classes = 1 + len(LABELS)
        box = cells[..., 1:5][there].clamp(0, 1000)
        whole = box.long()
        digits = said[..., classes + 4 :][there].view(-1, 4, 31)

        def digit_loss(start: int, end: int, wanted: Tensor) -> Tensor:
            return F.cross_entropy(digits[:, :, start:end].reshape(-1, end - start), wanted.reshape(-1))

        place = F.smooth_l1_loss(said[..., classes : classes + 4][there], box / 100, beta=0.2)
        place = place + digit_loss(0, 11, whole // 100) + 0.5 * digit_loss(11, 21, whole // 10 % 10) + 0.1 * digit_loss(21, 31, whole % 10)
        label = F.cross_entropy(said[..., 1:classes][there], cells[..., 0][there].long())
        return {"object": found, "quality": quality, "label": label, "place": place}


def quality_loss(said: Tensor, amounts: Tensor) -> Tensor:
    """said [b, cells, 4], amounts [b, 4]. The mean over the picture must be right, and every soft token should be: attention spreads what shows at edges only."""
    return F.mse_loss(said.mean(1), amounts) + 0.3 * F.mse_loss(said, amounts[:, None].expand_as(said))


def speed_up(model: Gemma4ForConditionalGeneration) -> None:
    """Compiles the vision tower's layers; under autocast to bfloat16 that halves their time on processors with AMX."""
    for layer in model.model.vision_tower.encoder.layers:
        layer.forward = torch.compile(layer.forward, dynamic=False)


class _Cache:
    """Keys and values of the prefix, for the segments: what transformers asks of a cache, and no more."""

    def __init__(self, prefix: dict[int, tuple[Tensor, Tensor]]) -> None:
        self.prefix = prefix
        self.stored: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        if layer in self.prefix:
            past_key, past_value = self.prefix[layer]
            key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
        self.stored[layer] = (key, value)
        return key, value

    def rows(self, index: Tensor) -> _Cache:
        return _Cache({layer: (key[index], value[index]) for layer, (key, value) in self.stored.items()})


class Trainer:
    def __init__(self, model: Gemma4ForConditionalGeneration, learning_rate: float, eye_rate: float = 1.0, bfloat16: bool = False) -> None:
        self.model = model
        self.bfloat16 = bfloat16
        self.recorder = guidance.install(model)
        self.auxiliary = Auxiliary(model.config.text_config.hidden_size)
        self.learning_rate = learning_rate
        self.parameters = [*model.parameters(), *self.auxiliary.parameters()]
        seeing = {id(p) for part in (model.model.vision_tower, model.model.embed_vision) for p in part.parameters()}
        groups = [
            {"params": [p for p in self.parameters if (p.ndim >= 2) == wide and (id(p) in seeing) == eye], "weight_decay": decay, "share": share}
            for eye, share in ((False, 1.0), (True, eye_rate))
            for wide, decay in ((True, 0.02), (False, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
        self.step = 0
        self.seconds = 0.0

    def train_on(self, batch: Batch, progress: float) -> dict[str, float]:
        """One step; `progress` 0..1 lowers the learning rate by half a cosine, and what only helps to learn."""
        rate = self.learning_rate * min(1.0, (self.step + 1) / WARMUP) * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        features = self.features(batch) if batch.features is None else batch.features
        # Remembered soft tokens cannot learn.
        told = self.auxiliary(features, batch.cells, batch.amounts) if features.requires_grad else {}
        help_weight = max(0.15, 1 - progress)
        weights = {"object": 0.5, "quality": 30.0, "label": 1.0, "place": 1.5}
        total = 0.5 * help_weight * sum((weights[name] * value for name, value in told.items()), torch.zeros(()))
        cache = self._prefix(batch, features)
        denominator = sum(segments.weights.sum() for segments in batch.segments)
        sums: dict[str, list[float]] = defaultdict(list)
        for segments in batch.segments:
            each, targets, target_weights = self._answers(batch, segments, cache)
            total = total + 2.0 * (each * target_weights).sum() / denominator
            looks = guidance.loss(self.recorder, segments)
            total = total + 0.5 * help_weight * sum(looks.values()) / len(batch.segments)
            _note(sums, each.detach(), targets, target_weights)
            for name, value in looks.items():
                sums[f"look_{name}"].append(value.item())
        self.optimizer.zero_grad()
        total.backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return {name: sum(values) / len(values) for name, values in sums.items()} | {name: value.item() for name, value in told.items()}

    def _share_gradients(self) -> None:
        """The mean over the processes, in one message."""
        if not distributed.is_initialized():
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self.parameters])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for parameter, gradient in zip(self.parameters, flat.split([p.numel() for p in self.parameters])):
            parameter.grad = gradient.view_as(parameter)

    def features(self, batch: Batch) -> Tensor:
        """[b, soft tokens, hidden] of the decoder."""
        pixels = batch.patches.float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            seen = self.model.model.vision_tower(pixel_values=pixels, pixel_position_ids=batch.patch_positions).last_hidden_state
        return self.model.model.embed_vision(inputs_embeds=seen.float()).view(pixels.shape[0], -1, self.model.config.text_config.hidden_size)

    def _prefix(self, batch: Batch, features: Tensor) -> _Cache:
        """Keys and values of everything before the question. The layers that share others' are not run: nothing would read what they give."""
        text = self.model.model.language_model
        size, length = features.shape[0], batch.prefix.shape[0]
        is_image = batch.prefix == self.model.config.image_token_id
        ids = torch.where(is_image, text.config.pad_token_id, batch.prefix)
        embeds = text.embed_tokens(ids).expand(size, -1, -1).masked_scatter(is_image[None, :, None], features)
        per_layer = text.project_per_layer_inputs(embeds, text.get_per_layer_inputs(ids, embeds).expand(size, -1, -1, -1))
        positions = torch.arange(length)[None]
        cache, shared = _Cache({}), {}
        distance = positions[0][:, None] - positions[0][None, :]
        hidden = embeds
        for index, layer in enumerate(text.layers[: text.first_kv_shared_layer_idx]):
            kind = text.config.layer_types[index]
            hidden = layer(
                hidden,
                per_layer[:, :, index],
                shared_kv_states=shared,
                position_embeddings=text.rotary_emb(hidden, positions, kind),
                attention_mask=_additive(_visible(distance, kind, text.config.sliding_window))[None, None],
                past_key_values=cache,
            )
        return cache

    def _answers(self, batch: Batch, segments: Segments, cache: _Cache) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy, target and weight of every target token."""
        text = self.model.model.language_model
        prefix, length = batch.prefix.shape[0], segments.ids.shape[1]
        embeds = text.embed_tokens(segments.ids)
        positions = torch.arange(prefix, prefix + length)
        distance = positions[:, None] - torch.arange(prefix + length)[None, :]
        masks = {kind: _additive(_visible(distance, kind, text.config.sliding_window))[None, None] for kind in set(text.config.layer_types)}
        self.recorder.recording = True
        hidden = text(
            inputs_embeds=embeds,
            per_layer_inputs=text.get_per_layer_inputs(segments.ids, embeds),
            attention_mask=masks,
            position_ids=positions[None],
            past_key_values=cache.rows(segments.image),
            use_cache=True,
            logits_to_keep=torch.tensor(0),
        ).last_hidden_state
        self.recorder.recording = False
        predicted = segments.targets != IGNORED
        cap = text.config.final_logit_softcapping
        logits = cap * torch.tanh(self.model.lm_head(hidden[predicted]) / cap)
        targets = segments.targets[predicted]
        return F.cross_entropy(logits, targets, reduction="none"), targets, segments.weights[predicted]


def _visible(distance: Tensor, kind: str, window: int) -> Tensor:
    seen = distance >= 0
    return seen & (distance < window) if kind == "sliding_attention" else seen


def _additive(visible: Tensor) -> Tensor:
    return torch.where(visible, 0.0, _MASKED)


_KINDS = {
    "deciding": DECIDING,
    "yes_no": tuple(TOKENIZER.token_to_id(word) for word in ("yes", "no")),
    "levels": tuple(TOKENIZER.token_to_id(word) for word in ("bad", "poor", "fair", "good", "excellent")),
}


def _note(sums: dict[str, list[float]], each: Tensor, targets: Tensor, weights: Tensor) -> None:
    """Cross-entropy by kind of token, for the curve; digits by the weight that batches.py gives to their place."""
    for name, ids in _KINDS.items():
        chosen = torch.isin(targets, torch.tensor(ids))
        if chosen.any():
            sums[name].append(each[chosen].mean().item())
    for name, weight in (("hundreds", 4.0), ("tens", 3.0), ("units", 0.5)):
        chosen = weights == weight
        if chosen.any():
            sums[name].append(each[chosen].mean().item())


def save(trainer: Trainer, out: Path) -> None:
    """Writes a directory that every Hugging Face tool can open, and what training needs to go on, which is replaced last and at once."""
    out.mkdir(parents=True, exist_ok=True)
    trainer.model.save_pretrained(out)
    settings.write(out, TOKENIZER)
    state = {
        "optimizer": trainer.optimizer.state_dict(),
        "auxiliary": trainer.auxiliary.state_dict(),
        "step": trainer.step,
        "seconds": trainer.seconds,
    }
    torch.save(state, out / "training.pt.new")
    (out / "training.pt.new").replace(out / "training.pt")


@dataclass(frozen=True)
class Plan:
    """What to train and how; `minutes` are those of all runs together, of one process's processor time."""

    out: Path
    start: Path | None
    minutes: float
    learning_rate: float
    eye_rate: float
    """The vision tower's learning rate, as a share of that."""
    pictures: int
    """Pictures in a step of one process."""
    questions_each: int
    quality_share: float
    """Share of the pictures that are frames of known quality."""
    small_frames: int
    """Small frames in every second step; 0 for none."""
    remember: int
    """So many batches are drawn and seen once, and then learned from again and again: the decoder alone learns, in half the time. 0 draws anew."""
    processes: int
    bfloat16: bool
    seed: int


def train(plan: Plan) -> None:
    """Goes on from `out` if it is there, else from `start`, else from nothing.

    One thread in each of several processes does about a third more than as many threads in one: the matrices are small.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as meeting_point:
        multiprocessing.spawn(_train_one, (plan, f"file://{meeting_point}/store"), nprocs=plan.processes)


def _train_one(rank: int, plan: Plan, meeting_point: str) -> None:
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    distributed.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=plan.processes)
    trainer = _trainer(plan)
    distributed.barrier()
    rng = random.Random(f"{plan.seed}.{rank}.{trainer.step}")
    averages: dict[str, float] = {}
    remembered = [_remembered(trainer, _draw(plan, rng, number)) for number in range(plan.remember)]
    before, started = trainer.seconds, time.process_time()
    saved_at = before
    while trainer.seconds < plan.minutes * 60:
        batch = rng.choice(remembered) if remembered else _draw(plan, rng, trainer.step)
        seen = trainer.train_on(batch, trainer.seconds / (plan.minutes * 60))
        elapsed = torch.tensor(before + time.process_time() - started)
        distributed.broadcast(elapsed, 0)
        trainer.seconds = elapsed.item()
        if rank != 0:
            continue
        for name, value in seen.items():
            averages[name] = value if name not in averages else 0.98 * averages[name] + 0.02 * value
        if trainer.step % REPORT_EVERY == 0:
            line = {"step": trainer.step, "minutes": round(trainer.seconds / 60, 2)} | {name: round(value, 4) for name, value in averages.items()}
            print(json.dumps(line), flush=True)
            with (plan.out / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps(line) + "\n")
        if trainer.seconds - saved_at > SAVE_EVERY:
            save(trainer, plan.out)
            saved_at = trainer.seconds
    if rank == 0:
        save(trainer, plan.out)
    distributed.destroy_process_group()


def _draw(plan: Plan, rng: random.Random, number: int) -> Batch:
    if plan.small_frames and number % 2:
        return draw_small_frames(rng, plan.small_frames)
    return draw_batch(rng, plan.pictures, plan.questions_each, plan.quality_share)


@torch.no_grad()
def _remembered(trainer: Trainer, batch: Batch) -> Batch:
    return replace(batch, patches=batch.patches[:0], features=trainer.features(batch))


def _trainer(plan: Plan) -> Trainer:
    source = plan.out if (plan.out / "training.pt").exists() else plan.start
    model = demo_model.load(source, TOKENIZER) if source else demo_model.untrained(TOKENIZER)
    trainer = Trainer(model, plan.learning_rate, plan.eye_rate, plan.bfloat16)
    if plan.bfloat16:
        speed_up(model)
    if source and (source / "training.pt").exists():
        state = torch.load(source / "training.pt")
        known = trainer.auxiliary.state_dict()
        fitting = {name: value for name, value in state["auxiliary"].items() if name in known and value.shape == known[name].shape}
        trainer.auxiliary.load_state_dict(known | fitting)
        if source == plan.out:
            trainer.optimizer.load_state_dict(state["optimizer"])
            trainer.step, trainer.seconds = state["step"], state["seconds"]
    return trainer
