"""After training: how much of the adapter is needed? The smallest scale that does the job is kept.

Damage grows with the distance from the base, and an identity often needs less of it than training
covered (weight interpolation, arXiv 2109.01903, 2309.06256). Scales are compared on the dev
questions; the scorecard's own questions are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.config.schema import SftConfig
from selfcog.runs import CheckpointInfo

if TYPE_CHECKING:
    from rich.console import Console

Metrics = dict[str, float]
Measure = Callable[[float], Metrics]
Evaluate = Callable[[Any, int], Metrics]
SMALLER = (0.9, 0.8, 0.7, 0.6, 0.5)
LARGER = (1.1, 1.2)
# The share of right dev answers from which on only less drift is wanted.
ENOUGH = 0.98


@dataclass(frozen=True, slots=True)
class ScaleChoice:
    """``tried``: metrics by scale."""

    scale: float
    tried: dict[float, Metrics]


def fit_scale(
    config: SftConfig, model: Any, checkpoint: Path, evaluate: Evaluate, console: Console
) -> None:
    """Shrink a checkpoint's adapter as far as the dev questions allow, and say what was done.

    ``evaluate`` returns "identity" and "kl" for (model, step).
    """
    from selfcog.evaluate.gates import MOST_KL
    from selfcog.export.scale import why_not_scalable

    if not config.teacher.search_scale:
        return
    if config.adapter.tuner_type == "full":
        console.print("scale: all weights were trained, so there is no adapter to shrink")
        return
    if config.data.dataset or config.adapter.adapters is not None:
        console.print("scale: the adapter holds more than the identity, so it stays as it is")
        return
    if reason := why_not_scalable(checkpoint):
        console.print(f"scale: the adapter stays as it is: {reason}", markup=False)
        return
    found = search_scale(model, checkpoint, evaluate, MOST_KL)
    console.print(
        f"scale: {found.scale:g} of the adapter is kept ({_describe(found.tried[found.scale])}; "
        f"at 1: {_describe(found.tried[1.0])})"
    )


def _describe(metrics: Metrics) -> str:
    drift = f", KL {metrics['kl']:.4f}" if "kl" in metrics else ""
    return f"dev questions right {metrics['identity']:.1%}{drift}"


def choose_scale(measure: Measure, most_kl: float) -> ScaleChoice:
    """The smallest scale of 0.5 … 1.2 that keeps what is needed.

    Needed is the share of right dev answers that the adapter has as it is, or ENOUGH. Where the
    adapter itself has less than that, or drifts by more than ``most_kl``, larger or smaller scales
    are tried for more right answers within that drift.
    """
    tried = {1.0: measure(1.0)}
    right = tried[1.0]["identity"]
    if right < ENOUGH:
        for scale in LARGER:
            tried[scale] = measure(scale)
    for scale in SMALLER:
        tried[scale] = measure(scale)
        found = tried[scale]
        if found.get("kl", 0.0) <= most_kl and found["identity"] < min(right, ENOUGH):
            break
    allowed = {s: found for s, found in tried.items() if found.get("kl", 0.0) <= most_kl}
    # All drift too far: then as little as can be had without losing answers.
    allowed = allowed or {s: found for s, found in tried.items() if s <= 1.0}
    wanted = min(max(found["identity"] for found in allowed.values()), ENOUGH)
    scale = min(s for s, found in allowed.items() if found["identity"] >= wanted)
    return ScaleChoice(scale, tried)


def search_scale(model: Any, checkpoint: Path, evaluate: Evaluate, most_kl: float) -> ScaleChoice:
    """Find the scale of a checkpoint's adapter and write it into the checkpoint.

    ``model`` is the PeftModel that was trained; it gets the checkpoint's adapter. ``evaluate``
    returns "identity" and "kl". What a continuation needs is left as it was.
    """
    from peft import set_peft_model_state_dict
    from peft.helpers import rescale_adapter_scale
    from safetensors.torch import load_file

    from selfcog.export.adapter_plan import ADAPTER_WEIGHTS
    from selfcog.export.scale import scale_adapter

    set_peft_model_state_dict(model, load_file(checkpoint / ADAPTER_WEIGHTS))

    def measure(scale: float) -> Metrics:
        with rescale_adapter_scale(model, scale):
            return evaluate(model, 0)

    found = choose_scale(measure, most_kl)
    info = CheckpointInfo.read(checkpoint)
    if found.scale != 1.0:
        scale_adapter(checkpoint, found.scale)
    if info is not None:
        # What was measured of the adapter as it was (its loss) is no longer true.
        metrics = info.metrics if found.scale == 1.0 else found.tried[found.scale]
        whole = info.adapter_scale * found.scale
        replace(info, adapter_scale=whole, metrics=metrics).write(checkpoint)
    return found
