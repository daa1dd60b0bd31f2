"""Losses of the supervised places, chunk by chunk: cross-entropy, and KL to a teacher.

With a vocabulary of 150,000 the float32 logits of 4,000 tokens take 2.4 GB, and their gradient
as much again. Here only one chunk of them exists at a time: its gradient is made in the forward
pass, while the logits are at hand, and the head runs once per chunk.

Axes: N supervised places, C of them in a chunk, R of these in a block that is looked at together,
H hidden size, V vocabulary, K the teacher's likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from selfcog.train.frozen import is_frozen_linear, product_dtype

# Logits of one chunk, in numbers: 128 MiB of float32 on a CPU, where larger chunks gain nothing;
# 1 GiB on a GPU, whose large matrix products need many rows to be fast.
CHUNK_LOGITS_CPU = 2**25
CHUNK_LOGITS_GPU = 2**28
# 2 MiB of float32: softmax and gradient of a chunk in 35 ms, where passes over the whole of it
# take 230 (33 million logits in bfloat16, one core of a Zen 4).
BLOCK_LOGITS = 2**19


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

    def measure(self, logits_RV: torch.Tensor, rows: slice) -> _Measured:
        """Loss of some of the places, from their logits in float32, which it may overwrite."""
        ...


@dataclass(frozen=True, slots=True)
class _Measured:
    """``loss`` is a sum in nats; ``grad_RV`` is d loss / d logits, float32."""

    loss: torch.Tensor
    num_correct: torch.Tensor
    grad_RV: torch.Tensor


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
        chunk_rows = max(limit // width // 32 * 32, 16)
    loss_sum, num_correct = _ChunkedLoss.apply(hidden_NH, goal, head, chunk_rows, *parameters)
    return TokenLoss(loss_sum, num_correct)


def num_logits(head: nn.Module, hidden_NH: torch.Tensor) -> int:
    if isinstance(head, nn.Linear):  # without reading all of its weight
        return head.out_features
    with torch.no_grad():
        return head(hidden_NH[:1]).shape[-1]


@dataclass(frozen=True, slots=True)
class _Softmax:
    """``p_RV``; the largest logit of each place, and the log of its probability, [R, 1]."""

    p_RV: torch.Tensor
    largest_R1: torch.Tensor
    log_p_largest_R1: torch.Tensor

    @classmethod
    def of(cls, logits_RV: torch.Tensor) -> _Softmax:
        p_RV = torch.softmax(logits_RV, -1)
        return cls(p_RV, logits_RV.amax(-1, keepdim=True), p_RV.amax(-1, keepdim=True).log())

    def log_p(self, logits_RK: torch.Tensor) -> torch.Tensor:
        """log p of tokens, from their logits. Exact where p itself is too small for a float32,
        and where the logits are so large that their sum of exponentials would be rounded."""
        return (logits_RK - self.largest_R1) + self.log_p_largest_R1


@dataclass(frozen=True, slots=True)
class _Targets:
    targets_N: torch.Tensor
    weights_N: torch.Tensor | None

    def measure(self, logits_RV: torch.Tensor, rows: slice) -> _Measured:
        targets_R1 = self.targets_N[rows, None]
        softmax = _Softmax.of(logits_RV)
        own_R1 = logits_RV.gather(1, targets_R1)
        losses_R1 = -softmax.log_p(own_R1)
        # d(−log p_t)/d logits = softmax − one_hot(t)
        grad_RV = softmax.p_RV
        grad_RV.scatter_add_(1, targets_R1, grad_RV.new_full(targets_R1.shape, -1.0))
        if self.weights_N is not None:
            weights_R1 = self.weights_N[rows, None]
            losses_R1 = losses_R1 * weights_R1
            grad_RV.mul_(weights_R1)
        return _Measured(losses_R1.sum(), (own_R1 == softmax.largest_R1).sum(), grad_RV)


@dataclass(frozen=True, slots=True)
class _Distribution:
    teacher: Teacher

    def measure(self, logits_RV: torch.Tensor, rows: slice) -> _Measured:
        teacher = self.teacher
        ids_RK, logp_RK = teacher.ids_NK[rows].long(), teacher.logp_NK[rows]
        rest_R = teacher.rest_N[rows]
        softmax = _Softmax.of(logits_RV)
        logits_RK = logits_RV.gather(1, ids_RK)
        num_correct = (logits_RK[:, :1] == softmax.largest_R1).sum()
        own_RK = softmax.log_p(logits_RK)
        p_RK = logp_RK.exp()
        # What lies outside the K is added up, not taken as 1 minus the K: that would be noise
        # where they hold nearly everything.
        q_RV = softmax.p_RV
        q_RV.scatter_(1, ids_RK, 0.0)
        own_rest_R = q_RV.sum(-1).clamp_(min=torch.finfo(torch.float32).tiny)
        loss = (p_RK * (logp_RK - own_RK)).sum()
        loss = loss + (torch.special.xlogy(rest_R, rest_R) - rest_R * own_rest_R.log()).sum()
        # d KL/d logits = q − t, where t shares the teacher's rest out as the model does.
        q_RV.mul_((1.0 - rest_R / own_rest_R)[:, None])
        q_RV.scatter_(1, ids_RK, own_RK.exp() - p_RK)
        return _Measured(loss, num_correct, q_RV)


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
        own_head = _FrozenHead.of(head, hidden_NH) or _AnyHead(head, parameters)
        for start in range(0, len(hidden_NH), chunk_rows):
            hidden_CH = hidden_NH[start : start + chunk_rows].detach()
            logits_CV, grad_CV = own_head.forward(hidden_CH, needs_grad)
            for rows in _blocks(logits_CV):
                places = slice(start + rows.start, start + rows.stop)
                found = goal.measure(logits_CV[rows].float(), places)
                loss_sum += found.loss
                num_correct += found.num_correct
                if needs_grad:
                    grad_CV[rows] = found.grad_RV
            if not needs_grad:
                continue
            parts = own_head.backward(grad_CV)
            if grad_hidden is not None:
                grad_hidden[start : start + chunk_rows] = parts[0]
            for total, part in zip(grads, parts[1:], strict=True):
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


def _blocks(logits_CV: torch.Tensor) -> Iterator[slice]:
    """The rows of a chunk, on a CPU so few at a time that their float32 stays in its cache."""
    number, width = logits_CV.shape
    rows = number
    if logits_CV.device.type == "cpu":
        rows = max(BLOCK_LOGITS // width, torch.get_num_threads())
    for start in range(0, number, rows):
        yield slice(start, min(start + rows, number))


class _AnyHead:
    """A head that autograd differentiates; None: the hidden states are the logits."""

    def __init__(self, head: nn.Module | None, parameters: Sequence[torch.Tensor]) -> None:
        self.head, self.parameters = head, parameters

    def forward(
        self, hidden_CH: torch.Tensor, needs_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits [C, V], memory for their gradient)."""
        with torch.set_grad_enabled(needs_grad):
            self.hidden_CH = hidden_CH.requires_grad_(needs_grad)
            self.logits_CV = hidden_CH if self.head is None else self.head(hidden_CH)
        # Memory of its own: a head may need its logits to differentiate (a soft cap does).
        return self.logits_CV.detach(), torch.empty_like(self.logits_CV)

    def backward(self, grad_CV: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Gradients of the hidden states and of each of the parameters."""
        return torch.autograd.grad(self.logits_CV, [self.hidden_CH, *self.parameters], grad_CV)


class _FrozenHead:
    """A plain linear layer that is not trained: two matrix products, all chunks in one memory.

    Its weight is cast to what autocast computes in once, not for every chunk.
    """

    def __init__(self, weight_VH: torch.Tensor, bias_V: torch.Tensor | None) -> None:
        self.weight_VH, self.bias_V = weight_VH, bias_V
        self.memory_CV: torch.Tensor | None = None

    @classmethod
    def of(cls, head: nn.Module | None, hidden_NH: torch.Tensor) -> _FrozenHead | None:
        """None for all other heads."""
        if not isinstance(head, nn.Linear) or not is_frozen_linear(head):
            return None
        dtype = product_dtype(hidden_NH.device.type, head.weight.dtype)
        bias = None if head.bias is None else head.bias.detach().to(dtype)
        return cls(head.weight.detach().to(dtype), bias)

    def forward(
        self, hidden_CH: torch.Tensor, needs_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits [C, V], the same memory for their gradient)."""
        hidden_CH = hidden_CH.to(self.weight_VH.dtype)
        if self.memory_CV is None:  # the first chunk is the largest
            self.memory_CV = hidden_CH.new_empty(len(hidden_CH), len(self.weight_VH))
        logits_CV = self.memory_CV[: len(hidden_CH)]
        with torch.autocast(hidden_CH.device.type, enabled=False):
            torch.mm(hidden_CH, self.weight_VH.T, out=logits_CV)
            if self.bias_V is not None:
                logits_CV += self.bias_V
        return logits_CV, logits_CV

    def backward(self, grad_CV: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast(grad_CV.device.type, enabled=False):
            return (grad_CV @ self.weight_VH,)
