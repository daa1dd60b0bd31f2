"""Sections of ``selfcog sft`` about its results: what is written, and what is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from selfcog.config.base import Config, Count


class OutputSection(Config):
    """What is written, and when."""

    output_dir: str = Field(default="output", min_length=1)
    """Folder of all runs."""

    add_version: bool = True
    """Write to <output_dir>/<model>/v<N>-<time>; false: to <output_dir> itself."""

    run_name: str | None = None
    """Used in place of <model> in that path."""

    logging_steps: int = Field(default=5, ge=1)
    """Steps between two lines of the log."""

    eval_steps: int = Field(default=50, ge=1)
    """Steps between two evaluations; the last step is always evaluated."""

    save_steps: Count | None = None
    """Steps between two checkpoints; not given: --eval_steps; the last step is always saved."""

    save_total_limit: Count | None = 2
    """Checkpoints kept, the best and the last always among them; none: all."""

    save_only_model: bool | None = None
    """Leave out what --resume_from_checkpoint needs; not given: kept for LoRA only."""

    resume_from_checkpoint: str | None = None
    """A checkpoint folder to go on from, exactly where it stopped."""

    report_to: tuple[Literal["tensorboard"], ...] = ()
    """Further logs: tensorboard."""

    metric_for_best_model: Literal["auto", "identity", "loss", "token_accuracy"] = "auto"
    """What best_model_checkpoint is chosen by; auto: identity where one is taught, else loss."""

    progress: bool = True
    """Show a progress bar on a terminal."""


class ScoreSection(Config):
    """What is measured, during training and at its end, where an identity is taught."""

    scorecard: Literal["quick", "full", "none"] = "quick"
    """The card at the end of training, see selfcog eval; none: no questions are asked at all."""

    stop_when_ready: bool = False
    """Stop when the dev questions are answered (98 % twice running) and drift is small."""

    leave_out: tuple[str, ...] = ()
    """Question families that the card leaves out, for example other_languages."""

    retention_dataset: tuple[str, ...] = ()
    """Your own questions with one short answer each: what must not be forgotten."""
