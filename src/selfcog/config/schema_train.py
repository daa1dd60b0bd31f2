"""Settings of the training itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from selfcog.config.base import Config, Count, Seed

# Examples per optimiser step when nothing else is asked for: ms-swift's rule, kept so that the
# same command takes the same number of steps.
DEFAULT_EXAMPLES_PER_STEP = 16


class TrainSection(Config):
    """Steps, optimiser and speed."""

    num_train_epochs: float = Field(default=3.0, gt=0)
    """Times that every row is seen."""

    max_steps: int = Field(default=-1, ge=-1)
    """Optimiser steps, whatever the epochs say; -1: as many as the epochs need."""

    global_batch_size: Count | None = None
    """Examples per optimiser step over all ranks; not given: from the two below, else 16."""

    per_device_train_batch_size: Count | None = None
    """Examples in one micro-batch of a rank; packed, it only enters the size of the step."""

    gradient_accumulation_steps: Count | None = None
    """Micro-batches per step; not given: as many as make a step of at least 16 examples."""

    per_device_eval_batch_size: Count | None = None
    """Conversations evaluated at once; not given: chosen by the token budget."""

    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; not given: from the model's width and --tuner_type."""

    lr_scheduler_type: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""

    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps in which the learning rate rises from 0."""

    warmup_steps: int | None = Field(default=None, ge=0)
    """The same in steps; wins over --warmup_ratio."""

    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW weight decay."""

    max_grad_norm: float = Field(default=1.0, ge=0)
    """The gradient is scaled down to this norm; 0: never."""

    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the mean gradient."""

    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    """AdamW's decay of the mean squared gradient."""

    adam_epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's term against division by zero."""

    seed: Seed = 42
    """Seed of weights, dropout and the order of rows."""

    gradient_checkpointing: bool | None = None
    """Compute activations twice to save memory; not given: only if memory asks for it."""

    tokens_per_batch: Count | None = None
    """Tokens of one forward pass; not given: chosen for the device."""

    packing: bool = True
    """Put several conversations, kept apart, into one row instead of padding."""

    ddp_backend: Literal["nccl", "gloo"] | None = None
    """How ranks talk; not given: nccl on GPUs, gloo on CPUs."""

    deepspeed: str | None = None
    """zero2, zero3 or a DeepSpeed file: what its stage shares out is shared out by FSDP2."""

    fsdp: Literal["full_shard", "shard_grad_op"] | None = None
    """Spread the layers' weights over the ranks; shard_grad_op keeps a layer between passes."""

    num_threads: Count | None = None
    """CPU threads per rank; not given: torch's own choice."""

    @model_validator(mode="after")
    def _check_steps(self) -> TrainSection:
        if self.deepspeed is not None and self.fsdp is not None:
            raise ValueError(
                f"--deepspeed {self.deepspeed} and --fsdp {self.fsdp} both say how weights are "
                "shared out; give one of them"
            )
        if self.max_steps == 0:
            raise ValueError("--max_steps 0 trains nothing; give a number of steps, or -1 for all")
        if self.global_batch_size and self.gradient_accumulation_steps:
            raise ValueError(
                "--global_batch_size and --gradient_accumulation_steps both set the size of a "
                "step; give one of them"
            )
        return self

    def examples_per_step(self, world_size: int) -> int:
        """Examples of one optimiser step over all ``world_size`` ranks."""
        if self.global_batch_size is not None:
            return self.global_batch_size
        per_device = self.per_device_train_batch_size
        accumulation = self.gradient_accumulation_steps
        if accumulation is not None:
            return (per_device or 1) * accumulation * world_size
        if per_device is None:
            return DEFAULT_EXAMPLES_PER_STEP
        micro_batch = per_device * world_size
        return -(-DEFAULT_EXAMPLES_PER_STEP // micro_batch) * micro_batch
