"""Cross-entropy of the supervised tokens, chunk by chunk.

With a vocabulary of 150,000 the float32 logits of 4,000 tokens take 2.4 GB, and their gradient
as much again. Here only one chunk of them exists at a time: its gradient is made in the forward
pass, while the logits are at hand, and the head runs once per chunk.

Axes: N supervised targets, C of them in a chunk, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# Logits of one chunk, in numbers: 128 MiB of float32 on a CPU, where larger chunks gain nothing;
# 1 GiB on a GPU, whose large matrix products need many rows to be fast.
CHUNK_LOGITS_CPU = 2**25
CHUNK_LOGITS_GPU = 2**28


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """``loss_sum``: sum over the targets in nats, float32, carries the gradient.

    ``num_correct``: targets that are the likeliest token, float32.
    """

    loss_sum: torch.Tensor
    num_correct: torch.Tensor


def token_loss(
    hidden_NH: torch.Tensor,
    targets_N: torch.Tensor,
    head: nn.Module | None,
    chunk_rows: int | None = None,
) -> TokenLoss:
    """Sum of −log p(target), softmax in float32 whatever the dtype of the model.

    ``head`` maps hidden states to logits; None: ``hidden_NH`` are the logits already. Gradients
    reach ``hidden_NH`` and the trainable parameters of ``head``.
    """
    parameters = [] if head is None else [p for p in head.parameters() if p.requires_grad]
    if chunk_rows is None:
        width = hidden_NH.shape[-1] if head is None else _num_logits(head, hidden_NH)
        limit = CHUNK_LOGITS_CPU if hidden_NH.device.type == "cpu" else CHUNK_LOGITS_GPU
        chunk_rows = max(limit // width, 16)
    loss_sum, num_correct = _ChunkedLoss.apply(hidden_NH, targets_N, head, chunk_rows, *parameters)
    return TokenLoss(loss_sum, num_correct)


def _num_logits(head: nn.Module, hidden_NH: torch.Tensor) -> int:
    with torch.no_grad():
        return head(hidden_NH[:1]).shape[-1]


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        targets_N: torch.Tensor,
        head: nn.Module | None,
        chunk_rows: int,
        *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        needs_grad = any(ctx.needs_input_grad)
        loss_sum = torch.zeros((), dtype=torch.float32, device=hidden_NH.device)
        num_correct = torch.zeros_like(loss_sum)
        grad_hidden = torch.zeros_like(hidden_NH) if ctx.needs_input_grad[0] else None
        grads = [torch.zeros_like(parameter) for parameter in parameters if needs_grad]
        for start in range(0, len(targets_N), chunk_rows):
            chunk = slice(start, start + chunk_rows)
            targets_C1 = targets_N[chunk, None]
            with torch.set_grad_enabled(needs_grad):
                hidden_CH = hidden_NH[chunk].detach().requires_grad_(needs_grad)
                logits_CV = hidden_CH if head is None else head(hidden_CH)
            logp_CV = torch.log_softmax(logits_CV.detach(), -1, dtype=torch.float32)
            loss_sum -= logp_CV.gather(1, targets_C1).sum()
            num_correct += (logp_CV.argmax(-1, keepdim=True) == targets_C1).sum()
            if not needs_grad:
                continue
            # d(−log p_t)/d logits = softmax − one_hot(t)
            grad_CV = logp_CV.exp_()
            grad_CV.scatter_add_(1, targets_C1, grad_CV.new_full(targets_C1.shape, -1.0))
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
