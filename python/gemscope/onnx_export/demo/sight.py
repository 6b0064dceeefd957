"""The first stage for the qualities: the vision tower learns to see how blurred, noisy, badly exposed or flat a frame is.

In: a checkpoint that boxes already. Out: the same directory layout, whose soft tokens now hold the four amounts, and boxes nearly as before; `train` goes on from it.
Why a stage of its own: a word of the decoder says little to the filters of a patch embedding, so sharpness was never learned from answers. Here the four
amounts are read off the soft tokens by one linear layer, on pictures a quarter the size, which cost a fifth and hold as many edges.
What was known is kept by a teacher: on scenes of good quality, soft tokens should stay what they were.
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Gemma4ForConditionalGeneration

from gemscope.onnx_export.demo import frames, model as demo_model
from gemscope.onnx_export.demo.batches import SMALL_GRIDS, TOKENIZER, patch_positions, patchify
from gemscope.onnx_export.demo.train import REPORT_EVERY, SAVE_EVERY, Trainer, quality_loss, save, speed_up
from gemscope.onnx_export.scenes import Canvas, draw_scene

FULL_GRID = 8
"""Small frames lie anywhere in a grid of this size, so that all positions stay known."""
FRAMES, SCENES = 38, 10
"""Pictures of a step: frames that are rated, scenes for the teacher."""
TEACHER_WEIGHT = 0.3
WARMUP = 50
"""Steps until the learning rate is reached."""


@dataclass(frozen=True)
class Plan:
    out: Path
    start: Path
    minutes: float
    learning_rate: float
    bfloat16: bool
    seed: int


def train_sight(plan: Plan) -> None:
    """One process, one thread."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    teacher = demo_model.load(plan.start, TOKENIZER).eval()
    model = demo_model.load(plan.start, TOKENIZER)
    demo_model.add_edge_filters(model)
    trainer = Trainer(model, plan.learning_rate)
    if plan.bfloat16:
        speed_up(model)
        speed_up(teacher)
    eye = [*model.model.vision_tower.parameters(), *model.model.embed_vision.parameters()]
    head = trainer.auxiliary.quality
    optimizer = torch.optim.AdamW([{"params": eye, "weight_decay": 0.02}, {"params": head.parameters(), "weight_decay": 0.0}], betas=(0.9, 0.98))
    rng = random.Random(f"{plan.seed}.sight")
    averages: dict[str, float] = {}
    started, saved_at, step = time.process_time(), 0.0, 0
    plan.out.mkdir(parents=True, exist_ok=True)
    while (elapsed := time.process_time() - started) < plan.minutes * 60:
        rate = plan.learning_rate * min(1.0, (step + 1) / WARMUP) * (0.05 + 0.475 * (1 + math.cos(math.pi * elapsed / (plan.minutes * 60))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        patches, positions, amounts = _draw(rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
            features = _soft_tokens(model, patches, positions).float()
            with torch.no_grad():
                wanted = _soft_tokens(teacher, patches[FRAMES:], positions[FRAMES:]).float()
        said = head(features[:FRAMES])
        kept = F.mse_loss(features[FRAMES:], wanted) / wanted.var()
        loss = 10.0 * quality_loss(said, amounts) + TEACHER_WEIGHT * kept
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(eye, 1.0)
        optimizer.step()
        step += 1
        errors = (said.detach().mean(1) - amounts).square().mean(0).tolist()
        for name, value in {"kept": kept.item(), **{f"error_{axis}": error for axis, error in zip(frames.AXES, errors)}}.items():
            averages[name] = value if name not in averages else 0.97 * averages[name] + 0.03 * value
        if step % REPORT_EVERY == 0:
            line = {"stage": "sight", "step": step, "minutes": round(elapsed / 60, 2)} | {name: round(value, 4) for name, value in averages.items()}
            print(json.dumps(line), flush=True)
            with (plan.out / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps(line) + "\n")
        if elapsed - saved_at > SAVE_EVERY:
            save(trainer, plan.out)
            saved_at = elapsed
    save(trainer, plan.out)


def _draw(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Patches [b, p, 768], their places in the full grid [b, p, 2], and the amounts [FRAMES, 4] of the frames, which come first."""
    rows, columns = rng.choice(SMALL_GRIDS)
    canvas = Canvas.of_grid(rows, columns)
    patches, amounts = [], []
    for index in range(FRAMES + SCENES):
        if index < FRAMES:
            image, _, drawn = frames.draw_frame(canvas, rng, rng.choice(frames.TRAINED_AXES))
            amounts.append([drawn[axis] for axis in frames.AXES])
        else:
            image, _ = draw_scene(canvas, rng)
        patches.append(patchify(image))
    corners = [[[3 * rng.randint(0, FULL_GRID - columns), 3 * rng.randint(0, FULL_GRID - rows)]] for _ in patches]
    positions = torch.from_numpy(patch_positions(rows, columns))[None] + torch.tensor(corners)
    return torch.from_numpy(np.stack(patches)), positions, torch.tensor(amounts)


def _soft_tokens(model: Gemma4ForConditionalGeneration, patches: Tensor, positions: Tensor) -> Tensor:
    """[b, soft tokens, hidden]. The vision tower's own forward pools by absolute positions, which must then start at 0."""
    tower = model.model.vision_tower
    padding = torch.zeros(positions.shape[:2], dtype=torch.bool)
    embedded = tower.patch_embedder(patches.float() / 255, positions, padding)
    seen = tower.encoder(inputs_embeds=embedded, attention_mask=~padding, pixel_position_ids=positions).last_hidden_state
    pooled, _ = tower.pooler(
        hidden_states=seen,
        pixel_position_ids=positions - positions.amin(1, keepdim=True),
        padding_positions=padding,
        output_length=patches.shape[1] // 9,
    )
    return model.model.embed_vision(inputs_embeds=pooled).view(patches.shape[0], -1, model.config.text_config.hidden_size)
