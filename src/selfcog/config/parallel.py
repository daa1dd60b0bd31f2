"""How the weights lie on several ranks: what --fsdp and --deepspeed mean here."""

from __future__ import annotations

from dataclasses import dataclass

from selfcog.config.schema import TrainSection


@dataclass(frozen=True, slots=True)
class Sharding:
    """``shards_weights``: each rank holds a part of every decoder layer. ``keeps_gathered``: a
    layer stays whole from its forward to its backward pass. ``notices``: what the user should
    know."""

    shards_weights: bool = False
    keeps_gathered: bool = False
    notices: tuple[str, ...] = ()


def choose_sharding(settings: TrainSection, tuner_type: str) -> Sharding:
    if settings.fsdp is not None:
        return Sharding(True, settings.fsdp == "shard_grad_op")
    return Sharding()
