"""Ray as a back end, with a stand-in that keeps to Ray's documented interface.

Tasks of the stand-in run at once, in this process; results, cancelling and options are recorded.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up
import pytest

from selfcog.errors import ConfigError, MissingExtraError
from selfcog.sweep import LocalPool, RayCluster, Trial, TrialResult, run_trials
from selfcog.sweep.cluster import Capacity, task_needs
from selfcog.sweep.local import Workers
from selfcog.sweep.trial import Job


class RayError(Exception):
    pass


class StandIn:
    """Enough of the module ``ray``: one node with 4 CPUs; as many GPUs as asked for."""

    def __init__(self, gpus: int = 0) -> None:
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.gpus = gpus
        self.options: list[dict[str, Any]] = []
        self.cancelled: list[object] = []
        self.most_at_once = 0
        self.is_on = False
        self.waiting: dict[object, Any] = {}

    def is_initialized(self) -> bool:
        return self.is_on

    def init(self, *, address: str, log_to_driver: bool, logging_level: str) -> None:
        if address == "nobody":
            raise ConnectionError("Could not find any running Ray instance. Please start one.")
        self.is_on = True

    def shutdown(self) -> None:
        self.is_on = False

    def nodes(self) -> list[dict[str, Any]]:
        here = {"CPU": 4.0} | ({"GPU": float(self.gpus)} if self.gpus else {})
        return [{"Alive": True, "Resources": here}, {"Alive": False, "Resources": {"CPU": 99.0}}]

    def remote(self, function: Any) -> Any:
        assert function.__module__ == "selfcog.sweep.trial", "found by name on other machines"

        def submit(*words: Any) -> object:
            reference = object()
            self.waiting[reference] = (function, words)
            self.most_at_once = max(self.most_at_once, len(self.waiting))
            return reference

        def options(**needs: Any) -> SimpleNamespace:
            self.options.append(needs)
            return SimpleNamespace(remote=submit)

        return SimpleNamespace(options=options)

    def wait(
        self, references: list[object], *, num_returns: int, timeout: float
    ) -> tuple[list[object], list[object]]:
        return references[-num_returns:], references[:-num_returns]

    def get(self, reference: object) -> Any:
        function, words = self.waiting.pop(reference)
        if words[0].name == "lost":
            raise RayError("A long story.\nThe worker died: no memory\n")
        return function(*words)

    def cancel(self, reference: object) -> None:
        self.cancelled.append(reference)


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    made_up.pretend(tmp_path)
    return stand_in


def trial(name: str, steps: int) -> Trial:
    return Trial(name, made_up.settings(max_steps=steps))


def test_both_back_ends_give_the_same_results(ray: StandIn) -> None:
    plan = [trial("a", 10), trial("b", 20), trial("c", 13)]
    there = run_trials(plan, RayCluster("auto"), Path("there"))
    here = run_trials(plan, LocalPool(2, 2), Path("here"))

    def plain(results: list[TrialResult]) -> list[dict[str, Any]]:
        return [one.to_json() | {"seconds": 0} for one in results]

    assert plain(there) == plain(here)
    assert [one.status for one in there] == ["done", "done", "failed"]
    assert ray.options == [
        {"name": name, "num_cpus": 2, "num_gpus": 0.0, "max_retries": 0} for name in "abc"
    ]
    assert ray.most_at_once == 2
    assert not ray.is_on, "the connection is closed"
    variables = json.loads(there[0].log_path.read_text().splitlines()[1])
    assert variables["OMP_NUM_THREADS"] == "2"


def test_done_trials_are_not_sent(ray: StandIn) -> None:
    plan = [trial("a", 10)]
    first = run_trials(plan, LocalPool(1, 1), Path("out"))
    assert run_trials(plan, RayCluster("auto"), Path("out")) == first
    assert ray.options == []


def test_a_lost_worker_is_one_failed_trial(ray: StandIn) -> None:
    lost, fine = run_trials([trial("lost", 10), trial("b", 20)], RayCluster("auto", 1), Path("out"))
    assert (lost.status, lost.message) == ("failed", "Ray lost it: The worker died: no memory")
    assert fine.status == "done"


def test_stopping_cancels_what_runs(ray: StandIn) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    plan = [trial(name, steps) for steps, name in enumerate("abcd", 20)]
    with pytest.raises(KeyboardInterrupt):
        run_trials(plan, RayCluster("auto"), Path("out"), on_result=stop)
    assert len(ray.cancelled) == 1, "one of two had ended"
    assert not ray.is_on


def test_a_connection_of_the_caller_stays(ray: StandIn) -> None:
    ray.is_on = True
    run_trials([trial("a", 10)], RayCluster("auto"), Path("out"))
    assert ray.is_on


def test_a_node_without_the_folder_says_so(
    ray: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(StandIn):
        def get(self, reference: object) -> Any:
            function, (job, threads) = self.waiting.pop(reference)
            (tmp_path / "out").rename(tmp_path / "kept")
            try:
                return function(job, threads)
            finally:
                (tmp_path / "kept").rename(tmp_path / "out")

    monkeypatch.setitem(sys.modules, "ray", Elsewhere())  # type: ignore[arg-type]
    (result,) = run_trials([trial("a", 10)], RayCluster("auto"), Path("out"))
    assert result.status == "failed"
    assert f"{tmp_path / 'out'} is not there on {socket.gethostname()}" in result.message


def test_no_cluster(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [trial("a", 10)]
    with pytest.raises(ConfigError) as caught:
        run_trials(plan, RayCluster("nobody"), Path("out"))
    assert "--ray_address nobody: no Ray cluster answers (Could not find any" in str(caught.value)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: no Ray cluster answers"):
        run_trials(plan, RayCluster(f"127.0.0.1:{port}"), Path("out"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'selfcog\[sweep\]'"):
        run_trials(plan, RayCluster("auto"), Path("out"))


def test_a_task_never_needs_more_than_a_node_has() -> None:
    job = Job("a", "/f", "", "/", threads=64)
    needs = task_needs(job, Workers(4, 2), Capacity(16, 8, 8))
    assert (needs["num_cpus"], needs["num_gpus"]) == (8, 1.0)
    shared = task_needs(job, Workers(4, 2), Capacity(16, 2, 8))
    assert shared["num_gpus"] == 0.5
