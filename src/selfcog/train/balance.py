"""How evenly the ranks were used: tokens by rank, and the time that ranks waited."""

from __future__ import annotations

from dataclasses import dataclass

from selfcog.events import BalanceEvent, StepEvent


@dataclass(slots=True)
class Balance:
    """Sums over the steps of one process; its ``event`` is None with one rank."""

    world_size: int
    num_steps: int = 0
    tokens: int = 0
    fullest_tokens: float = 0.0
    worst: float = 0.0
    time_s: float = 0.0
    busy_s: float = 0.0

    def add(self, step: StepEvent) -> None:
        if step.imbalance is None or step.busy is None:
            return
        self.num_steps += 1
        self.tokens += step.num_tokens
        # As if the fullest rank's tokens were on every rank: that is what the step takes.
        self.fullest_tokens += step.num_tokens * (1.0 + step.imbalance)
        self.worst = max(self.worst, step.imbalance)
        self.time_s += step.step_time_s
        self.busy_s += step.step_time_s * step.busy

    def event(self) -> BalanceEvent | None:
        if not self.num_steps:
            return None
        imbalance = self.fullest_tokens / max(self.tokens, 1) - 1.0
        busy = self.busy_s / max(self.time_s, 1e-9)
        return BalanceEvent(self.world_size, self.num_steps, imbalance, self.worst, busy)
