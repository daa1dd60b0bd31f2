"""Trainings as tasks of a Ray cluster that is already there.

Plain tasks, not Ray Tune: a grid is known before the first trial starts, so there is nothing for a
search algorithm or a scheduler to decide. Each task runs the same `run_job` as a local worker.

All nodes need the same folders (a shared file system) and the same selfcog. Environment variables
are those of the nodes.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from selfcog.errors import ConfigError, MissingExtraError
from selfcog.sweep.local import Workers
from selfcog.sweep.trial import STOP_SECONDS, Job, TrialResult, failed_to_run, run_job

CONNECT_SECONDS = 10.0
# For the workers to end their trainings after they were told to.
CANCEL_SECONDS = 2 * STOP_SECONDS


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a cluster has in all, and the cores of its largest node."""

    cores: int
    gpus: int
    largest_node: int


@dataclass(frozen=True, slots=True)
class RayCluster:
    """The cluster at ``address`` (auto, HOST:PORT, ray://HOST:PORT).

    ``num_workers`` None: as many as suit what the cluster has in all.
    """

    address: str
    num_workers: int | None = None

    @property
    def about(self) -> str:
        return f"on the Ray cluster {self.address}"

    def run(self, jobs: Sequence[Job]) -> Iterator[TrialResult]:
        """Results as they come. Closing the iterator early cancels all tasks.

        Raises MissingExtraError without Ray, ConfigError where no cluster answers.
        """
        ray = import_ray()
        is_ours = not ray.is_initialized()
        if is_ours:
            connect(ray, self.address)
        waiting = deque(jobs)
        running: dict[Any, Job] = {}
        try:
            found = measure_capacity(ray)
            plan = Workers.plan(found.cores, found.gpus, self.num_workers)
            task = ray.remote(run_job)
            while waiting or running:
                while waiting and len(running) < plan.num_workers:
                    job = waiting.popleft()
                    needs = task_needs(job, plan, found)
                    running[task.options(**needs).remote(job, plan.threads)] = job
                # With a time limit, so that Ctrl-C is seen.
                ended, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
                for reference in ended:
                    yield _result_of(ray, reference, running.pop(reference))
        finally:
            for reference in running:
                # The task gets a KeyboardInterrupt, on which it ends its training.
                ray.cancel(reference)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=CANCEL_SECONDS)
            if is_ours:
                ray.shutdown()


def import_ray() -> Any:
    try:
        return import_module("ray")
    except ModuleNotFoundError:
        raise MissingExtraError(
            "--ray_address needs a package that is not installed: pip install 'selfcog[sweep]'"
        ) from None


def connect(ray: Any, address: str) -> None:
    """Join a running cluster; never start one. Raises ConfigError."""
    _check_port(address)
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(_explain(address, str(error))) from None
    finally:
        if in_main:
            # ray.init puts its own in place of it.
            signal.signal(signal.SIGTERM, before)


def measure_capacity(ray: Any) -> Capacity:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(node.get("CPU", 0)) for node in nodes]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    return Capacity(sum(cores), gpus, max(cores, default=1))


def task_needs(job: Job, plan: Workers, found: Capacity) -> dict[str, Any]:
    """Options of the task: never more than a node has, or it would wait for ever.

    No retries: a crash is reported, as it is by the local pool.
    """
    threads = min(job.threads or plan.threads, max(found.largest_node, 1))
    share = min(1.0, found.gpus / plan.num_workers)
    return {"name": job.name, "num_cpus": threads, "num_gpus": share, "max_retries": 0}


def _result_of(ray: Any, reference: Any, job: Job) -> TrialResult:
    try:
        result: TrialResult = ray.get(reference)
    except ray.exceptions.RayError as error:
        return failed_to_run(job, f"Ray lost it: {str(error).strip().splitlines()[-1]}")
    return result


def _check_port(address: str) -> None:
    """Ray would try to reach a wrong HOST:PORT for many minutes before it gives up."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(_explain(address, str(error))) from None


def _explain(address: str, reason: str) -> str:
    return (
        f"--ray_address {address}: no Ray cluster answers ({reason.split('. ')[0]}); start one "
        "with ray start --head, or leave the flag out to train on this machine"
    )
