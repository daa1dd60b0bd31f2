"""The chunked loss against torch's own, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from selfcog.train.loss import token_loss


@pytest.mark.parametrize("chunk_rows", [1, 4, 100, None])
@pytest.mark.parametrize("trains_head", [False, True])
def test_value_and_gradients_equal_torchs(chunk_rows: int | None, trains_head: bool) -> None:
    torch.manual_seed(0)
    head = nn.Linear(8, 50).requires_grad_(trains_head)
    hidden = torch.randn(11, 8, requires_grad=True)
    targets = torch.randint(0, 50, (11,))

    wanted = nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
    (wanted / 7).backward()
    grads = [p.grad.clone() for p in (hidden, *head.parameters()) if p.grad is not None]
    for parameter in (hidden, *head.parameters()):
        parameter.grad = None

    found = token_loss(hidden, targets, head, chunk_rows)
    (found.loss_sum / 7).backward()
    assert found.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert found.num_correct.item() == (head(hidden).argmax(-1) == targets).sum().item()
    again = [p.grad for p in (hidden, *head.parameters()) if p.grad is not None]
    assert len(again) == len(grads) == (3 if trains_head else 1)
    for one, other in zip(again, grads, strict=True):
        torch.testing.assert_close(one, other)


def test_logits_without_a_head() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 20, requires_grad=True)
    targets = torch.randint(0, 20, (6,))
    token_loss(logits, targets, None, 4).loss_sum.backward()
    found = logits.grad
    logits.grad = None
    nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
    torch.testing.assert_close(found, logits.grad)


def test_softmax_is_float32_for_bfloat16_logits() -> None:
    torch.manual_seed(0)
    logits = (torch.randn(64, 5000) * 4).to(torch.bfloat16)
    targets = torch.randint(0, 5000, (64,))
    exact = nn.functional.cross_entropy(logits.double(), targets, reduction="sum")
    found = token_loss(logits, targets, None)
    assert found.loss_sum.dtype == torch.float32
    assert found.loss_sum.item() == pytest.approx(exact.item(), rel=1e-6)


def test_without_gradient_nothing_is_kept() -> None:
    hidden = torch.randn(4, 8)
    head = nn.Linear(8, 10).requires_grad_(False)
    found = token_loss(hidden, torch.tensor([1, 2, 3, 4]), head)
    assert not found.loss_sum.requires_grad


def test_full_logits_never_exist() -> None:
    shapes = []

    class Head(nn.Linear):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            shapes.append(len(hidden))
            return super().forward(hidden)

    hidden = torch.randn(40, 4, requires_grad=True)
    token_loss(hidden, torch.zeros(40, dtype=torch.long), Head(4, 30), chunk_rows=16)
    assert shapes == [16, 16, 8]
