"""The arithmetic of a merge, for one tensor: bit for bit what peft's ``merge_and_unload`` does.

peft loads 16-bit adapters as float32, multiplies B and A in float32, and adds the result to the
weight in place: the sum is made in float32 and rounded once to the weight's own format. DoRA also
scales every row to its trained length. The order of the operations below is peft's, because
another order rounds differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from selfcog.export.adapter_plan import Patch
from selfcog.export.shards import FLOAT_NAMES, StoredTensor

if TYPE_CHECKING:
    import torch


def load_tensor(stored: StoredTensor) -> torch.Tensor:
    """One tensor from its file, not to be changed: it may be a view of the mapped file."""
    from safetensors import safe_open

    with safe_open(stored.path, framework="pt") as handle:
        return handle.get_tensor(stored.name)


class Merger:
    """Merges one tensor after the other in the same memory.

    A fresh block for every tensor costs more time than the arithmetic: the system hands out zeroed
    pages. So what ``merge`` returns is valid until its next call.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, torch.Tensor] = {}

    def merge(self, stored: StoredTensor, patch: Patch | None) -> torch.Tensor:
        """The merged weight, in the format that the base's weight is stored in."""
        import torch

        original = load_tensor(stored)
        weight = self._take("weight", original.shape, original.dtype)
        weight.copy_(original)
        if patch is None:
            return weight
        if patch.replacement is not None:
            weight.copy_(load_tensor(patch.replacement))
        if patch.a is None or patch.b is None:
            return weight
        a, b = load_factor(patch.a), load_factor(patch.b)
        product = self._take("product", (b.shape[0], a.shape[1]), a.dtype)
        torch.mm(b, a, out=product)
        product *= patch.scaling
        if patch.embedding:
            weight += product.T.to(weight.dtype)
        elif patch.magnitude is None and weight.dtype.itemsize == 2:
            # The same as the line below, in two thirds of its time.
            product += self._take("wide", weight.shape, torch.float32).copy_(weight)
            weight.copy_(product)
        elif patch.magnitude is None:
            weight += product
        else:
            weight = _scale_rows(weight, product, load_factor(patch.magnitude))
        return weight

    def _take(self, use: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """A tensor of this shape and dtype in the block for ``use``; its content is undefined."""
        import torch

        num_bytes = prod(shape) * dtype.itemsize
        block = self._blocks.get(use)
        if block is None or block.numel() < num_bytes:
            block = self._blocks[use] = torch.empty(num_bytes, dtype=torch.uint8)
        return block[:num_bytes].view(dtype).view(*shape)


def load_factor(stored: StoredTensor) -> torch.Tensor:
    import torch

    tensor = load_tensor(stored)
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


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
