"""Frozen linear layers whose products are written out instead of left to autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def is_frozen_linear(module: Any, weight_types: tuple[type, ...] = (nn.Parameter,)) -> bool:
    """A plain nn.Linear that is not trained and does nothing besides: no subclass, no hooks."""
    return (
        type(module) is nn.Linear
        and type(module.weight) in weight_types
        and not any(parameter.requires_grad for parameter in module.parameters())
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


def product_dtype(device_type: str, own: torch.dtype) -> torch.dtype:
    """What a matrix product is computed in here: autocast's dtype inside autocast, else ``own``."""
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else own
