"""How many tokens go through the model at once, and what to do when that was too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from selfcog.errors import TrainError
from selfcog.model.load import has_cpu_bfloat16
from selfcog.train.forward import Forward

# Rows of this length keep a core's matrix products efficient; longer ones only take memory.
CPU_BUDGET = 2048
# Who asks for checkpointing is short of memory.
CPU_BUDGET_TWICE = 1024
GPU_BUDGET_RANGE = (1024, 32768)
# Below this many tokens a GPU is not busy; then activations are rather computed twice.
GPU_BUSY_TOKENS = 4096
# Share of the free memory that activations may take; fragmentation and peaks need the rest.
ACTIVATION_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """``token_budget`` positions a forward pass; ``checkpointing``: activations made twice."""

    token_budget: int
    checkpointing: bool


def plan_memory(
    base: Any, device: torch.device, token_budget: int | None, checkpointing: bool | None
) -> MemoryPlan:
    """The given settings, and for those that are None what the device's free memory allows."""
    if device.type != "cuda":
        usual = CPU_BUDGET_TWICE if checkpointing else CPU_BUDGET
        return MemoryPlan(token_budget or usual, bool(checkpointing))
    free = torch.cuda.mem_get_info(device)[0] * ACTIVATION_SHARE
    lowest, highest = GPU_BUDGET_RANGE

    def affordable(twice: bool) -> int:
        tokens = int(free / activation_bytes(base, twice))
        return min(max(tokens, lowest), highest)

    if checkpointing is None:
        checkpointing = affordable(False) < (token_budget or GPU_BUSY_TOKENS)
    return MemoryPlan(token_budget or affordable(checkpointing), checkpointing)


def choose_compute_dtype(own: torch.dtype, device: torch.device, setting: str) -> torch.dtype:
    """What matrix products are computed in: the model's own dtype, but for float32 on a CPU.

    There they are computed in bfloat16 where the processor has instructions for it and ``setting``
    (--torch_dtype) is "auto"; weights, sums, softmax and the loss stay float32.
    """
    if own != torch.float32 or device.type != "cpu" or setting != "auto":
        return own
    return torch.bfloat16 if has_cpu_bfloat16() else own


def activation_bytes(base: Any, checkpointing: bool) -> int:
    """A rough count of the bytes that one token's activations take until the backward pass.

    Of a layer with hidden size h and feed-forward size f: about 20 h + 6 f numbers (inputs of
    norms, projections, adapters and the gate); with checkpointing h, and one whole layer.
    """
    config = base.config.get_text_config()
    values = config.to_dict()
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = values.get("intermediate_size") or 4 * hidden
    layer = 20 * hidden + 6 * inner
    numbers = layers * hidden + layer if checkpointing else layers * layer
    return numbers * base.dtype.itemsize


def shrink(forward: Forward, longest: int, checkpointing: bool | None) -> str:
    """Make the next attempt at a step smaller; says what was done.

    Half the token budget as long as it is above the ``longest`` example of the step; then
    gradient checkpointing, unless the user decided on it. Raises TrainError when nothing is left.
    """
    if forward.model.device.type == "cuda":
        torch.cuda.empty_cache()
    if forward.token_budget > longest:
        forward.token_budget = max(forward.token_budget // 2, 1)
        return f"out of memory: {forward.token_budget} tokens at once from now on"
    if checkpointing is None and not forward.checkpointing:
        forward.set_checkpointing()
        return "out of memory: gradient checkpointing from now on (slower)"
    hint = "" if forward.checkpointing else " or --gradient_checkpointing true"
    raise TrainError(
        f"out of memory with a single conversation of {longest} tokens; use a smaller "
        f"--max_length (now at least {longest}){hint}"
    )
