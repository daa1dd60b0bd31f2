"""Drawing tokens from logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from selfcog.model.sampling import Chooser, Sampling


def draw(logits: list[float], number: int, **settings: Any) -> list[int]:
    chooser = Chooser(Sampling(**{"temperature": 1.0, "seed": 3, **settings}))
    rows = torch.tensor([logits] * number)
    return chooser.choose(rows, [], [chooser.numbers_for(place) for place in range(number)])


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    chooser = Chooser(Sampling())
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        rows = torch.randint(0, 3, (50, 4000), generator=torch.Generator().manual_seed(1))
        found = chooser.choose(rows.to(dtype), [], [])
        assert found == rows.float().argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_as_frequent_as_they_are_likely(temperature: float) -> None:
    logits = [1.0, 0.0, -math.inf, 2.5, -1.0, -math.inf]
    number = 4000
    found = draw(logits, number, temperature=temperature)
    wanted = torch.tensor(logits).div(temperature).softmax(-1).tolist()
    for token, share in enumerate(wanted):
        deviation = math.sqrt(share * (1 - share) / number)
        assert abs(found.count(token) / number - share) <= 4 * deviation


def test_limits() -> None:
    logits = [3.0, 2.0, 1.0, 0.0]
    assert set(draw(logits, 300, top_k=2)) == {0, 1}
    assert set(draw(logits, 300, top_p=0.6)) == {0}
    assert set(draw(logits, 3000, top_p=1.0)) == {0, 1, 2, 3}


def test_the_last_token_can_be_drawn_and_none_behind_it() -> None:
    found = draw([-math.inf, 0.0, 0.0], 200)
    assert set(found) == {1, 2}


def test_repeated_tokens_become_less_likely() -> None:
    chooser = Chooser(Sampling(repetition_penalty=2.0))
    logits = torch.tensor([[1.0, 0.9, -3.0], [1.0, 0.9, -3.0]])
    assert chooser.choose(logits, [[0], [1, 2, 1]], []) == [1, 0]
