"""How the weights lie on several ranks: what --fsdp and --deepspeed mean here.

ZeRO-2 shares out gradients and optimiser states, ZeRO-3 the weights as well; PyTorch's FSDP2 does
both. So --deepspeed asks for what its stage is for, and needs no further library. Beside an adapter
stage 2 has nothing to share out: AdamW's moments of an adapter are megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfcog.config.schema import SftConfig
from selfcog.errors import ConfigError

STAGES = {"zero0": 0, "zero1": 1, "zero2": 2, "zero3": 3, "zero2_offload": 2, "zero3_offload": 3}
# What would change the result if it were taken from a DeepSpeed file, and the flag that sets it.
FLAGS_INSTEAD = {
    "train_batch_size": "--global_batch_size",
    "train_micro_batch_size_per_gpu": "--per_device_train_batch_size",
    "gradient_accumulation_steps": "--gradient_accumulation_steps",
    "gradient_clipping": "--max_grad_norm",
    "optimizer": "--learning_rate, --weight_decay and --adam_beta1",
    "scheduler": "--lr_scheduler_type and --warmup_ratio",
}
OPTIMIZERS = ("adam", "adamw")


@dataclass(frozen=True, slots=True)
class Sharding:
    """``shards_weights``: each rank holds a part of every decoder layer. ``keeps_gathered``: a
    layer stays whole from its forward to its backward pass. ``notices``: what the user should
    know."""

    shards_weights: bool = False
    keeps_gathered: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Zero:
    """``unused``: what a file says beside that, by name."""

    stage: int
    offloads: bool
    unused: tuple[str, ...] = ()


def choose_sharding(config: SftConfig) -> Sharding:
    """Raises ConfigError for a --deepspeed that is no known word and no usable file, and for shards
    of 4-bit weights."""
    settings = config.train
    found = Sharding()
    if settings.fsdp is not None:
        found = Sharding(True, settings.fsdp == "shard_grad_op")
    elif settings.deepspeed is not None:
        found = _choose_by_stage(settings.deepspeed, config.adapter.tuner_type)
    if found.shards_weights and config.model.quant_bits is not None:
        flag = "--fsdp" if settings.fsdp is not None else "--deepspeed"
        raise ConfigError(
            f"{flag} {settings.fsdp or settings.deepspeed} cannot share out weights of "
            f"--quant_bits {config.model.quant_bits}; leave out one of them (in 4 bits each rank "
            "holds about half a byte for each weight)"
        )
    return found


def _choose_by_stage(deepspeed: str, tuner_type: str) -> Sharding:
    zero = _read_zero(deepspeed)
    shards = zero.stage == 3 or (zero.stage > 0 and tuner_type == "full")
    if shards:
        mode = "full_shard" if zero.stage == 3 else "shard_grad_op"
        what = f"done by PyTorch's FSDP2, as --fsdp {mode}; the DeepSpeed library is not used"
    elif zero.stage:
        what = (
            f"every rank holds the whole model, as under ZeRO-{zero.stage}; the optimiser states "
            "of an adapter are too small to be shared out"
        )
    else:
        what = "stage 0 shares nothing out; every rank holds the whole model"
    if zero.offloads:
        what += "; nothing is moved to main memory"
    if zero.unused:
        what += f"; not used from the file: {', '.join(zero.unused)}"
    notice = f"--deepspeed {deepspeed}: {what}"
    return Sharding(shards, shards and zero.stage < 3, (notice,))


def _read_zero(text: str) -> _Zero:
    word = text.lower()
    if word in STAGES:
        return _Zero(STAGES[word], word.endswith("_offload"))
    path = Path(text).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"--deepspeed {text} is no file, and none of {', '.join(STAGES)}; give one of them"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--deepspeed {text} cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"--deepspeed {text} is no JSON object, as DeepSpeed's settings are")
    return _read_settings(text, data)


def _read_settings(text: str, data: Mapping[str, Any]) -> _Zero:
    zero = data.get("zero_optimization", {})
    stage = zero.get("stage", 0) if isinstance(zero, dict) else None
    if type(stage) is not int or stage not in range(4):
        raise ConfigError(
            f"--deepspeed {text}: zero_optimization has no stage of 0, 1, 2 or 3 (found {stage!r})"
        )
    _refuse_other_results(text, data)
    unused = [key for key, value in data.items() if key != "zero_optimization" and _says(value)]
    offloads = False
    for key, value in zero.items():
        if key in ("offload_optimizer", "offload_param"):
            device = value.get("device", "none") if isinstance(value, dict) else "none"
            offloads |= device not in (None, "none")
        elif key != "stage" and _says(value):
            unused.append(f"zero_optimization.{key}")
    return _Zero(stage, offloads, tuple(unused))


def _refuse_other_results(text: str, data: Mapping[str, Any]) -> None:
    for key, flag in FLAGS_INSTEAD.items():
        value = data.get(key, "auto")
        named: dict[str, Any] = {}
        if isinstance(value, dict):
            # An optimiser or a schedule; which one it is only matters where it is another.
            params = value.get("params", {})
            named = {key: one for key, one in params.items() if _says(one)}
            kind = str(value.get("type", "AdamW"))
            if key == "optimizer" and kind.lower() not in OPTIMIZERS:
                named["type"] = kind
        elif _says(value):
            named[key] = value
        if named:
            found = ", ".join(f"{name} {one}" for name, one in named.items())
            raise ConfigError(
                f"--deepspeed {text} sets {found} ({key}), which the flags set here: write "
                f'"auto" there and give {flag}'
            )


def _says(value: object) -> bool:
    """Whether a setting says anything: "auto" leaves it to the program."""
    if isinstance(value, dict):
        return any(_says(one) for key, one in value.items() if key != "type")
    return value not in ("auto", None)
