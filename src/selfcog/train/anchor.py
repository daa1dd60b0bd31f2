"""What must not change: replay rows, and the model before its first step as their teacher.

A step takes some replay rows beside its examples. Their loss is the KL divergence from the
teacher's distribution to the model's at every place of the answer (Learning without Forgetting,
arXiv 1606.09282; for replay rows of the model's own answers see arXiv 2512.22337), or plain
cross-entropy. It has its own normaliser, so that long replay rows never drown the identity.

The teacher is the model as it is before any step. A new adapter changes nothing at first, so this
is the base; with an adapter that goes on, it is that adapter; for full training no second model is
needed. Its K likeliest tokens are recorded once: a step then costs no second forward pass.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from selfcog.config.schema import TeacherSection
from selfcog.events import TeacherEvent
from selfcog.tokens.pack import pack
from selfcog.train.batches import AnchoredExample
from selfcog.train.forward import Forward
from selfcog.train.loss import Teacher
from selfcog.train.memory import shrink
from selfcog.train.schedule import StepPlan
from selfcog.train.sharding import Shards
from selfcog.types import TokenizedExample


@dataclass(frozen=True, slots=True)
class Replay:
    """The rows that ride along; ``weight`` of their mean loss beside the examples' mean of 1."""

    rows: Sequence[TokenizedExample]
    plan: StepPlan
    weight: float
    loss: Literal["kl", "ce"]

    def rows_of(self, step: int) -> list[TokenizedExample]:
        return [self.rows[index] for index in self.plan.examples(step)]


def plan_replay(
    rows: Sequence[TokenizedExample], settings: TeacherSection, steps: StepPlan
) -> Replay | None:
    """Which replay rows each of the ``steps`` takes; None where there are none, or no weight."""
    if not rows or settings.kl_weight == 0:
        return None
    per_step = settings.replay_per_step(steps.examples_per_step)
    # Another seed than that of the examples, or both would be drawn in like orders.
    plan = StepPlan.make(len(rows), min(per_step, len(rows)), 1, steps.num_steps, steps.seed + 1)
    return Replay(rows, plan, settings.kl_weight, settings.replay_loss)


def record_teacher(
    forward: Forward, rows: Sequence[TokenizedExample], top_k: int, shards: Shards
) -> tuple[list[AnchoredExample], TeacherEvent]:
    """``rows`` with the distribution that the model has now at their supervised places.

    Ranks share the work, and every rank gets all rows. ``top_k`` is cut to the vocabulary.
    """
    started = time.perf_counter()
    world = shards.world
    was_training = forward.model.training
    forward.model.eval()
    mine = list(range(world.rank, len(rows), world.size))
    while True:
        try:
            found = _record(forward, rows, mine, top_k, shards)
            break
        except torch.OutOfMemoryError:
            pass  # the trace holds the tensors: leave the block before trying again
        shards.refuse_to_shrink(forward.token_budget)
        shrink(forward, max(row.num_tokens for row in rows), True)
    forward.model.train(was_training)
    every = {index: one for part in world.collect(found) for index, one in part.items()}
    anchored = [
        AnchoredExample(
            row.input_ids, row.labels, row.kind, row.source, row.line, row.weight, every[index]
        )
        for index, row in enumerate(rows)
    ]
    num_places = sum(len(one.rest_N) for one in every.values())
    num_bytes = sum(tensor.nbytes for one in every.values() for tensor in one.tensors)
    seconds = time.perf_counter() - started
    return anchored, TeacherEvent(len(rows), num_places, top_k, num_bytes, seconds)


def _record(
    forward: Forward,
    rows: Sequence[TokenizedExample],
    mine: Sequence[int],
    top_k: int,
    shards: Shards,
) -> dict[int, Teacher]:
    found: dict[int, Teacher] = {}
    groups = _group(forward, [rows[index].num_tokens for index in mine])
    num_idle = shards.count_idle(len(groups))
    for group in groups:
        members = [mine[place] for place in group]
        batch, *others = forward.batches([rows[index] for index in members])
        assert not others, "a group is one forward pass"
        chunks = forward.log_probabilities(batch.to(shards.world.device))
        whole = Teacher.join([_summarise(logp_CV, top_k) for logp_CV in chunks])
        sizes = [rows[index].num_supervised for index in members]
        found.update(zip(members, whole.split(sizes), strict=True))
    shards.idle_passes(num_idle, backward=False)
    return found


def _group(forward: Forward, lengths: Sequence[int]) -> list[list[int]]:
    """Places of rows that make one forward pass, in the order in which it has them."""
    if forward.attention == "padded":
        return [[place] for place in range(len(lengths))]
    return pack(lengths, forward.token_budget)


def _summarise(logp_CV: torch.Tensor, top_k: int) -> Teacher:
    logp_CK, ids_CK = logp_CV.topk(min(top_k, logp_CV.shape[-1]), dim=-1)
    rest_CV = logp_CV.exp().scatter_(1, ids_CK, 0.0)
    return Teacher(ids_CK.int().cpu(), logp_CK.cpu(), rest_CV.sum(-1).cpu())
