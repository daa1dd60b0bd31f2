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
from selfcog.export.shards import FLOAT_NAMES, StoredTensor, read_bytes

if TYPE_CHECKING:
    import torch

TORCH_NAMES = {code: name for name, code in FLOAT_NAMES.items()}
# 2 MiB of float32.
CACHED_NUMBERS = 2**19


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

        weight = self._read("weight", stored)
        if patch is None:
            return weight
        if patch.replacement is not None:
            weight.copy_(load_tensor(patch.replacement))
        if patch.a is None or patch.b is None:
            return weight
        a, b = _widen(self._read("a", patch.a)), _widen(self._read("b", patch.b))
        product = self._take("product", (b.shape[0], a.shape[1]), a.dtype)
        torch.mm(b, a, out=product)
        if patch.embedding:
            product *= patch.scaling
            weight += product.T.to(weight.dtype)
        elif patch.magnitude is None:
            self._add(weight, product, patch.scaling)
        else:
            product *= patch.scaling
            weight = _scale_rows(weight, product, _widen(self._read("magnitude", patch.magnitude)))
        return weight

    def _add(self, weight: torch.Tensor, product: torch.Tensor, scaling: float) -> None:
        """weight += product · scaling, in rows that stay in the processor's cache."""
        import torch

        rows = max(CACHED_NUMBERS // weight.shape[1], 1)
        for part, addend in zip(weight.split(rows), product.split(rows), strict=True):
            addend *= scaling
            if weight.dtype.itemsize == 2:
                # The same as the line below, in two thirds of its time.
                addend += self._take("wide", part.shape, torch.float32).copy_(part)
                part.copy_(addend)
            else:
                part += addend

    def _read(self, use: str, stored: StoredTensor) -> torch.Tensor:
        """A tensor of a file in the block for ``use``. Read, not mapped: the pages of a mapped
        file would be counted as this process's memory."""
        import torch

        if stored.dtype not in TORCH_NAMES:
            original = load_tensor(stored)
            return self._take(use, original.shape, original.dtype).copy_(original)
        tensor = self._take(use, stored.shape, getattr(torch, TORCH_NAMES[stored.dtype]))
        read_bytes(stored, tensor.view(-1).view(torch.uint8).numpy().data)
        return tensor

    def _take(self, use: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """A tensor of this shape and dtype in the block for ``use``; its content is undefined."""
        import torch

        num_bytes = prod(shape) * dtype.itemsize
        block = self._blocks.get(use)
        if block is None or block.numel() < num_bytes:
            block = self._blocks[use] = torch.empty(num_bytes, dtype=torch.uint8)
        return block[:num_bytes].view(dtype).view(*shape)


def _widen(tensor: torch.Tensor) -> torch.Tensor:
    import torch

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

    if dtype in TORCH_NAMES:
        tensor = tensor.to(getattr(torch, TORCH_NAMES[dtype]))
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().data
