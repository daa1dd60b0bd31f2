"""Run trials, leaving out those that are done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from selfcog.errors import ConfigError, Interrupted
from selfcog.sweep.trial import Job, Trial, TrialResult, read_result


class Backend(Protocol):
    """What runs trainings: `LocalPool` or `RayCluster`."""

    @property
    def about(self) -> str:
        """Where and how many at once, for people."""
        ...

    def run(self, jobs: Sequence[Job]) -> Iterator[TrialResult]:
        """One result a job, as they come; closing the iterator early ends all trainings."""
        ...


Listener = Callable[[TrialResult, int, int], None]
"""Called with a new result, how many trials are done or failed by now, and how many there are."""


def run_trials(
    trials: Sequence[Trial],
    backend: Backend,
    folder: Path,
    *,
    on_result: Listener | None = None,
) -> list[TrialResult]:
    """Train every trial that has no result in ``folder`` yet; results in the order of ``trials``.

    A trial that fails is a result with ``status`` "failed" and does not end the others; it is tried
    again the next time. Raises ConfigError for trials that cannot stand side by side.
    """
    folder = folder.expanduser().resolve()
    _check(trials)
    folder.mkdir(parents=True, exist_ok=True)
    results = {trial.folder_name: read_result(folder / trial.folder_name) for trial in trials}
    jobs = [Job.of(trial, folder) for trial in trials if results[trial.folder_name] is None]
    num_done = len(trials) - len(jobs)
    if jobs:
        with closing(_generator(backend.run(jobs))) as fresh:
            for result in fresh:
                results[Path(result.folder).name] = result
                num_done += 1
                if on_result is not None:
                    on_result(result, num_done, len(trials))
    found = [results[trial.folder_name] for trial in trials]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def count_done(trials: Sequence[Trial], folder: Path) -> int:
    """How many of the trials need not be trained again."""
    folder = folder.expanduser().resolve()
    return sum(read_result(folder / trial.folder_name) is not None for trial in trials)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end the trials as Ctrl-C does (raises Interrupted).

    The trials are in sessions of their own and would otherwise go on without anybody. For the main
    thread only.
    """

    received: list[signal.Signals] = []

    def leave(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        # Ray's compiled code lets no other exception of a handler through.
        raise KeyboardInterrupt

    previous: dict[signal.Signals, Any] = {}
    for one in (signal.SIGTERM, signal.SIGHUP):
        # nohup has the closing of the terminal ignored, and means it.
        if signal.getsignal(one) is not signal.SIG_IGN:
            previous[one] = signal.signal(one, leave)
    try:
        yield
    except KeyboardInterrupt:
        if not received:
            raise
        raise Interrupted(f"stopped by {received[0].name}", received[0]) from None
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _generator(results: Iterator[TrialResult]) -> Generator[TrialResult, None, None]:
    """An iterator that can be closed, whatever kind the backend gives."""
    yield from results


def _check(trials: Sequence[Trial]) -> None:
    names: dict[str, Trial] = {}
    for trial in trials:
        if trial.config.output.resume_from_checkpoint is not None:
            raise ConfigError(
                "--resume_from_checkpoint goes on with one run; trials begin from the model"
            )
        twin = names.setdefault(trial.folder_name, trial)
        if twin is not trial:
            raise ConfigError(f"trial {trial.name} is there twice, with the same settings")
