"""What an adapter changes in its base, read from its files: no model is built for it.

``read_plan`` maps every tensor of the adapter to the tensor of the base that it touches. Where it
meets something that it does not know to do exactly as peft does, it says so in ``unsupported``,
and the caller lets peft merge in memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfcog.errors import ExportError
from selfcog.export.shards import StoredTensor, read_header

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
# Settings of peft's LoraConfig that change what the tensors mean; all are off in plain LoRA.
CHANGES_MEANING = (
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)
# The other initialisations (pissa, olora, corda …) also change the base's weights when loaded.
PLAIN_INITS = (True, False, None, "true", "gaussian", "eva", "orthogonal")
PARTS = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B"
    r"|lora_magnitude_vector)(\.weight)?$"
)
IN_NUMBERED_LAYER = re.compile(r"\.\d+\.")


@dataclass(slots=True)
class Patch:
    """One module's share of the adapter; the fields are tensors of the adapter file, or None.

    ``replacement`` takes the place of the base's tensor before anything is added to it.
    ``scaling`` is alpha / r, or alpha / sqrt(r) with rsLoRA.
    """

    module: str
    a: StoredTensor | None = None
    b: StoredTensor | None = None
    magnitude: StoredTensor | None = None
    replacement: StoredTensor | None = None
    scaling: float = 1.0
    embedding: bool = False


@dataclass(slots=True)
class AdapterPlan:
    """``patches`` by the name of the base tensor. ``unsupported`` is "" or what peft must do."""

    patches: dict[str, Patch] = field(default_factory=dict)
    unsupported: str = ""

    def outside_layers(self) -> bool:
        """Whether something beside numbered layers is touched: embeddings or the output head."""
        return any(not IN_NUMBERED_LAYER.search(name) for name in self.patches)


def read_adapter_config(adapter: Path) -> dict[str, Any]:
    path = adapter / ADAPTER_CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{adapter} has no {ADAPTER_CONFIG}; it is not an adapter") from None
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is not JSON ({error}); the adapter is damaged") from None
    if not (adapter / ADAPTER_WEIGHTS).is_file():
        raise ExportError(f"{adapter} has no {ADAPTER_WEIGHTS}; pickled weights are not read")
    return config


def read_plan(adapter: Path, base: Mapping[str, StoredTensor]) -> AdapterPlan:
    """Assign the adapter's tensors to the tensors of the base."""
    config = read_adapter_config(adapter)
    plan = AdapterPlan(unsupported=_unsupported_setting(config))
    if plan.unsupported:
        return plan
    for name, tensor in read_header(adapter / ADAPTER_WEIGHTS).items():
        # base_layer: the base's own tensor, which peft saves along with an adapted embedding.
        key = re.sub(r"\.(modules_to_save|base_layer)\.", ".", name.removeprefix(PREFIX))
        match = PARTS.match(key)
        module, part = (match["module"], match["part"]) if match else (key, "")
        target = f"{module}.weight" if match else key
        patch = plan.patches.setdefault(target, Patch(target.rpartition(".")[0]))
        if part in ("lora_A", "lora_embedding_A"):
            patch.a, patch.embedding = tensor, part == "lora_embedding_A"
        elif part in ("lora_B", "lora_embedding_B"):
            patch.b = tensor
        elif part == "lora_magnitude_vector":
            patch.magnitude = tensor
        else:
            patch.replacement = tensor
    for target, patch in plan.patches.items():
        plan.unsupported = plan.unsupported or _check_patch(patch, base.get(target), target)
        if patch.a is not None:
            patch.scaling = _scaling(config, patch)
    if not plan.patches:
        raise ExportError(f"{adapter / ADAPTER_WEIGHTS} has no tensors; nothing was trained")
    return plan


def _unsupported_setting(config: Mapping[str, Any]) -> str:
    if config.get("peft_type") != "LORA":
        return f"the adapter is {config.get('peft_type')}, not LoRA"
    if config.get("init_lora_weights", True) not in PLAIN_INITS:
        return f"the adapter was started with init_lora_weights={config['init_lora_weights']!r}"
    for key in CHANGES_MEANING:
        if config.get(key):
            return f"the adapter uses {key}"
    return ""


def _check_patch(patch: Patch, target: StoredTensor | None, name: str) -> str:
    if target is None and name != "lm_head.weight":
        return f"the base has no tensor {name}"
    if (patch.a is None) != (patch.b is None):
        raise ExportError(f"the adapter holds one half of {patch.module} only; it is damaged")
    if patch.embedding and patch.magnitude is not None:
        return "the adapter uses DoRA on an embedding"
    shape = target.shape if target is not None else None
    if patch.a is not None and patch.b is not None:
        made = (patch.b.shape[0], patch.a.shape[-1])
        made = made[::-1] if patch.embedding else made
    elif patch.replacement is not None:
        made = patch.replacement.shape  # type: ignore[assignment]
    else:
        return f"the adapter has nothing for {name} but its magnitude"
    if shape is None or shape == made:
        return ""
    if patch.replacement is not None or patch.embedding:
        raise ExportError(
            f"{name} has shape {list(made)} in the adapter and {list(shape)} in the base; "
            "it was trained on another base, or with another vocabulary"
        )
    return f"{name} has shape {list(shape)}, the adapter makes {list(made)}"


def _scaling(config: Mapping[str, Any], patch: Patch) -> float:
    """As peft computes it: patterns first, then the general values."""
    rank = _by_pattern(config.get("rank_pattern") or {}, patch.module, config["r"])
    alpha = _by_pattern(config.get("alpha_pattern") or {}, patch.module, config["lora_alpha"])
    return float(alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank)


def _by_pattern(patterns: Mapping[str, float], module: str, default: float) -> float:
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
