"""The bars that the project sets itself, and whether the medians of these readings meet them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.contestants import OURS
from benchmarks.generation import DTYPES, EMBEDDED, SPEED, series_name
from benchmarks.parts import FLOOR
from benchmarks.series import Series, Spread, best, ratio

CHECKPOINTING = "checkpointing"


@dataclass(frozen=True, slots=True)
class Bar:
    """``is_met`` None: not measured, and ``found`` says why."""

    what: str
    bar: str
    found: str
    is_met: bool | None

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def check_bars(series: Sequence[Series]) -> list[Bar]:
    """All bars of the parts and models that were run."""
    run = {(one.part, one.model) for one in series}
    bars: list[Bar] = []
    for model, over_best, over_swift in (("S", 2.5, 3.0), ("M", 1.3, 2.0)):
        if ("train", model) in run:
            bars += _speed(series, model, over_best, over_swift)
    if ("train", "S") in run:
        ours = _find(series, "train", "S", OURS, "default")
        bars.append(_at_most("peak RSS, S", ours, "peak_rss_gb", 1.6, "GB"))
    if ("train", "M") in run:
        ours = _find(series, "train", "M", OURS, CHECKPOINTING)
        what = "M with checkpointing"
        bars.append(_at_most(f"peak RSS, {what}", ours, "peak_rss_gb", 2.2, "GB"))
        swift = _find(series, "train", "M", "swift", "default")
        bars.append(_faster(f"speed, {what}, over ms-swift's default", ours, swift, SPEED, 1.5))
    if any(part == "start" for part, _ in run):
        bars += _start(series)
    if any(part == "quick" for part, _ in run):
        for name in ("help", "usage error", "data error"):
            ours = _find(series, "quick", None, OURS, name)
            bars.append(_at_most(name, ours, "cpu_s", 0.3, "CPU s"))
    if any(part == "merge" for part, _ in run):
        bars += _merge(series)
    if any(part == "token" for part, _ in run):
        ours = _find(series, "token", None, OURS, "first token")
        hf = _find(series, "token", None, "hf", "first token")
        model = ours.model if ours else ""
        what = f"start → first token of {model} + adapter, against transformers"
        bars.append(_cheaper(what, ours, hf, "cpu_s", 0.5))
    for name in (series_name("M", DTYPES[0]), *(series_name(EMBEDDED, one) for one in DTYPES)):
        if ("generate", name) in run:
            bars.append(_generation(series, name))
    if any(part == "demo" for part, _ in run):
        ours = _find(series, "demo", None, OURS, "the same rows")
        hf = best([one for one in series if one.part == "demo" and not one.is_ours], "steps_per_s")
        what = "training part of the demo, against HF Trainer's best batch"
        bars.append(_cheaper(what, ours, hf, "loop_wall_s", 0.5))
    return bars


def _speed(series: Sequence[Series], model: str, over_best: float, over_swift: float) -> list[Bar]:
    here = [one for one in series if (one.part, one.model) == ("train", model)]
    ours = _find(series, "train", model, OURS, "default")
    peer = best([one for one in here if not one.is_ours], SPEED)
    swift = _find(series, "train", model, "swift", "default")
    name = f" ({peer.label})" if peer else ""
    return [
        _faster(f"training {model}, over the best peer{name}", ours, peer, SPEED, over_best),
        _faster(f"training {model}, over ms-swift's default", ours, swift, SPEED, over_swift),
    ]


def _start(series: Sequence[Series]) -> list[Bar]:
    ours = next((one for one in series if one.part == "start" and one.is_ours), None)
    floor = _find(series, "start", None, FLOOR, "")
    what, bar = "start → first step, over import and load", "≤ +0.8 CPU s, no name looked up"
    name = "first_step_cpu_s"
    pairs = zip(ours.values(name), floor.values(name), strict=False) if ours and floor else ()
    extra = Spread.of(one - other for one, other in pairs)
    if extra is None or ours is None:
        return [Bar(what, bar, "not measured", None)]
    lookups = max(ours.values("lookups"))
    found = f"+{extra.text()} CPU s, {lookups:.0f} names"
    return [Bar(what, bar, found, extra.middle <= 0.8 and lookups == 0)]


def _merge(series: Sequence[Series]) -> list[Bar]:
    ours = _find(series, "merge", None, OURS, "merge")
    others = [one for one in series if one.part == "merge" and not one.is_ours]
    peer = best(others, "cpu_s", lowest=True)
    name = f" ({peer.label})" if peer else ""
    what = f"merge of {ours.model}" if ours else "merge"
    same = _find(series, "merge", None, OURS, "against peft's result")
    bars = [
        _cheaper(f"{what}, against the best peer{name}", ours, peer, "cpu_s", 1 / 3),
        _at_most(f"{what}, anonymous memory", ours, "peak_anon_gb", 0.5, "GB"),
    ]
    if same is not None:
        values = same.readings[0].values
        found = f"{values['differing']:.0f} of {values['tensors']:.0f} tensors differ"
        bars.append(Bar(f"{what}, against peft's", "bit-identical", found, not values["differing"]))
    return bars


def _generation(series: Sequence[Series], name: str) -> Bar:
    here = [one for one in series if (one.part, one.model) == ("generate", name)]
    ours = best([one for one in here if one.is_ours], SPEED)
    peer = best([one for one in here if not one.is_ours], SPEED)
    label = f" ({peer.label})" if peer else ""
    return _faster(f"answers, {name}, over the best other{label}", ours, peer, SPEED, 2.0)


def _find(
    series: Sequence[Series], part: str, model: str | None, peer: str, setting: str
) -> Series | None:
    for one in series:
        is_asked = (one.part, one.peer, one.setting) == (part, peer, setting)
        if is_asked and model in (None, one.model):
            return one
    return None


def _faster(what: str, ours: Series | None, theirs: Series | None, name: str, bar: float) -> Bar:
    found = ratio(ours, theirs, name) if ours and theirs else None
    text = f"≥ {bar:g} ×"
    if found is None:
        return Bar(what, text, "not measured", None)
    return Bar(what, text, f"{found.text()} ×", found.middle >= bar)


def _cheaper(what: str, ours: Series | None, theirs: Series | None, name: str, bar: float) -> Bar:
    found = ratio(ours, theirs, name) if ours and theirs else None
    text = f"≤ {bar:.2g} ×"
    if found is None:
        return Bar(what, text, "not measured", None)
    return Bar(what, text, f"{found.text()} ×", found.middle <= bar)


def _at_most(what: str, ours: Series | None, name: str, bar: float, unit: str) -> Bar:
    found = ours.spread(name) if ours else None
    text = f"≤ {bar:g} {unit}"
    if found is None:
        return Bar(what, text, "not measured", None)
    return Bar(what, text, f"{found.text()} {unit}", found.middle <= bar)
