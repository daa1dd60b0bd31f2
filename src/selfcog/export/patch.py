"""The arithmetic of a merge, for one tensor: bit for bit what peft's ``merge_and_unload`` does.

peft loads 16-bit adapters as float32, multiplies B and A in float32, and adds the result to the
weight in place: the sum is made in float32 and rounded once to the weight's own format. DoRA also
scales every row to its trained length. The order of the operations below is peft's, because
another order rounds differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfcog.export.adapter_plan import Patch
from selfcog.export.shards import FLOAT_NAMES, StoredTensor

if TYPE_CHECKING:
    import torch


def load_tensor(stored: StoredTensor) -> torch.Tensor:
    """One tensor from its file, in memory of its own."""
    from safetensors import safe_open

    with safe_open(stored.path, framework="pt") as handle:
        return handle.get_tensor(stored.name).clone()


def load_factor(stored: StoredTensor) -> torch.Tensor:
    import torch

    tensor = load_tensor(stored)
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def merge_tensor(stored: StoredTensor, patch: Patch | None) -> torch.Tensor:
    """The merged weight, in the format that the base's weight is stored in."""
    weight = load_tensor(stored)
    if patch is None:
        return weight
    if patch.replacement is not None:
        weight.copy_(load_tensor(patch.replacement))
    if patch.a is None or patch.b is None:
        return weight
    product = load_factor(patch.b) @ load_factor(patch.a)
    if patch.embedding:
        weight += (product.T * patch.scaling).to(weight.dtype)
        return weight
    product = product * patch.scaling
    if patch.magnitude is None:
        weight += product
        return weight
    return _scale_rows(weight, product, load_factor(patch.magnitude))


def _scale_rows(
    weight: torch.Tensor, product: torch.Tensor, magnitude: torch.Tensor
) -> torch.Tensor:
    import torch

    total = weight + product
    norm = torch.linalg.norm(total, dim=1).to(total.dtype)
    return ((magnitude / norm).view(-1, 1) * total).to(weight.dtype)


def to_bytes(tensor: torch.Tensor, dtype: str) -> memoryview:
    """The raw little-endian bytes of a tensor in a safetensors format such as "BF16"."""
    import torch

    names = {code: name for name, code in FLOAT_NAMES.items()}
    if dtype in names:
        tensor = tensor.to(getattr(torch, names[dtype]))
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().data
