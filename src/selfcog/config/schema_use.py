"""Settings of the commands that use a model: infer, export, demo. Flat; GROUPS orders them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from selfcog.config.base import Config, Count, DType, Seed


class InferConfig(Config):
    """``selfcog infer``: chat, ask one question, or answer a file of questions."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "model": (
            "model",
            "ckpt_dir",
            "adapters",
            "load_args",
            "merge_lora",
            "model_revision",
            "torch_dtype",
            "attn_impl",
            "trust_remote_code",
        ),
        "questions": (
            "query",
            "val_dataset",
            "val_dataset_sample",
            "columns",
            "result_path",
            "compare",
        ),
        "answers": (
            "system",
            "enable_thinking",
            "max_new_tokens",
            "temperature",
            "top_p",
            "top_k",
            "repetition_penalty",
            "seed",
            "stream",
            "max_batch_size",
            "num_threads",
        ),
    }

    model: str | None = Field(default=None, min_length=1)
    """A checkpoint folder, a hub id (org/name), or "embedded"; with --ckpt_dir: its base."""

    ckpt_dir: str | None = Field(default=None, min_length=1)
    """A checkpoint of a run, or a merged folder; it remembers its base."""

    adapters: str | None = Field(default=None, min_length=1)
    """An adapter folder that another tool made, on top of --model."""

    load_args: bool = True
    """Take the system prompt and number format of the run that made the checkpoint."""

    merge_lora: bool = False
    """Fold the adapter into the weights in memory first."""

    model_revision: str | None = None
    """Branch, tag or commit of a hub id."""

    torch_dtype: DType = "auto"
    """Number format of the weights; auto: bfloat16 on a GPU that has it; float32 on a CPU, or
    bfloat16 for a large model that is stored so, if the CPU has it."""

    attn_impl: str | None = None
    """Attention kernel by its transformers name: sdpa, eager, flash_attention_2 …"""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    query: tuple[str, ...] = ()
    """Ask this and end; repeat the flag for several questions."""

    val_dataset: tuple[str, ...] = ()
    """Answer the questions of these files."""

    val_dataset_sample: int | None = Field(default=None, ge=1)
    """Questions taken from them, at random; not given: all."""

    columns: dict[str, str] = Field(default_factory=dict)
    """JSON object that names the columns of these files, as in sft."""

    result_path: str | None = None
    """JSONL file for questions and answers; not given: beside the checkpoint."""

    compare: bool = False
    """Answer with the base and with the tuned model, side by side."""

    system: str | None = None
    """System prompt; not given: the run's, else the template's default; '': none."""

    enable_thinking: bool | None = None
    """Mode of a thinking model; not given: what its template does by default."""

    max_new_tokens: int = Field(default=512, ge=1)
    """Longest answer in tokens."""

    temperature: float = Field(default=0.3, ge=0)
    """0: always the likeliest token; higher: more varied."""

    top_p: float = Field(default=0.7, gt=0, le=1)
    """Sample from the likeliest tokens that make up this share."""

    top_k: int = Field(default=20, ge=0)
    """Sample from this many of the likeliest tokens; 0: no limit."""

    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1: tokens that have occurred become less likely."""

    seed: Seed = 42
    """Seed of sampling."""

    stream: bool = True
    """Show an answer while it is written."""

    max_batch_size: int = Field(default=8, ge=1)
    """Questions of a file answered at once."""

    num_threads: Count | None = None
    """CPU threads; not given: torch's own choice."""

    @model_validator(mode="after")
    def _check_sources(self) -> InferConfig:
        if not (self.model or self.ckpt_dir or self.adapters):
            raise ValueError("nothing to load: give --model or --ckpt_dir")
        if self.query and self.val_dataset:
            raise ValueError("--query and --val_dataset both give questions; use one of them")
        if self.compare and self.merge_lora:
            raise ValueError("--compare switches the adapter off and on, so --merge_lora must go")
        return self


class ExportConfig(Config):
    """``selfcog export``: fold an adapter into its base, as a folder that runs anywhere."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "source": ("ckpt_dir", "adapters", "model", "model_revision", "trust_remote_code"),
        "result": (
            "merge_lora",
            "output_dir",
            "exist_ok",
            "torch_dtype",
            "max_shard_size",
            "check_answers",
            "system",
        ),
    }

    ckpt_dir: str | None = Field(default=None, min_length=1)
    """A checkpoint of a run; it remembers its base."""

    adapters: str | None = Field(default=None, min_length=1)
    """An adapter folder that another tool made."""

    model: str | None = Field(default=None, min_length=1)
    """The base, where the checkpoint does not know it or it has moved."""

    model_revision: str | None = None
    """Branch, tag or commit of a hub id."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    merge_lora: bool = False
    """Write the merged weights (the one kind of export there is so far)."""

    output_dir: str | None = Field(default=None, min_length=1)
    """Folder for the result; not given: <ckpt_dir>-merged."""

    exist_ok: bool = False
    """Overwrite a folder there that is not an earlier merge of this checkpoint."""

    torch_dtype: DType = "auto"
    """Number format of the merged weights; auto: the base's."""

    max_shard_size: str = Field(default="5GB", pattern=r"^\d+(\.\d+)? ?(KB|MB|GB|KiB|MiB|GiB)$")
    """Largest weight file."""

    check_answers: bool = True
    """Ask before and after: greedy answers must be equal."""

    system: str | None = None
    """System prompt of that check; not given: the run's."""

    @model_validator(mode="after")
    def _check_sources(self) -> ExportConfig:
        if not (self.ckpt_dir or self.adapters):
            raise ValueError("nothing to export: give --ckpt_dir OUTPUT/…/checkpoint-N")
        if self.ckpt_dir and self.adapters:
            raise ValueError("--ckpt_dir and --adapters both name an adapter; give one of them")
        return self


class DemoConfig(Config):
    """``selfcog demo``: ask, train, ask again, merge, on the model that ships along."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "identity": ("model_name", "model_author", "self_cognition_sample"),
        "run": ("model", "max_steps", "scorecard", "merge_lora", "output_dir", "seed", "progress"),
    }

    model_name: tuple[str, ...] = Field(default=("扁仓", "BianCang"), min_length=1)
    """The name to teach: Chinese, then English; one value serves both."""

    model_author: tuple[str, ...] = Field(
        default=("扁仓研究组", "BianCang Research Group"), min_length=1
    )
    """Who made it: Chinese, then English."""

    self_cognition_sample: int = Field(default=500, ge=1)
    """Number of identity rows to make."""

    model: str = Field(default="embedded", min_length=1)
    """The model to teach it to."""

    max_steps: int = Field(default=-1, ge=-1)
    """Optimiser steps; -1: the recipe's own number."""

    scorecard: Literal["quick", "full", "none"] = "quick"
    """Measure the result: what was gained and what was lost."""

    merge_lora: bool = True
    """Also merge the result and ask the merged model."""

    output_dir: str = Field(default="output", min_length=1)
    """Folder of all runs."""

    seed: Seed = 42
    """Seed of rows, weights and order."""

    progress: bool = True
    """Show a progress bar on a terminal."""

    @model_validator(mode="after")
    def _check_names(self) -> DemoConfig:
        for flag, words in (("model_name", self.model_name), ("model_author", self.model_author)):
            if any(not word.strip() for word in words):
                raise ValueError(f"--{flag} has an empty word; give a name or leave the flag out")
        return self
