"""Everything a training needs before its first step, or before the step it goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from selfcog.config.parallel import choose_sharding
from selfcog.config.schema import SftConfig
from selfcog.errors import TrainError
from selfcog.events import EventLog, Listener, StartEvent, WarningEvent
from selfcog.model.adapter import count_parameters
from selfcog.runs import CheckpointInfo, RunDir
from selfcog.train import random_state
from selfcog.train.anchor import Replay, plan_replay, record_teacher
from selfcog.train.checkpoint import (
    TrainerState,
    check_continuation,
    find_checkpoint,
    hash_rows,
    load_training,
    read_state,
    settings_that_matter,
)
from selfcog.train.dist import World, join_world
from selfcog.train.forward import Forward, base_model, prepare
from selfcog.train.keeper import CheckpointKeeper
from selfcog.train.logs import file_listeners
from selfcog.train.memory import choose_compute_dtype, plan_memory
from selfcog.train.optim import TrainableWeights, make_optimizer
from selfcog.train.schedule import (
    RateSchedule,
    StepPlan,
    count_warmup,
    default_learning_rate,
)
from selfcog.train.sharding import Shards, shard_model
from selfcog.types import TokenizedExample

# float16 gradients below 6e-8 vanish; the scale is halved as often as it turns out too large.
FIRST_LOSS_SCALE = 2.0**14


@dataclass(slots=True)
class TrainingParts:
    """What ``loop.train`` puts together; ``put_model_back`` and ``close_log`` end it."""

    plan: StepPlan
    schedule: RateSchedule
    forward: Forward
    weights: TrainableWeights
    optimizer: torch.optim.Optimizer
    keeper: CheckpointKeeper
    world: World
    log: EventLog
    listeners: list[Listener]
    replay: Replay | None
    shards: Shards

    def put_model_back(self) -> None:
        """The model as it is used elsewhere: eval mode, its own attention and dtypes."""
        self.forward.restore()
        self.weights.give_back_dtypes()
        self.forward.model.eval()

    def close_log(self) -> None:
        for listener in self.listeners:
            self.log.listeners.remove(listener)


def prepare_training(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TokenizedExample],
    config: SftConfig,
    run: RunDir,
    info: CheckpointInfo,
    log: EventLog,
    resume_from: Path | None,
    replay_rows: Sequence[TokenizedExample] = (),
    shards: Shards | None = None,
) -> TrainingParts:
    """Check the rows, meet the ranks, plan the steps, and load what is continued.

    Emits the StartEvent and the notices. Raises as ``loop.train`` says.
    """
    settings, output = config.train, config.output
    check_rows(rows)
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    base = base_model(model)
    own_dtype = base.dtype
    world = join_world(model.device, settings.ddp_backend)
    if not world.is_main:
        log = EventLog()
    random_state.seed_everything(settings.seed, world.rank)

    plan = StepPlan.make(
        len(rows),
        settings.examples_per_step(world.size),
        settings.num_train_epochs,
        settings.max_steps,
        settings.seed,
    )
    tuner_type = config.adapter.tuner_type
    width = base.config.get_text_config().hidden_size
    peak = settings.learning_rate or default_learning_rate(width, tuner_type)
    num_warmup = count_warmup(plan.num_steps, settings.warmup_ratio, settings.warmup_steps)
    schedule = RateSchedule(peak, plan.num_steps, num_warmup, settings.lr_scheduler_type)
    state = TrainerState(
        num_steps=plan.num_steps,
        settings=settings_that_matter(
            config,
            examples_per_step=plan.examples_per_step,
            num_steps=plan.num_steps,
            learning_rate=peak,
        ),
        data_hash="/".join(hash_rows(part) for part in (rows, replay_rows) if part),
        world_size=world.size,
        loss_scale=FIRST_LOSS_SCALE if own_dtype == torch.float16 else 1.0,
    )
    checkpoint = None if resume_from is None else find_checkpoint(resume_from)
    if checkpoint is not None:
        state = _continued(read_state(checkpoint), state, checkpoint, run)

    num_parameters = count_parameters(model).total
    shards = shards or shard_model(model, config, world)
    weights = TrainableWeights(model, shards.own_dtypes)
    optimizer = make_optimizer(weights, settings)
    memory = plan_memory(
        base, world.device, settings.tokens_per_batch, settings.gradient_checkpointing
    )
    forward, notices = prepare(
        model,
        token_budget=memory.token_budget,
        longest_row=max(row.num_tokens for row in (*rows, *replay_rows)),
        packing=settings.packing,
        max_padded_rows=None if settings.packing else settings.per_device_train_batch_size or 1,
        pad_id=tokenizer.pad_token_id or 0,
        compute_dtype=choose_compute_dtype(own_dtype, world.device, config.model.torch_dtype),
    )
    shards.forget_gathered()
    if memory.checkpointing:
        forward.set_checkpointing()
    replay = plan_replay(replay_rows, config.teacher, plan)
    if replay is not None and replay.loss == "kl":
        # Before the weights of a checkpoint are loaded: the teacher is the model as it came.
        anchored, event = record_teacher(forward, replay.rows, config.teacher.kl_top_k, shards)
        replay = replace(replay, rows=anchored)
        log.emit(event)
    if checkpoint is not None:
        load_training(checkpoint, state, weights, optimizer, world, settings.seed)
    for name, parameter in weights.named.items():
        if name not in weights.sharded:
            world.copy_from_main(parameter.data)

    listeners: list[Listener] = []
    if world.is_main:
        listeners, missing = file_listeners(run, output.logging_steps, output.report_to, state.step)
        notices = [
            *_describe_sharding(config, world),
            *notices,
            *missing,
            *_old_checkpoints(run, checkpoint),
        ]
        log.listeners.extend(listeners)
    keeper = CheckpointKeeper(
        run=run,
        info=info,
        output=output,
        state=state,
        model=model,
        tokenizer=tokenizer,
        weights=weights,
        optimizer=optimizer,
        world=world,
        log=log,
        with_training=not _is_only_model(output.save_only_model, tuner_type),
        metric="loss" if output.metric_for_best_model == "auto" else output.metric_for_best_model,
    )
    log.emit(
        StartEvent(
            num_steps=plan.num_steps,
            num_epochs=plan.num_epochs,
            num_examples=len(rows),
            examples_per_step=plan.examples_per_step,
            num_trainable_parameters=weights.num_weights,
            num_parameters=num_parameters,
            world_size=world.size,
            device=_device_name(world.device),
            first_step=state.step,
        )
    )
    for notice in notices:
        log.emit(WarningEvent(notice))
    keeper.write_run_state("running")
    return TrainingParts(
        plan, schedule, forward, weights, optimizer, keeper, world, log, listeners, replay, shards
    )


def check_rows(rows: Sequence[TokenizedExample]) -> None:
    """Raises TrainError when there is nothing to learn from."""
    if not rows:
        raise TrainError("there are no rows to train on")
    if not any(row.num_supervised for row in rows):
        raise TrainError(
            f"none of the {len(rows)} rows has a token to learn: all labels are -100; the chat "
            "template may not mark the answers, or --max_length cuts them off"
        )


def _continued(
    saved: TrainerState, now: TrainerState, checkpoint: Path, run: RunDir
) -> TrainerState:
    """The saved state as far as it belongs to ``run``."""
    check_continuation(saved, now, checkpoint)
    saved.saved_steps = [
        step for step in saved.saved_steps if (run.checkpoint(step) / "checkpoint.json").is_file()
    ]
    if saved.best_step not in saved.saved_steps:
        saved.best_step = saved.best_value = None
    saved.world_size = now.world_size
    return saved


def _describe_sharding(config: SftConfig, world: World) -> list[str]:
    sharding = choose_sharding(config)
    if not sharding.shards_weights or world.size > 1:
        return list(sharding.notices)
    flag = "--fsdp" if config.train.fsdp else "--deepspeed"
    return [f"{flag}: one process has nothing to share out; NPROC_PER_NODE=N starts N of them"]


def _old_checkpoints(run: RunDir, checkpoint: Path | None) -> list[str]:
    found = run.checkpoints()
    if checkpoint is not None or not found:
        return []
    return [
        f"{run.path} already holds {len(found)} checkpoints of an earlier run; they are not "
        "removed, only replaced where the step is the same"
    ]


def _is_only_model(setting: bool | None, tuner_type: str) -> bool:
    # All weights with AdamW's moments are six times the model; an adapter is small.
    return tuner_type == "full" if setting is None else setting


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
