"""The recipe's own forward and backward give what transformers' Qwen2 gives."""

import random

import pytest
import torch
import torch.nn.functional as F

from recipes.embedded.forward import Forward
from recipes.embedded.packing import bucketed
from recipes.embedded.train import make_model


@pytest.fixture(scope="module")
def rows():
    """Token rows of unlike length with random weights; the first token is never predicted."""
    rng = random.Random(0)
    lengths = [5, 9, 10, 40, 41, 64, 100]
    return [
        (
            [rng.randrange(3, 300) for _ in range(n)],
            [0.0, *(float(rng.random() < 0.5) for _ in range(n - 1))],
        )
        for n in lengths
    ]


def test_buckets_hold_every_row_once_with_little_padding(rows):
    batch = bucketed(rows, pad=0)
    assert batch.num_tokens == sum(len(ids) for ids, _ in rows)
    found = []
    for bucket in batch.buckets:
        for i in range(bucket.count):
            place = slice(bucket.begin + i * bucket.length, bucket.begin + (i + 1) * bucket.length)
            assert batch.positions[place].tolist() == list(range(bucket.length))
            found.append((batch.ids[place].tolist(), batch.weights[place].tolist()))
    for (ids, weights), (got, scale) in zip(rows, found, strict=True):
        fill = len(got) - len(ids)
        assert got == ids + [0] * fill
        assert scale == weights + [0.0] * fill


def test_loss_and_gradients_are_those_of_transformers(rows):
    model = make_model(300, seed=1)
    batch = bucketed(rows, pad=0)
    with torch.compiler.set_stance("force_eager"):
        loss = Forward(model, longest=128).loss(batch)
        loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    total, weight = torch.zeros(()), 0.0
    for ids, scale in rows:
        tokens, counts = torch.tensor(ids), torch.tensor(scale[1:])
        logits = model(input_ids=tokens[None]).logits[0, :-1]
        total = total + (F.cross_entropy(logits, tokens[1:], reduction="none") * counts).sum()
        weight += counts.sum().item()
    expected = total / weight
    expected.backward()
    # bf16 has 8 bits: 1 % on a gradient is rounding, a wrong formula is 10 % and more.
    assert loss.item() == pytest.approx(expected.item(), rel=2e-3)
    for name, p in model.named_parameters():
        apart = (ours[name] - p.grad).norm() / p.grad.norm()
        assert apart < 0.03, name
