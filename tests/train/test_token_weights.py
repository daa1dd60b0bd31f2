"""Rows with weights: a token of weight 2 counts as two, however rows are batched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import first_step, make_config, make_model, make_rows, run_training

from selfcog.data.shares import apply_shares, find_shares
from selfcog.events import StepEvent
from selfcog.train.batches import collate_packed, pad_examples

WAYS: dict[str, dict[str, Any]] = {
    "row by row": {"packing": False, "per_device_train_batch_size": 1},
    "padded": {"packing": False, "per_device_train_batch_size": 4},
    "packed": {"tokens_per_batch": 4096},
}


def weighted_loss(model: Any, rows: Any) -> torch.Tensor:
    """Σ w·(−log p) / Σ w over all supervised tokens, by plain autograd."""
    total, weight = torch.zeros(()), 0.0
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
        labels = torch.tensor([*row.labels[1:], -100])
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        total, weight = total + row.weight * loss, weight + row.weight * row.num_supervised
    return total / weight


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weights", [(3.0, 0.25), (1.0, 2.0), (2.0, 2.0), (0.5, 1.0)])
def test_two_rows_count_as_much_as_they_should(
    tiny_model_dir: Path, tmp_path: Path, weights: tuple[float, ...], way: str
) -> None:
    rows = [replace(row, weight=w) for row, w in zip(make_rows(2), weights, strict=True)]
    config = make_config(train=WAYS[way])
    found = first_step(tiny_model_dir, tmp_path, config, rows)
    model = make_model(tiny_model_dir, config)
    wanted = weighted_loss(model, rows)
    wanted.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
    assert found.loss == pytest.approx(wanted.item(), rel=1e-6)
    assert (found.gradient - gradient).norm() / gradient.norm() < 1e-5


def test_shares_of_rows_become_shares_of_the_loss(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Of the whole step's loss the identity rows have the share that was asked for."""
    rows = make_rows(8)
    kinds = [replace(row, kind="identity" if n < 3 else "domain") for n, row in enumerate(rows)]
    shared = apply_shares(kinds, find_shares(kinds, 0.7))
    config = make_config()
    found = first_step(tiny_model_dir, tmp_path, config, shared).loss
    model = make_model(tiny_model_dir, config)
    with torch.no_grad():
        own = weighted_loss(model, [replace(row, weight=1.0) for row in shared[:3]]).item()
        other = weighted_loss(model, [replace(row, weight=1.0) for row in shared[3:]]).item()
    assert found == pytest.approx(0.7 * own + 0.3 * other, rel=1e-5)


def test_weights_follow_their_tokens_into_the_batch() -> None:
    rows = [
        replace(row, weight=w) for row, w in zip(make_rows(4), (1.0, 2.0, 0.5, 4.0), strict=True)
    ]
    wanted = {row.num_supervised: row.weight for row in rows}
    assert len(wanted) == 4
    [padded] = pad_examples(rows, 10**6)
    for batch in (collate_packed(rows), padded):
        values, counts = batch.weights_N.unique_consecutive(return_counts=True)
        assert dict(zip(counts.tolist(), values.tolist(), strict=True)) == wanted
    assert collate_packed(make_rows(4)).weights_N is None


def test_weights_do_not_change_what_accuracy_means(tiny_model_dir: Path, tmp_path: Path) -> None:
    found = []
    for weight in (1.0, 3.0):
        events: list[Any] = []
        rows = [replace(row, weight=weight if n % 2 else 1.0) for n, row in enumerate(make_rows())]
        config = make_config(train={"max_steps": 1})
        run_training(tiny_model_dir, tmp_path / str(weight), config, rows=rows, events=events)
        found += [event for event in events if isinstance(event, StepEvent)]
    assert found[0].token_accuracy == found[1].token_accuracy
    assert found[0].num_supervised == found[1].num_supervised
    assert found[0].loss != found[1].loss
