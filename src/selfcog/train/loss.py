"""Losses of the supervised places, chunk by chunk: cross-entropy, and KL to a teacher.

With a vocabulary of 150,000 the float32 logits of 4,000 tokens take 2.4 GB, and their gradient
as much again. Here only one chunk of them exists at a time: its gradient is made in the forward
pass, while the logits are at hand, and the head runs once per chunk.

Axes: N supervised places, C of them in a chunk, H hidden size, V vocabulary, K the teacher's
likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

# Logits of one chunk, in numbers: 128 MiB of float32 on a CPU, where larger chunks gain nothing;
# 1 GiB on a GPU, whose large matrix products need many rows to be fast.
CHUNK_LOGITS_CPU = 2**25
CHUNK_LOGITS_GPU = 2**28


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """``loss_sum``: sum over the places in nats, float32, carries the gradient.

    ``num_correct``: places where the target (or the teacher's likeliest token) is the likeliest
    one, float32.
    """

    loss_sum: torch.Tensor
    num_correct: torch.Tensor


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher's distribution at N places.

    ``ids_NK`` its K likeliest tokens (int32), likeliest first; ``logp_NK`` their log-probabilities
    (float32, nats); ``rest_N`` the probability of all other tokens together.
    """

    ids_NK: torch.Tensor
    logp_NK: torch.Tensor
    rest_N: torch.Tensor

    def to(self, device: torch.device) -> Teacher:
        return Teacher(*(tensor.to(device, non_blocking=True) for tensor in self.tensors))

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.ids_NK, self.logp_NK, self.rest_N

    @classmethod
    def join(cls, parts: Sequence[Teacher]) -> Teacher:
        """The places of all parts, one part after the other."""
        return cls(*map(torch.cat, zip(*(part.tensors for part in parts), strict=True)))

    def split(self, sizes: Sequence[int]) -> list[Teacher]:
        """The reverse of ``join``: so many places a part."""
        parts = (tensor.split(list(sizes)) for tensor in self.tensors)
        return [Teacher(*tensors) for tensors in zip(*parts, strict=True)]


class _Goal(Protocol):
    """What is to be predicted at the N places."""

    def measure(
        self, logp_CV: torch.Tensor, chunk: slice, needs_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(loss sum, number correct, d loss / d logits [C, V]) of a chunk.

        The gradient may use the memory of ``logp_CV``; without ``needs_grad`` it means nothing.
        """
        ...


def token_loss(
    hidden_NH: torch.Tensor,
    targets_N: torch.Tensor,
    head: nn.Module | None,
    chunk_rows: int | None = None,
    *,
    weights_N: torch.Tensor | None = None,
) -> TokenLoss:
    """Sum of −weight · log p(target), softmax in float32 whatever the dtype of the model.

    ``head`` maps hidden states to logits; None: ``hidden_NH`` are the logits already. Gradients
    reach ``hidden_NH`` and the trainable parameters of ``head``. Without weights every token
    counts 1.
    """
    return _chunked(hidden_NH, _Targets(targets_N, weights_N), head, chunk_rows)


def anchor_loss(
    hidden_NH: torch.Tensor,
    teacher: Teacher,
    head: nn.Module | None,
    chunk_rows: int | None = None,
) -> TokenLoss:
    """Sum over the places of KL(teacher ‖ model), over the K tokens and the rest as one lump.

    A lower bound of the KL over the whole vocabulary, and 0 exactly where both distributions
    agree on all K + 1 parts. Arguments as for ``token_loss``.
    """
    return _chunked(hidden_NH, _Distribution(teacher), head, chunk_rows)


def _chunked(
    hidden_NH: torch.Tensor, goal: _Goal, head: nn.Module | None, chunk_rows: int | None
) -> TokenLoss:
    parameters = [] if head is None else [p for p in head.parameters() if p.requires_grad]
    if chunk_rows is None:
        width = hidden_NH.shape[-1] if head is None else num_logits(head, hidden_NH)
        limit = CHUNK_LOGITS_CPU if hidden_NH.device.type == "cpu" else CHUNK_LOGITS_GPU
        chunk_rows = max(limit // width, 16)
    loss_sum, num_correct = _ChunkedLoss.apply(hidden_NH, goal, head, chunk_rows, *parameters)
    return TokenLoss(loss_sum, num_correct)


def num_logits(head: nn.Module, hidden_NH: torch.Tensor) -> int:
    with torch.no_grad():
        return head(hidden_NH[:1]).shape[-1]


@dataclass(frozen=True, slots=True)
class _Targets:
    targets_N: torch.Tensor
    weights_N: torch.Tensor | None

    def measure(
        self, logp_CV: torch.Tensor, chunk: slice, needs_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        targets_C1 = self.targets_N[chunk, None]
        losses_C1 = -logp_CV.gather(1, targets_C1)
        num_correct = (logp_CV.argmax(-1, keepdim=True) == targets_C1).sum()
        weights_C1 = None if self.weights_N is None else self.weights_N[chunk, None]
        if weights_C1 is not None:
            losses_C1 = losses_C1 * weights_C1
        if needs_grad:
            # d(−log p_t)/d logits = softmax − one_hot(t)
            grad_CV = logp_CV.exp_()
            grad_CV.scatter_add_(1, targets_C1, grad_CV.new_full(targets_C1.shape, -1.0))
            if weights_C1 is not None:
                grad_CV.mul_(weights_C1)
        return losses_C1.sum(), num_correct, logp_CV


@dataclass(frozen=True, slots=True)
class _Distribution:
    teacher: Teacher

    def measure(
        self, logp_CV: torch.Tensor, chunk: slice, needs_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        teacher = self.teacher
        ids_CK, logp_CK = teacher.ids_NK[chunk].long(), teacher.logp_NK[chunk]
        rest_C = teacher.rest_N[chunk]
        num_correct = (logp_CV.argmax(-1) == ids_CK[:, 0]).sum()
        own_CK = logp_CV.gather(1, ids_CK)
        p_CK = logp_CK.exp()
        # What lies outside the K is added up, not taken as 1 minus the K: that would be noise
        # where they hold nearly everything.
        q_CV = logp_CV.exp_()
        q_CV.scatter_(1, ids_CK, 0.0)
        own_rest_C = q_CV.sum(-1).clamp_(min=torch.finfo(torch.float32).tiny)
        loss = (p_CK * (logp_CK - own_CK)).sum()
        loss = loss + (torch.special.xlogy(rest_C, rest_C) - rest_C * own_rest_C.log()).sum()
        if needs_grad:
            # d KL/d logits = q − t, where t shares the teacher's rest out as the model does.
            q_CV.mul_((1.0 - rest_C / own_rest_C)[:, None])
            q_CV.scatter_(1, ids_CK, own_CK.exp() - p_CK)
        return loss, num_correct, q_CV


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        goal: _Goal,
        head: nn.Module | None,
        chunk_rows: int,
        *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        needs_grad = any(ctx.needs_input_grad)
        loss_sum = torch.zeros((), dtype=torch.float32, device=hidden_NH.device)
        num_correct = torch.zeros_like(loss_sum)
        grad_hidden = torch.zeros_like(hidden_NH) if ctx.needs_input_grad[0] else None
        grads = [torch.zeros_like(parameter) for parameter in parameters if needs_grad]
        for start in range(0, len(hidden_NH), chunk_rows):
            chunk = slice(start, start + chunk_rows)
            with torch.set_grad_enabled(needs_grad):
                hidden_CH = hidden_NH[chunk].detach().requires_grad_(needs_grad)
                logits_CV = hidden_CH if head is None else head(hidden_CH)
            logp_CV = torch.log_softmax(logits_CV.detach(), -1, dtype=torch.float32)
            loss, correct, grad_CV = goal.measure(logp_CV, chunk, needs_grad)
            loss_sum += loss
            num_correct += correct
            if not needs_grad:
                continue
            found = torch.autograd.grad(
                logits_CV, [hidden_CH, *parameters], grad_CV.to(logits_CV.dtype)
            )
            if grad_hidden is not None:
                grad_hidden[chunk] = found[0]
            for total, part in zip(grads, found[1:], strict=True):
                total += part
        ctx.save_for_backward(*([] if grad_hidden is None else [grad_hidden]), *grads)
        ctx.has_hidden = grad_hidden is not None
        ctx.mark_non_differentiable(num_correct)
        return loss_sum, num_correct

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = grad_outputs[0]
        scaled = [(grad * scale).to(grad.dtype) for grad in ctx.saved_tensors]
        hidden = scaled.pop(0) if ctx.has_hidden else None
        return hidden, None, None, None, *scaled
