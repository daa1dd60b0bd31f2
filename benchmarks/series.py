"""Repeated readings, their spread, and ratios between contestants of the same invocation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.contestants import OURS, PEERS
from benchmarks.measure import Reading


@dataclass(frozen=True, slots=True)
class Spread:
    """Minimum, median and maximum of ``number`` values."""

    low: float
    middle: float
    high: float
    number: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None where there is no value."""
        found = sorted(values)
        if not found:
            return None
        return cls(found[0], median(found), found[-1], len(found))

    def text(self, digits: int = 2) -> str:
        """ "1.00 / 1.10 / 1.30"; one number where there is only one."""
        numbers = [f"{value:.{digits}f}" for value in (self.low, self.middle, self.high)]
        return numbers[1] if self.number == 1 else " / ".join(numbers)


@dataclass(slots=True)
class Series:
    """All readings of one contestant in one part; the place in ``readings`` is the round."""

    part: str
    model: str
    peer: str
    setting: str
    readings: list[Reading] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        return self.peer == OURS

    @property
    def label(self) -> str:
        title = PEERS[self.peer].title if self.peer in PEERS else self.peer
        return f"{title}, {self.setting}" if self.setting else title

    def values(self, name: str) -> list[float]:
        return [one.values[name] for one in self.readings if name in one.values]

    def spread(self, name: str) -> Spread | None:
        return Spread.of(self.values(name))

    @property
    def trouble(self) -> Reading | None:
        """The first reading that has no numbers; its message may name files of this machine."""
        return next((one for one in self.readings if one.status != "ok"), None)

    def to_json(self) -> dict[str, object]:
        names = {name: None for one in self.readings for name in one.values}
        return {
            "part": self.part,
            "model": self.model,
            "peer": self.peer,
            "setting": self.setting,
            "values": {name: self.values(name) for name in names},
            "trouble": describe(self.trouble) if self.trouble else "",
        }


def from_json(found: dict[str, Any]) -> Series:
    """The series that ``Series.to_json`` gave."""
    values: dict[str, list[float]] = found["values"]
    number = max((len(one) for one in values.values()), default=0)
    readings = [
        Reading({name: one[place] for name, one in values.items() if place < len(one)})
        for place in range(number)
    ]
    if found["trouble"]:
        status, _, message = found["trouble"].partition(": ")
        readings.append(Reading(status=status, message=message))
    return Series(found["part"], found["model"], found["peer"], found["setting"], readings)


def ratio(ours: Series, theirs: Series, name: str) -> Spread | None:
    """ours / theirs, each from two runs of the same round, so that a slow hour weighs on both."""
    pairs = zip(ours.readings, theirs.readings, strict=False)
    return Spread.of(
        one.values[name] / other.values[name]
        for one, other in pairs
        if name in one.values and other.values.get(name)
    )


def best(series: Sequence[Series], name: str, *, lowest: bool = False) -> Series | None:
    """The series with the best median; None where none has a value."""
    found = [(spread.middle, one) for one in series if (spread := one.spread(name)) is not None]
    if not found:
        return None
    chosen = min(found, key=_value) if lowest else max(found, key=_value)
    return chosen[1]


def _value(entry: tuple[float, Series]) -> float:
    return entry[0]


@dataclass(slots=True)
class Task:
    """A contestant of a part and how to run it once. ``keep``: repeated whatever its result.

    ``after``: the label of a contestant that must not have run out of memory before.
    """

    series: Series
    run: Callable[[int], Reading]
    keep: bool = False
    after: str = ""


def interleave(
    tasks: Sequence[Task], repeats: int, deciding: str | None, say: Callable[[str], None]
) -> list[Series]:
    """Run all tasks once, then again in turn: A B C, A B C, …

    With ``deciding`` (a value, more is better) only the first round has all contestants; later
    ones have those that are kept, the best of ours and the best of the others.
    """
    chosen = list(tasks)
    for number in range(repeats):
        if number == 1 and deciding is not None:
            chosen = _contenders(tasks, deciding)
        for task in chosen:
            reading = _blocked(task, tasks) or task.run(number)
            task.series.readings.append(reading)
            say(f"round {number + 1}: {task.series.label}: {describe(reading)}")
    return [task.series for task in tasks]


def describe(reading: Reading) -> str:
    if reading.status != "ok":
        return f"{reading.status}: {reading.message}"
    return ", ".join(f"{name} {value:.3g}" for name, value in reading.values.items())


def _contenders(tasks: Sequence[Task], deciding: str) -> list[Task]:
    ours = best([task.series for task in tasks if task.series.is_ours], deciding)
    theirs = best([task.series for task in tasks if not task.series.is_ours], deciding)
    return [
        task
        for task in tasks
        if not task.series.trouble and (task.keep or task.series is ours or task.series is theirs)
    ]


def _blocked(task: Task, tasks: Sequence[Task]) -> Reading | None:
    for other in tasks:
        ran_out = any(one.status == "out of memory" for one in other.series.readings)
        if task.after and other.series.label == task.after and ran_out:
            return Reading(status="not run", message=f"{task.after} ran out of memory")
    return None
