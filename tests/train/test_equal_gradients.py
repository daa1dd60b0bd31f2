"""One step of 16 examples gives one gradient, however it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import first_gradient, make_config, make_rows

ROWS = make_rows(16)
ONE_BY_ONE: dict[str, Any] = {"packing": False, "per_device_train_batch_size": 1}
WAYS: dict[str, dict[str, Any]] = {
    "four by four, padded": {"packing": False, "per_device_train_batch_size": 4},
    "packed into one row": {"tokens_per_batch": 4096},
    "packed into several rows": {"tokens_per_batch": 90},
    "packed, activations twice": {"tokens_per_batch": 90, "gradient_checkpointing": True},
    "padded, activations twice": {
        "packing": False,
        "per_device_train_batch_size": 4,
        "gradient_checkpointing": True,
    },
}


def gradient(model_dir: Path, run_dir: Path, adapter: dict[str, Any], **train: Any) -> torch.Tensor:
    config = make_config(train={"global_batch_size": 16, **train}, adapter=adapter)
    return first_gradient(model_dir, run_dir, config, ROWS)[0]


def assert_equal(found: torch.Tensor, wanted: torch.Tensor) -> None:
    error = (found - wanted).norm() / wanted.norm()
    assert wanted.norm() > 0 and error < 1e-5, f"relative error {error:.2e}"


@pytest.mark.parametrize("way", WAYS)
def test_lora_gradients_do_not_depend_on_batching(
    tiny_model_dir: Path, tmp_path: Path, way: str
) -> None:
    wanted = gradient(tiny_model_dir, tmp_path, {}, **ONE_BY_ONE)
    assert_equal(gradient(tiny_model_dir, tmp_path, {}, **WAYS[way]), wanted)


@pytest.mark.parametrize("way", ["four by four, padded", "packed into several rows"])
@pytest.mark.parametrize(
    "adapter",
    [
        {"tuner_type": "full"},  # embedding and head are tied: both paths must reach it
        {"use_dora": True},
        {"modules_to_save": ("embed_tokens",)},
        {"target_modules": ("all-linear", "embedding")},
    ],
    ids=str,
)
def test_nor_do_those_of_other_tuners(
    tiny_model_dir: Path, tmp_path: Path, way: str, adapter: dict[str, Any]
) -> None:
    wanted = gradient(tiny_model_dir, tmp_path, adapter, **ONE_BY_ONE)
    assert_equal(gradient(tiny_model_dir, tmp_path, adapter, **WAYS[way]), wanted)


def test_gradient_is_that_of_the_mean_over_supervised_tokens(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Against a plain loop of autograd, without anything of ours."""
    from tiny_training import make_model

    config = make_config(train={"global_batch_size": 16})
    found, loss = first_gradient(tiny_model_dir, tmp_path, config, ROWS)
    model = make_model(tiny_model_dir, config)
    total = torch.zeros(())
    for row in ROWS:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
        labels = torch.tensor([*row.labels[1:], -100])
        total = total + torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    mean = total / sum(row.num_supervised for row in ROWS)
    mean.backward()
    parts = [p.grad.flatten() for p in model.parameters() if p.requires_grad]
    assert loss == pytest.approx(mean.item(), rel=1e-6)
    assert_equal(found, torch.cat(parts))
