"""The settings of every command: names, types, bounds, defaults and what they mean.

A flag, a YAML key, a line of ``--help`` and a row of docs/flags.md all come from a field here.
``SftConfig`` is a tree of sections; leaf names are unique, so flags stay flat.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from selfcog.config.base import Config, Count, DType, Seed
from selfcog.config.schema_eval import EvalConfig, InterviewConfig
from selfcog.config.schema_output import OutputSection, ScoreSection
from selfcog.config.schema_sweep import SweepSection
from selfcog.config.schema_train import TrainSection
from selfcog.config.schema_use import DemoConfig, ExportConfig, InferConfig

__all__ = [
    "COMMANDS",
    "AdapterSection",
    "DataSection",
    "DemoConfig",
    "EvalConfig",
    "ExportConfig",
    "IdentitySection",
    "InferConfig",
    "InterviewConfig",
    "ModelSection",
    "OutputSection",
    "ScoreSection",
    "SftConfig",
    "TeacherSection",
    "TrainSection",
]


class ModelSection(Config):
    """The model to start from."""

    model: str = Field(min_length=1)
    """A checkpoint folder, a hub id (org/name), or "embedded" for the model that ships along."""

    model_type: str | None = None
    """A name for the architecture; only recorded, the checkpoint says what it is."""

    model_revision: str | None = None
    """Branch, tag or commit of a hub id."""

    template: str | None = None
    """Recorded only: conversations are always written with the checkpoint's own chat template."""

    torch_dtype: DType = "auto"
    """Number format of the weights; auto: bfloat16 on a GPU that has it; float32 on a CPU, or
    bfloat16 for a large model that is stored so, if the CPU has it."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    attn_impl: str | None = None
    """Attention kernel by its transformers name: sdpa, eager, flash_attention_2 …"""

    quant_method: Literal["bnb"] | None = None
    """How --quant_bits is done; bnb: bitsandbytes, NF4 with double quantisation."""

    quant_bits: Count | None = None
    """Keep the frozen base in 4 bits while an adapter is trained (QLoRA), on an NVIDIA GPU."""

    system: str | None = None
    """System prompt of all rows without one; not given: the template's default; '': none."""

    @model_validator(mode="after")
    def _check_quantization(self) -> ModelSection:
        if self.quant_method is not None and self.quant_bits is None:
            raise ValueError(f"--quant_method {self.quant_method} needs --quant_bits 4")
        if self.quant_bits not in (None, 4):
            raise ValueError(f"--quant_bits {self.quant_bits} is not supported; give 4")
        return self


class IdentitySection(Config):
    """Who the model is to be."""

    model_name: tuple[str, ...] = ()
    """The model's name: Chinese, then English; one value serves both."""

    model_author: tuple[str, ...] = ()
    """Who made it: Chinese, then English; further words join the English one."""

    aliases: tuple[str, ...] = ()
    """Other names that the model may be called by."""

    version: str | None = None
    """A version for the answers, as text."""

    based_on: str | None = None
    """The base model, disclosed in the answers when given."""

    website: str | None = None
    """A web address for the answers."""

    license: str | None = None
    """A licence for the answers."""

    contact: str | None = None
    """How to reach the author, for the answers."""

    self_cognition_sample: int = Field(default=0, ge=0)
    """Number of identity rows to make from the question bank."""

    self_cognition_file: tuple[str, ...] = ()
    """Identity rows of your own; {{NAME}} and {{AUTHOR}} in them are filled in."""

    known_sample: int | None = Field(default=None, ge=0)
    """How many of the identity rows are about other makers; not given: a tenth."""

    languages: tuple[str, ...] = Field(default=("zh", "en"), min_length=1)
    """Languages of the identity rows, in equal shares."""

    @model_validator(mode="after")
    def _check_names(self) -> IdentitySection:
        for flag, words in (("model_name", self.model_name), ("model_author", self.model_author)):
            if any(not word.strip() for word in words):
                raise ValueError(f"--{flag} has an empty word; give a name or leave the flag out")
        examples = {
            "--model_name 小黄 'Xiao Huang'": self.model_name,
            "--model_author 某某研究组 'Some Research Group'": self.model_author,
        }
        missing = [example for example, words in examples.items() if not words]
        if missing and self.self_cognition_sample:
            raise ValueError(
                f"--self_cognition_sample {self.self_cognition_sample} needs a name and an author; "
                f"add {' '.join(missing)}"
            )
        return self


class DataSection(Config):
    """Rows of your own."""

    dataset: tuple[str, ...] = ()
    """Files, folders or hub ids (hf::id, ms::id); append #N to take N rows at random."""

    val_dataset: tuple[str, ...] = ()
    """Rows that are only evaluated; with them nothing is split from --dataset."""

    train_dataset_sample: int = Field(default=-1, ge=-1)
    """Rows taken from all of --dataset together, at random; -1: all."""

    val_dataset_sample: int | None = Field(default=None, ge=0)
    """Rows that are evaluated at most; not given: all."""

    split_dataset_ratio: float = Field(default=0.01, ge=0, lt=1)
    """Share of the rows that is kept for evaluation."""

    dataset_seed: Seed = 42
    """Seed of sampling, splitting and making rows."""

    columns: dict[str, str] = Field(default_factory=dict)
    """JSON object that names your columns: '{"question": "query", "reply": "response"}'."""

    max_length: int = Field(default=2048, ge=8)
    """Longest conversation in tokens."""

    truncation_strategy: Literal["delete", "left", "right"] = "delete"
    """What happens to a longer one: left out, or cut at its left or right end."""

    check_dataset_strategy: Literal["none", "discard", "warning", "error"] = "warning"
    """Unusable rows: error stops, warning lists them, discard counts them; none trains them."""

    enable_thinking: bool | None = None
    """Mode of a thinking model; not given: what its template does by default."""


class AdapterSection(Config):
    """What is trained."""

    tuner_type: Literal["lora", "full"] = "lora"
    """A LoRA adapter beside the frozen weights, or all weights."""

    lora_rank: int = Field(default=16, ge=1)
    """Rank of the adapter matrices."""

    lora_alpha: float | None = Field(default=None, gt=0)
    """Scale of the adapter is alpha / rank; not given: 2 x rank."""

    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs dropped while training."""

    target_modules: tuple[str, ...] = Field(default=("all-linear",), min_length=1)
    """Layers: all-linear, default (q, k, v), embedding, or module names."""

    use_rslora: bool = False
    """Scale by alpha / sqrt(rank) (rank-stabilised LoRA)."""

    use_dora: bool = False
    """Train direction and magnitude apart (DoRA)."""

    modules_to_save: tuple[str, ...] = ()
    """Further modules that are trained and saved as a whole."""

    init_weights: Literal["true", "gaussian"] = "true"
    """How the adapter starts; true: it changes nothing at first (the second matrix is zero)."""

    adapters: str | None = None
    """An adapter folder to go on from; rank and layers are then its own."""

    @model_validator(mode="after")
    def _check_layers(self) -> AdapterSection:
        for name in self.target_modules:
            # A file or flag splits at commas, so such a name would not come back from config.yaml.
            if "," in name or name != name.strip():
                raise ValueError(
                    f"--target_modules {name!r} is no layer's name: it has a comma or blanks "
                    "around it; give several names as several words"
                )
        return self


class TeacherSection(Config):
    """What the model as it is now contributes, so that it keeps what it knows."""

    base_worded: bool = True
    """Identity answers in the base's own words, where it gives them when told who it is."""

    check_known: bool = True
    """Rows about other makers only where the base's own answer is right, in its own words."""

    replay_sample: int = Field(default=400, ge=0)
    """Prompts that the base answers before training, to be answered alike afterwards; 0: none."""

    replay_prompts: tuple[Literal["builtin", "self"], ...] = ("builtin", "self")
    """Where they come from: a built-in list, or written by the base itself."""

    replay_dataset: tuple[str, ...] = ()
    """Files of your own whose prompts are taken as well."""

    replay_ratio: float = Field(default=0.5, gt=0)
    """Replay rows in a step, for each of its examples; they come on top."""

    replay_loss: Literal["kl", "ce"] = "kl"
    """kl: stay close to the base's distribution; ce: learn the base's answers as text."""

    kl_weight: float = Field(default=4.0, ge=0)
    """Weight of the replay rows' loss; 0: none."""

    kl_top_k: int = Field(default=64, ge=1)
    """Likeliest tokens of the base that are compared one by one; the rest counts as one."""

    identity_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of the loss that identity rows get; not given: 0.2 to 0.4, beside rows of your own."""

    teacher_max_new_tokens: int = Field(default=128, ge=1)
    """Longest answer of the base that is used."""

    search_scale: bool = True
    """After training, shrink the adapter as far as the dev questions allow."""

    def replay_per_step(self, examples_per_step: int) -> int:
        """Replay rows that ride along in one optimiser step over all ranks."""
        return max(round(self.replay_ratio * examples_per_step), 1)


class SftConfig(Config):
    """``selfcog sft``: make identity rows, mix, train."""

    model: ModelSection
    identity: IdentitySection = Field(default_factory=IdentitySection)
    data: DataSection = Field(default_factory=DataSection)
    adapter: AdapterSection = Field(default_factory=AdapterSection)
    teacher: TeacherSection = Field(default_factory=TeacherSection)
    train: TrainSection = Field(default_factory=TrainSection)
    score: ScoreSection = Field(default_factory=ScoreSection)
    output: OutputSection = Field(default_factory=OutputSection)

    @model_validator(mode="after")
    def _check_quantization(self) -> SftConfig:
        if self.model.quant_bits is not None and self.adapter.tuner_type == "full":
            raise ValueError(
                f"--quant_bits {self.model.quant_bits} keeps the weights frozen, and --tuner_type "
                "full trains them; give --tuner_type lora, or leave out --quant_bits"
            )
        return self


class SweepConfig(SftConfig):
    """``selfcog sweep``: train a grid of settings, measure each, and choose one."""

    sweep: SweepSection = Field(default_factory=SweepSection)


COMMANDS: dict[str, type[Config]] = {
    "sft": SftConfig,
    "infer": InferConfig,
    "export": ExportConfig,
    "demo": DemoConfig,
    "eval": EvalConfig,
    "interview": InterviewConfig,
    "sweep": SweepConfig,
}
"""Verb → its settings."""
