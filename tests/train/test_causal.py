"""Causal attention by blocks of queries, against torch's own in float32."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfcog.train.attention import segment_attention
from selfcog.train.causal import BLOCK, LEAST_TOKENS, causal_attention


def inputs(heads: int, keys: int, length: int, size: int, spread: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(length)

    def draw(number: int, scale: float) -> torch.Tensor:
        tensor = torch.randn(number, length, size, generator=generator) * scale
        return tensor.bfloat16().float().requires_grad_()

    return [draw(heads, spread), draw(keys, spread), draw(keys, 1.0)]


def plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """With a mask and every product written out."""
    group = len(query) // len(key)
    key, value = key.repeat_interleave(group, 0), value.repeat_interleave(group, 0)
    length = query.shape[1]
    ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (query @ key.transpose(1, 2) * query.shape[2] ** -0.5).masked_fill(ahead, -torch.inf)
    return torch.softmax(scores, -1) @ value


def results(out: torch.Tensor, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(out.shape, generator=generator).to(out.dtype)
    return [out.detach().float(), *torch.autograd.grad(out, tensors, weights)]


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2 * BLOCK + 9), st.sampled_from([4, 16])
)
def test_in_float32_it_is_plain_attention(keys: int, group: int, length: int, size: int) -> None:
    tensors = inputs(keys * group, keys, length, size, 1.0)
    wanted = results(plain(*tensors), tensors)
    found = results(causal_attention(*tensors, size**-0.5), tensors)
    for one, other in zip(found, wanted, strict=True):
        # The first token sees only itself: no gradient reaches its query and key.
        assert (one - other).norm() <= 1e-5 * other.norm() + 1e-5


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_in_bfloat16_it_is_as_exact_as_torchs_kernel(spread: float) -> None:
    tensors = inputs(4, 2, 300, 32, spread)
    wanted = results(plain(*tensors), tensors)
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in tensors]
    kernel = torch.nn.functional.scaled_dot_product_attention(
        *(tensor[None] for tensor in low), is_causal=True, enable_gqa=True
    )[0]
    theirs = results(kernel, low)
    for found, other, exact in zip(
        results(causal_attention(*low, 32**-0.5), low), theirs, wanted, strict=True
    ):
        assert distance(found, exact) < 1.5 * distance(other, exact)


def test_only_long_conversations_in_bfloat16_go_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def spy(query: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(query.shape[1])
        return query

    monkeypatch.setattr("selfcog.train.attention.causal_attention", spy)
    lengths = (LEAST_TOKENS - 1, LEAST_TOKENS, 5)
    query = torch.randn(1, 2, sum(lengths), 8)
    for dtype, dropout in ((torch.float32, 0.0), (torch.bfloat16, 0.1), (torch.bfloat16, 0.0)):
        part = query.to(dtype)
        out, _ = segment_attention(
            torch.nn.Module(), part, part, part, None, dropout=dropout, segment_lengths=lengths
        )
        assert out.shape == (1, sum(lengths), 2, 8) and out.dtype == dtype
    assert seen == [LEAST_TOKENS]
