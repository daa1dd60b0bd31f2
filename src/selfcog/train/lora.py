"""LoRA layers in fewer passes over memory: two products added into the frozen layer's result.

peft casts the input of every adapted layer to float32 and adds scaled copies; here the low-rank
product is accumulated by the matrix product itself, in the dtype of the layer, and the backward
pass is written out. peft stays the format and the owner of all weights: what is saved, loaded,
scaled or switched off is untouched, and what is not plain LoRA is left to peft.

Axes: N rows of the input, I and O its width before and after, r the rank.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from selfcog.train.frozen import is_frozen_linear, product_dtype


class FusedLora:
    """The layers of a model whose LoRA is computed here, until ``restore``."""

    def __init__(self, model: nn.Module) -> None:
        self.layers: list[Any] = [m for m in model.modules() if _is_plain_lora(m)]
        for layer in self.layers:
            # On the instance only: calls, hooks and checkpointing go through nn.Module as ever.
            layer.forward = partial(_forward, layer)

    def restore(self) -> None:
        for layer in self.layers:
            layer.__dict__.pop("forward", None)
        self.layers = []


def _is_plain_lora(module: Any) -> bool:
    """A peft layer around a frozen nn.Linear, with one adapter that is nothing but two matrices."""
    from peft.tuners.lora import Linear

    if type(module) is not Linear or "forward" in module.__dict__:
        return False
    base = module.get_base_layer()
    # In shards (train/sharding.py) the weight is whole again by the time it is used.
    if not is_frozen_linear(base, (nn.Parameter, DTensor)):
        return False
    return len(module.lora_A) == 1 and all(_is_plain(module, name) for name in module.lora_A)


def _is_plain(layer: Any, name: str) -> bool:
    parts = (layer.lora_A[name], layer.lora_B[name])
    dropout = layer.lora_dropout[name]
    return (
        name not in layer.lora_variant  # DoRA and its like
        and not layer.fan_in_fan_out
        and all(type(part) is nn.Linear and part.bias is None for part in parts)
        and (isinstance(dropout, nn.Identity) or dropout.p == 0.0)
    )


def _forward(layer: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.disable_adapters or layer.merged or len(names) != 1 or args or kwargs:
        result: torch.Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return result
    [name] = names
    base = layer.get_base_layer()
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    kind = x.device.type
    dtype = product_dtype(kind, x.dtype)
    with torch.autocast(kind, enabled=False):
        scaling = layer.scaling[name]
        found: torch.Tensor = _LoraLinear.apply(x.to(dtype), base.weight, base.bias, a, b, scaling)
    return found


class _LoraLinear(torch.autograd.Function):
    """x W^T + bias + scaling · (x A^T) B^T, computed in the dtype of x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        a_rI: torch.Tensor,
        b_Or: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        dtype = x.dtype
        x_NI = x.reshape(-1, x.shape[-1])
        low_rI, low_Or = a_rI.to(dtype), b_Or.to(dtype)
        xa_Nr = x_NI @ low_rI.T
        bias_O = None if bias_O is None else bias_O.to(dtype)
        y_NO = nn.functional.linear(x_NI, weight_OI.to(dtype), bias_O)
        y_NO.addmm_(xa_Nr, low_Or.T, alpha=scaling)
        # The frozen weight itself: its cast is made again rather than kept for every layer.
        ctx.save_for_backward(x_NI, xa_Nr, low_rI, low_Or, weight_OI)
        ctx.scaling, ctx.shape, ctx.dtypes = scaling, x.shape, (a_rI.dtype, b_Or.dtype)
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_NI, xa_Nr, low_rI, low_Or, weight_OI = ctx.saved_tensors
        dtype_a, dtype_b = ctx.dtypes
        grad_NO = grads[0].reshape(-1, grads[0].shape[-1])
        grad_Nr = (grad_NO @ low_Or) * ctx.scaling
        grad_a = (grad_Nr.T @ x_NI).to(dtype_a)
        # xa^T g is several times as fast as g^T xa with a few columns in xa.
        grad_b = ((xa_Nr.T @ grad_NO).T * ctx.scaling).to(dtype_b)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_NI = grad_NO @ weight_OI.to(grad_NO.dtype)
            grad_x = grad_NI.addmm_(grad_Nr, low_rI).view(ctx.shape)
        return grad_x, None, None, grad_a, grad_b, None
