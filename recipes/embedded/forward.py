"""Forward and backward of the recipe's Qwen2 model over conversations of unlike length, on a CPU.

The same mathematics as transformers' Qwen2 in bf16 (a test compares loss and gradients), cut for
this job: conversations of like length stand together in one *bucket*, so almost nothing is padded
and attention is small dense products (torch's fused CPU attention took three to seven times as
long at these lengths); logits exist only where a token counts, a block at a time.

Axes: N places in all buckets together, B conversations of a bucket, L its length, H heads,
K key-value heads, G = H / K, D size of a head, E hidden size, V vocabulary.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from recipes.embedded.packing import Batch, Bucket

Tensor = torch.Tensor
BLOCK = 512  # places whose logits exist at the same time


def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled into one pass over memory where there is a C++ compiler."""
    return torch.compile(function, dynamic=True) if shutil.which("g++") else function


@_fused
def _norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return (x * scale * weight).bfloat16(), (x * scale).bfloat16(), scale


@_fused
def _norm_back(
    grad: Tensor, normed: Tensor, scale: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    grad, normed = grad.float(), normed.float()
    inner = grad * weight
    return (
        (inner - normed * (inner * normed).mean(-1, keepdim=True)) * scale,
        (grad * normed).sum(0),
    )


@_fused
def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).bfloat16()


@_fused
def _gate(gate: Tensor, up: Tensor) -> Tensor:
    return (F.silu(gate.float()) * up.float()).bfloat16()


@_fused
def _gate_back(gate: Tensor, up: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    gate, grad = gate.float(), grad.float()
    s = torch.sigmoid(gate)
    return (
        (grad * up.float() * s * (1 + gate * (1 - s))).bfloat16(),
        (grad * gate * s).bfloat16(),
    )


class _Norm(torch.autograd.Function):
    """RMSNorm, float32 in, bf16 out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        y, normed, scale = _norm(x, weight, eps)
        ctx.save_for_backward(normed, scale, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        dx, dweight = _norm_back(grads[0], *ctx.saved_tensors)
        return dx, dweight, None


class _Rotate(torch.autograd.Function):
    """Rotary positions; the way back is the rotation by the opposite angle."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotate(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        return _rotate(grads[0], cos, -sin), None, None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _gate(gate, up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _gate_back(*ctx.saved_tensors, grads[0])


class _Attention(torch.autograd.Function):
    """Causal attention of one bucket: q [B, H, L, D], k and v [B, K, L, D], all bf16."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        b, h, length, d = q.shape
        kv = k.shape[1]
        q = q.reshape(b * kv, -1, d)
        k, v = k.reshape(b * kv, length, d), v.reshape(b * kv, length, d)
        scores = torch.bmm(q, k.transpose(1, 2)).mul_(d**-0.5)
        scores.view(b * kv, -1, length, length).add_(mask)
        shares = torch.softmax(scores, -1)
        ctx.save_for_backward(q, k, v, shares)
        ctx.shape = (b, h, kv, length, d)
        return torch.bmm(shares, v).view(b, h, length, d)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        q, k, v, shares = ctx.saved_tensors
        b, h, kv, length, d = ctx.shape
        grad = grads[0].reshape(b * kv, -1, d)
        dv = torch.bmm(shares.transpose(1, 2), grad)
        dshares = torch.bmm(grad, v.transpose(1, 2))
        dscores = torch._softmax_backward_data(dshares, shares, -1, shares.dtype).mul_(d**-0.5)
        dq, dk = torch.bmm(dscores, k), torch.bmm(dscores.transpose(1, 2), q)
        return dq.view(b, h, length, d), dk.view(b, kv, length, d), dv.view(b, kv, length, d), None


class _Loss(torch.autograd.Function):
    """Sum of weight × cross-entropy (float32) of bf16 states [N, E] against a head [V, E]."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        half = head.bfloat16()
        dstates, dhead = torch.empty_like(states), torch.zeros_like(head)
        total = torch.zeros(())
        for i in range(0, len(states), BLOCK):
            part = slice(i, i + BLOCK)
            target, weight = targets[part, None], weights[part, None]
            logs = torch.log_softmax(torch.mm(states[part], half.t()).float(), -1)
            total -= (logs.gather(1, target) * weight).sum()
            delta = logs.exp_().mul_(weight).scatter_add_(1, target, -weight).bfloat16()
            torch.mm(delta, half, out=dstates[part])
            dhead.add_(torch.mm(delta.t(), states[part]))
        ctx.save_for_backward(dstates, dhead)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        dstates, dhead = ctx.saved_tensors
        return dstates * grads[0].bfloat16(), dhead * grads[0], None, None


class Forward:
    """Computes the loss of a batch with the weights of a transformers Qwen2 model."""

    def __init__(self, model: Any, longest: int) -> None:
        """``longest`` is the length of the longest conversation that will come."""
        config = model.config
        self.model = model.model
        self.heads, self.kv = config.num_attention_heads, config.num_key_value_heads
        self.size, self.eps = config.hidden_size // self.heads, config.rms_norm_eps
        theta = config.rope_parameters["rope_theta"]
        rates = theta ** (-torch.arange(0, self.size, 2) / self.size)
        angles = torch.arange(longest)[:, None] * rates
        self.cos, self.sin = angles.cos(), angles.sin()
        self.mask = torch.full((longest, longest), float("-inf")).triu(1).bfloat16()

    def loss(self, batch: Batch) -> Tensor:
        """Weighted mean cross-entropy over the batch (a scalar with a gradient)."""
        x = F.embedding(batch.ids, self.model.embed_tokens.weight)
        cos, sin = self.cos[batch.positions][:, None], self.sin[batch.positions][:, None]
        for layer in self.model.layers:
            h = _Norm.apply(x, layer.input_layernorm.weight, self.eps)
            x = x + self._attend(layer.self_attn, h, cos, sin, batch.buckets)
            h = _Norm.apply(x, layer.post_attention_layernorm.weight, self.eps)
            mlp = layer.mlp
            inner = _Gate.apply(_times(h, mlp.gate_proj), _times(h, mlp.up_proj))
            x = x + _times(inner, mlp.down_proj)
        states = _Norm.apply(x, self.model.norm.weight, self.eps)
        where = batch.weights.nonzero()[:, 0]  # never the first place of a conversation
        weights = batch.weights[where]
        loss: Tensor = _Loss.apply(
            states[where - 1],
            self.model.embed_tokens.weight,
            batch.ids[where],
            weights / weights.sum(),
        )
        return loss

    def _attend(
        self, block: Any, h: Tensor, cos: Tensor, sin: Tensor, buckets: list[Bucket]
    ) -> Any:
        parts = (block.q_proj, block.k_proj, block.v_proj)
        weight = torch.cat([p.weight for p in parts]).bfloat16()
        bias = torch.cat([p.bias for p in parts]).bfloat16()
        qkv = torch.addmm(bias, h, weight.t()).view(len(h), -1, self.size)
        qk = _Rotate.apply(qkv[:, : self.heads + self.kv], cos, sin)
        v = qkv[:, self.heads + self.kv :]
        outputs = []
        for bucket in buckets:
            b, length = bucket.count, bucket.length
            part = slice(bucket.begin, bucket.begin + b * length)
            at = qk[part].view(b, length, -1, self.size).transpose(1, 2)
            y = _Attention.apply(
                at[:, : self.heads],
                at[:, self.heads :],
                v[part].view(b, length, self.kv, self.size).transpose(1, 2),
                self.mask[:length, :length],
            )
            outputs.append(y.transpose(1, 2).reshape(b * length, -1))
        return _times(torch.cat(outputs), block.o_proj)


def _times(h: Tensor, linear: Any) -> Tensor:
    return torch.mm(h, linear.weight.bfloat16().t())
