"""Several trainings: a grid of settings, one process for each, and the choice among the results.

    results = run_trials([Trial("rank 8", config), …], LocalPool.plan(), Path("trials"))

``trial`` is one training in a process of its own, ``local`` and ``cluster`` run many of them,
``runner`` leaves out those that are done, ``grid`` makes them from lists of values, ``choice``
picks a point of the grid, ``report`` shows and writes. Nothing here loads torch.
"""

from selfcog.sweep.cluster import RayCluster
from selfcog.sweep.local import LocalPool
from selfcog.sweep.runner import Backend, ended_by_signals, run_trials
from selfcog.sweep.scores import Scores
from selfcog.sweep.trial import Trial, TrialResult

__all__ = [
    "Backend",
    "LocalPool",
    "RayCluster",
    "Scores",
    "Trial",
    "TrialResult",
    "ended_by_signals",
    "run_trials",
]
