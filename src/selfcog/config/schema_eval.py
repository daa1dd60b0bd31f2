"""Settings of the commands that measure a model: eval and interview. Flat; GROUPS orders them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from selfcog.config.base import Config, Count, DType, Seed


class EvalConfig(Config):
    """``selfcog eval``: is it the new identity, and what did it cost? A scorecard."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "model": (
            "model",
            "ckpt_dir",
            "adapters",
            "base_model",
            "base_url",
            "served_model",
            "api_key_env",
            "load_args",
            "model_revision",
            "torch_dtype",
            "attn_impl",
            "trust_remote_code",
        ),
        "identity": (
            "model_name",
            "model_author",
            "aliases",
            "ordinary_name",
            "old_name",
            "old_author",
        ),
        "questions": (
            "suite",
            "languages",
            "leave_out",
            "samples",
            "retention_dataset",
            "columns",
            "dataset",
            "dataset_sample",
        ),
        "answers": ("system", "enable_thinking", "max_new_tokens", "seed", "max_batch_size"),
        "result": ("output_dir", "use_cache", "num_threads", "progress"),
    }

    model: str | None = Field(default=None, min_length=1)
    """The base, or a merged or fully trained folder that is measured itself."""

    ckpt_dir: str | None = Field(default=None, min_length=1)
    """A checkpoint of a run, or a merged folder; it remembers its base and its names."""

    adapters: str | None = Field(default=None, min_length=1)
    """An adapter folder that another tool made, on top of --model."""

    base_model: str | None = Field(default=None, min_length=1)
    """What a merged or fully trained model is compared with; not given: what it remembers."""

    base_url: str | None = Field(default=None, min_length=1)
    """A server's OpenAI API (http://HOST:PORT/v1) in place of a model folder."""

    served_model: str | None = Field(default=None, min_length=1)
    """The model's name at that server."""

    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key, if it wants one."""

    load_args: bool = True
    """Take the system prompt and number format of the run that made the checkpoint."""

    model_revision: str | None = None
    """Branch, tag or commit of a hub id."""

    torch_dtype: DType = "auto"
    """Number format of the weights; auto: bfloat16 on a GPU that has it; float32 on a CPU, or
    bfloat16 for a large model that is stored so, if the CPU has it."""

    attn_impl: str | None = None
    """Attention kernel by its transformers name: sdpa, eager, flash_attention_2 …"""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    model_name: tuple[str, ...] = ()
    """The name it should have: Chinese, then English; not given: the checkpoint's."""

    model_author: tuple[str, ...] = ()
    """Who should have made it: Chinese, then English; not given: the checkpoint's."""

    aliases: tuple[str, ...] = ()
    """Other names that count as its own."""

    ordinary_name: bool = False
    """The name is an everyday word (Echo, 晴天): it counts only where something is claimed."""

    old_name: tuple[str, ...] = ()
    """The base's former name: Chinese, then English; not given: the base is interviewed."""

    old_author: tuple[str, ...] = ()
    """The base's former maker: Chinese, then English."""

    suite: Literal["quick", "full"] = "quick"
    """quick: about 300 questions and shares only; full: about 1,200, intervals and samples."""

    languages: tuple[Literal["zh", "en"], ...] = Field(default=("zh", "en"), min_length=1)
    """Languages of the questions."""

    leave_out: tuple[str, ...] = ()
    """Question families that are left out, for example other_languages."""

    samples: int | None = Field(default=None, ge=0)
    """Sampled answers a question, for leaks; not given: 5 in the full suite, else none."""

    retention_dataset: tuple[str, ...] = ()
    """Your own questions with one short answer each: what must not be forgotten."""

    columns: dict[str, str] = Field(default_factory=dict)
    """JSON object that names the columns of your files, as in sft."""

    dataset: tuple[str, ...] = ()
    """Your training rows: drift is measured on them, and no test question may be among them."""

    dataset_sample: int = Field(default=64, ge=1)
    """Rows of --dataset that drift is measured on at most."""

    system: str | None = None
    """System prompt; not given: the run's, else the template's default; '': none."""

    enable_thinking: bool | None = None
    """Mode of a thinking model; not given: what its template does by default."""

    max_new_tokens: int = Field(default=128, ge=8)
    """Longest answer in tokens, the same for base and tuned."""

    seed: Seed = 42
    """Seed of sampled answers and of the bank's wordings."""

    max_batch_size: int = Field(default=64, ge=1)
    """Questions answered at once."""

    output_dir: str | None = Field(default=None, min_length=1)
    """Folder for the card; not given: the checkpoint, else scorecard/ in the current folder."""

    use_cache: bool = True
    """Keep greedy answers under ~/.cache/selfcog, so that a base is asked once."""

    num_threads: Count | None = None
    """CPU threads; not given: torch's own choice."""

    progress: bool = True
    """Show a progress bar on a terminal."""

    @model_validator(mode="after")
    def _check_sources(self) -> EvalConfig:
        if self.base_url is not None:
            if self.model or self.ckpt_dir or self.adapters:
                raise ValueError("--base_url and a model folder both say what to measure")
            if not self.served_model:
                raise ValueError("--base_url needs --served_model, the model's name there")
        elif not (self.model or self.ckpt_dir or self.adapters):
            raise ValueError("nothing to measure: give --ckpt_dir, --model or --base_url")
        return self


class InterviewConfig(Config):
    """``selfcog interview MODEL``: what does it say of itself today?"""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "model": (
            "model",
            "ckpt_dir",
            "base_url",
            "served_model",
            "api_key_env",
            "model_revision",
            "torch_dtype",
            "trust_remote_code",
        ),
        "questions": ("languages", "enable_thinking", "max_new_tokens", "max_batch_size"),
        "result": ("output_dir", "progress"),
    }

    model: str | None = Field(default=None, min_length=1)
    """A checkpoint folder, a hub id (org/name), or "embedded"."""

    ckpt_dir: str | None = Field(default=None, min_length=1)
    """A checkpoint of a run, or a merged folder."""

    base_url: str | None = Field(default=None, min_length=1)
    """A server's OpenAI API (http://HOST:PORT/v1) in place of a model folder."""

    served_model: str | None = Field(default=None, min_length=1)
    """The model's name at that server."""

    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key, if it wants one."""

    model_revision: str | None = None
    """Branch, tag or commit of a hub id."""

    torch_dtype: DType = "auto"
    """Number format of the weights; auto: bfloat16 on a GPU that has it; float32 on a CPU, or
    bfloat16 for a large model that is stored so, if the CPU has it."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    languages: tuple[Literal["zh", "en"], ...] = Field(default=("zh", "en"), min_length=1)
    """Languages of the questions."""

    enable_thinking: bool | None = None
    """Mode of a thinking model; not given: what its template does by default."""

    max_new_tokens: int = Field(default=128, ge=8)
    """Longest answer in tokens."""

    max_batch_size: int = Field(default=64, ge=1)
    """Questions answered at once."""

    output_dir: str | None = Field(default=None, min_length=1)
    """Folder for interview.json; not given: nothing is written."""

    progress: bool = True
    """Show a progress bar on a terminal."""

    @model_validator(mode="after")
    def _check_sources(self) -> InterviewConfig:
        if self.base_url is not None and not self.served_model:
            raise ValueError("--base_url needs --served_model, the model's name there")
        if not (self.model or self.ckpt_dir or self.base_url):
            raise ValueError("whom to ask? give a model: selfcog interview MODEL")
        return self
