"""The reckoned tables of docs/scaling.md: up to date, and right where they can be checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_training import make_config, make_rows, prepare

from selfcog.train import estimate
from selfcog.train.optim import NUM_SIDE_NUMBERS

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


@pytest.fixture(scope="module")
def sizes() -> dict[str, estimate.Sizes]:
    return {name: estimate.measure(name, shape) for name, shape in estimate.QWEN.items()}


def test_the_page_is_up_to_date(sizes: dict[str, estimate.Sizes]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = estimate.make_tables(list(sizes.values()))
    assert page == estimate.fill_page(page, tables), "run: make docs"


def test_weights_are_those_that_the_models_are_known_for(
    sizes: dict[str, estimate.Sizes],
) -> None:
    """7.72, 14.17 and 72.29 billion; LoRA of rank 8 on seven layers, by hand."""
    for name, total in (("7B", 7_721_324_544), ("14B", 14_167_290_880), ("72B", 72_287_920_128)):
        assert sizes[name].inside + sizes[name].outside == total
    hidden, inner, layers, _, _ = estimate.QWEN["7B"]
    assert sizes["7B"].adapter == layers * 8 * (4 * 2 * hidden + 3 * (hidden + inner))


def test_formulas_by_hand() -> None:
    one = estimate.Sizes("one", 100, 10, 5, 2, 4, 3, 1)
    assert estimate.exchanged_bytes(1, 1000) == 0.0
    assert estimate.exchanged_bytes(4, 1000) == 6000.0  # 3/4 out and 3/4 back, 4 bytes each
    assert estimate.gathered_bytes(one, 4, 2) == 2 * 0.75 * 200
    assert estimate.lora_flops(one, checkpointing=True) == 600 + 20 + 32
    assert estimate.lora_flops(one, checkpointing=False) == 400 + 20 + 24
    assert pytest.approx(4.127, abs=1e-3) == estimate.NF4_BYTES * 8  # QLoRA, section 3
    memory = estimate.lora_memory(one, 2, "shards", checkpointing=True, tokens=7)
    assert (memory.weights, memory.gathered, memory.trained) == (120, 200, 64)
    assert memory.activations == 7
    assert estimate.imbalance([9, 5, 1, 3, 4], 3, 2) == pytest.approx((9 + 4) / 11 - 1)


def test_what_is_trained_takes_16_bytes_a_weight(tiny_model_dir: Path, tmp_path: Path) -> None:
    parts = prepare(tiny_model_dir, tmp_path, make_config(), make_rows())
    weights = parts.weights
    parts.optimizer.step()
    tensors = [*weights.named.values(), weights.buffer]
    for state in parts.optimizer.state.values():
        tensors += [value for value in state.values() if value.ndim]
    found = sum(tensor.nbytes for tensor in tensors) - 4 * NUM_SIDE_NUMBERS
    assert found == estimate.TRAINED_BYTES * weights.num_weights
    assert all(tensor.dtype == torch.float32 for tensor in tensors)
    parts.put_model_back()
