"""Loss and token accuracy on rows that are not trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selfcog.train.batches import share_of_rank
from selfcog.train.forward import Forward
from selfcog.train.sharding import Shards
from selfcog.types import TokenizedExample


def evaluate_rows(
    forward: Forward,
    rows: Sequence[TokenizedExample],
    shards: Shards,
    max_rows: int | None = None,
) -> dict[str, float]:
    """``loss``: nats per supervised token; ``token_accuracy``: share that was the likeliest.

    Both over all supervised tokens of all ranks' ``rows``, so that neither batching nor the
    number of ranks matters. ``max_rows`` bounds padded batches. Empty without rows.
    """
    num_targets = sum(row.num_supervised for row in rows)
    if not num_targets:
        return {}
    was_training = forward.model.training
    forward.model.eval()
    world = shards.world
    sums = torch.zeros(2, dtype=torch.float64, device=world.device)
    with torch.no_grad():
        [share] = share_of_rank([rows], world.rank, world.size).groups
        batches = [batch for batch in forward.batches(share, max_rows) if batch.num_targets]
        num_idle = shards.count_idle(len(batches))
        for batch in batches:
            found = forward.loss(batch.to(world.device))
            sums += torch.stack([found.loss_sum, found.num_correct])
    shards.idle_passes(num_idle, backward=False)
    forward.model.train(was_training)
    world.add_up(sums)
    loss, correct = (sums / num_targets).tolist()
    return {"loss": loss, "token_accuracy": correct}
