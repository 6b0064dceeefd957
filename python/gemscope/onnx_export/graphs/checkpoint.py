"""A checkpoint as Hugging Face writes it: its modules without weights, and its weights one by one.

The modules are built on torch's meta device, so they cost no memory; they give the graph. The weights stay in the safetensors files, which are mapped into
memory, until the graph's file is written. A model of any size is exported with little more memory than the largest piece of a weight.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming

from gemscope.onnx_export.graphs.attention import NAME as ATTENTION
from gemscope.onnx_export.refusal import RefusalError, weight_files


class Checkpoint:
    """Raises `RefusalError` for a weight that the files lack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = AutoConfig.from_pretrained(folder)
        # The graphs see pictures and text only.
        self.config.audio_config = None
        with torch.device("meta"):
            self.model: PreTrainedModel = AutoModelForImageTextToText.from_config(
                self.config, attn_implementation=ATTENTION, dtype=torch.float32
            ).eval()
        self.constants = _computed_buffers(self.model)
        self._files = _weight_files(folder, self.config.model_type)
        self._open: dict[Path, safe_open] = {}

    def weight(self, name: str) -> torch.Tensor:
        """The weight that the model calls `name`, in the dtype of the file: a view of the mapped file, to be copied in pieces."""
        if name not in self._files:
            raise RefusalError(f"{self.folder}: no weight {name}, which config.json asks for")
        path, stored_name = self._files[name]
        if path not in self._open:
            self._open[path] = safe_open(path, framework="pt")
        return self._open[path].get_tensor(stored_name)


def _computed_buffers(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The rotary frequencies by full name: they are in no file, each module computes them from its configuration."""
    buffers = {}
    for name, module in model.named_modules():
        if name.endswith("rotary_emb"):
            buffers |= {f"{name}.{key}": value for key, value in type(module)(module.config).named_buffers()}
    return buffers


def _weight_files(folder: Path, model_type: str) -> dict[str, tuple[Path, str]]:
    """For each weight by the model's name: its file, and its name there, which may be an older one."""
    renamings = [rule for rule in get_checkpoint_conversion_mapping(model_type) or [] if isinstance(rule, WeightRenaming)]
    files = {}
    for stored_name, path in weight_files(folder).items():
        name = stored_name
        for rule in renamings:
            for source, target in zip(rule.source_patterns, rule.target_patterns, strict=True):
                name = re.sub(source, target, name)
        files[name] = (path, stored_name)
    return files
