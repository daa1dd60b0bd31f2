"""LoRA weights added to those of the base for as long as many answers are written.

An adapter that is not merged costs two more matrix products and several casts in every layer, for
every token. peft's own merge and unmerge add and subtract in place, which loses bits; here the
base's tensors are set aside and put back, so that they are the same ones afterwards. The price is
a second copy of the adapted weights, made only where there is memory for it.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Of the memory that is free; the rest is for keys, values and activations.
MEMORY_SHARE = 0.5
# Linux: what this process's group may use, and uses.
CGROUP = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def merged(model: Any) -> Iterator[int]:
    """Inside the block the weights of ``model`` are W + ΔW; yields the number of merged layers.

    Each layer that can be merged is, as ``peft`` would (rounded once more in 16 bits); the others
    compute as always: layers with quantised or sharded weights, with weights that another layer
    shares (tied embeddings), and kinds of adapter that cannot be added. 0 where the adapter is
    switched off, where there is none, and where memory does not allow a copy of the weights.
    Afterwards every tensor is the one from before, bit for bit, also after an exception. Do not
    switch adapters on or off inside the block.
    """
    layers = mergeable_layers(model)
    number_of_bytes = sum(layer.get_base_layer().weight.nbytes for layer in layers)
    if not layers or number_of_bytes > MEMORY_SHARE * free_memory(
        layers[0].get_base_layer().weight.device
    ):
        yield 0
        return
    kept: list[tuple[Any, torch.Tensor, torch.Tensor | None]] = []
    try:
        for layer in layers:
            base = layer.get_base_layer()
            bias = getattr(base, "bias", None)
            kept.append((layer, base.weight.data, None if bias is None else bias.data))
            _merge(layer)
        yield len(layers)
    finally:
        for layer, weight, bias_data in kept:
            layer.merged_adapters.clear()
            layer.get_base_layer().weight.data = weight
            if bias_data is not None:
                layer.get_base_layer().bias.data = bias_data


def mergeable_layers(model: Any) -> list[Any]:
    """The LoRA layers whose adapters are switched on, not merged, and can be added to a weight."""
    if "peft" not in sys.modules:  # without it there is no adapter, and importing it takes a second
        return []
    import torch
    from peft.tuners.lora import Embedding, Linear

    users = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    found = []
    for layer in model.modules():
        # Subclasses are layers of quantised weights.
        if type(layer) not in (Linear, Embedding) or layer.disable_adapters or layer.merged:
            continue
        weight = layer.get_base_layer().weight
        if (
            type(weight) is torch.nn.Parameter
            and type(weight.data) is torch.Tensor
            and weight.is_floating_point()
            and weight.numel() > 0
            and weight.device.type != "meta"
            and users[id(weight)] == 1
            and all(_is_addable(layer, name) for name in layer.active_adapters)
        ):
            found.append(layer)
    return found


def _is_addable(layer: Any, adapter: str) -> bool:
    from peft.tuners.lora import variants

    kinds = (variants.DoraLinearVariant, variants.DoraEmbeddingVariant)
    return adapter not in layer.lora_variant or isinstance(layer.lora_variant[adapter], kinds)


def _merge(layer: Any) -> None:
    """Let peft merge, as it does for good, into copies; the old tensors stay as they are."""
    import torch

    base = layer.get_base_layer()
    with torch.no_grad():
        base.weight.data = base.weight.data.clone()
        if any(layer.lora_bias.values()):
            base.bias.data = base.bias.data.clone()
        layer.merge()


def free_memory(device: torch.device) -> float:
    """Bytes that can still be had on ``device``; infinite where nothing is known."""
    import torch

    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + cached)
    limits = [float("inf")]
    with contextlib.suppress(OSError, ValueError, KeyError):
        words = Path("/proc/meminfo").read_text(encoding="ascii").split()
        limits.append(1024.0 * int(words[words.index("MemAvailable:") + 1]))
    with contextlib.suppress(OSError, ValueError):
        most = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        limits.append(float(most - int((CGROUP / "memory.current").read_text(encoding="ascii"))))
    return min(limits)
