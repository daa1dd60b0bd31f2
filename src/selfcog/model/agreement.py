"""Whether a faster way of calling a model computes what the model itself would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What some models do to scores, and attention by conversation or by slot does not.
UNKNOWN_TO_ATTENTION = ("softcap", "s_aux", "position_bias")


def is_close(
    found: torch.Tensor, wanted: torch.Tensor, dtype: torch.dtype, strictness: float = 1.0
) -> bool:
    """Logits that differ by no more than other kernels for ``dtype`` round another way.

    The error is relative to the spread of ``wanted``; ``strictness`` 5 allows a fifth of it.
    """
    import torch

    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    error = (found.float() - wanted.float()).norm()
    spread = (wanted.float() - wanted.float().mean()).norm()
    return bool(error <= tolerance / strictness * spread)


def refuse_unknown(arguments: Mapping[str, Any], way: str) -> None:
    """Raises ValueError where a model asks attention for what it cannot do ``way``."""
    for name in UNKNOWN_TO_ATTENTION:
        if arguments.get(name) is not None:
            raise ValueError(f"attention with {name} cannot be computed {way}")
