"""The states of all random generators, as JSON, so that a resumed run draws the same numbers."""

from __future__ import annotations

import base64
import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int, rank: int, step: int = 0) -> None:
    """Ranks draw different dropout. ``step`` is above 0 where a resumed run has new ranks."""
    value = (seed + 1_000_003 * rank + 7_919 * step) % 2**32
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def capture(device: torch.device) -> dict[str, Any]:
    """The state of Python's, numpy's, torch's and this rank's GPU generator."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, [int(key) for key in keys], position, has_gauss, cached],
        "torch": _to_text(torch.get_rng_state()),
    }
    if device.type == "cuda":
        state["cuda"] = _to_text(torch.cuda.get_rng_state(device))
    return state


def restore(state: dict[str, Any], device: torch.device) -> None:
    """The reverse of ``capture``."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_from_text(state["torch"]))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(_from_text(state["cuda"]), device)


@contextlib.contextmanager
def preserved(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, training goes on as if nothing had been."""
    state = capture(device)
    try:
        yield
    finally:
        restore(state, device)


def _to_text(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _from_text(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
