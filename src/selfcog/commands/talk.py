"""A loaded model that answers: what ``infer`` needs besides reading questions and showing them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from selfcog.config.schema import EvalConfig, InferConfig
from selfcog.errors import ConfigError
from selfcog.model.locate import ModelPaths, fetch_model, resolve_model
from selfcog.startup import preload
from selfcog.types import Completion, Message

if TYPE_CHECKING:
    from selfcog.model.generate import Stream
    from selfcog.tokens.render import Renderer

Side = Literal["base", "tuned"]


def locate_model(config: InferConfig | EvalConfig) -> ModelPaths:
    """The model, or checkpoint, or base and adapter that the settings name."""
    if config.ckpt_dir and config.adapters:
        raise ConfigError("--ckpt_dir and --adapters both name an adapter; give one of them")
    folder = config.ckpt_dir or config.adapters
    return resolve_model(config.model, config.model_revision, ckpt_dir=folder)


def locate(config: InferConfig) -> ModelPaths:
    """Which model is meant; nothing is loaded. Raises ConfigError or ModelError."""
    paths = locate_model(config)
    if config.compare and paths.adapter is None:
        raise ConfigError(
            f"--compare switches an adapter off and on, and {paths.path} has none; "
            "give --ckpt_dir OUTPUT/…/checkpoint-N"
        )
    return paths


@dataclass(slots=True)
class Talker:
    """``model`` with its renderer. ``system`` is what the renderer puts first by itself."""

    model: Any
    renderer: Renderer
    paths: ModelPaths
    config: InferConfig
    notices: list[str] = field(default_factory=list)

    def stream(self, messages: Sequence[Message]) -> Stream:
        from selfcog.model.generate import stream

        return stream(self.model, self.renderer, messages, **self._sampling())

    def answer_all(
        self,
        conversations: Sequence[Sequence[Message]],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Completion]:
        from selfcog.model.generate import generate

        return generate(
            self.model,
            self.renderer,
            conversations,
            batch_size=self.config.max_batch_size,
            progress=progress,
            **self._sampling(),
        )

    def side(self, side: Side) -> AbstractContextManager[Any]:
        """Inside the block the model is the base, or the tuned one."""
        from selfcog.model.adapter import adapter_off

        return adapter_off(self.model) if side == "base" else contextlib.nullcontext()

    def _sampling(self) -> dict[str, Any]:
        # No seed: it is set once, so that a question asked twice may get two answers.
        names = ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty")
        return self.config.model_dump(include=set(names))


def load_talker(config: InferConfig, paths: ModelPaths) -> Talker:
    """Load the model, its adapter and tokenizer. Raises ModelError."""
    preload("torch")
    import torch

    from selfcog.model.adapter import load_adapter
    from selfcog.model.load import load_model, load_tokenizer
    from selfcog.tokens.render import Renderer

    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    torch.manual_seed(config.seed)
    paths = fetch_model(paths)
    info = paths.info if config.load_args else None
    dtype: str = config.torch_dtype
    if dtype == "auto" and info is not None:
        dtype = info.torch_dtype
    system = config.system if config.system is not None or info is None else info.system
    tokenizer = load_tokenizer(tokenizer_folder(paths), trust_remote_code=config.trust_remote_code)
    renderer = Renderer(tokenizer, system=system, enable_thinking=config.enable_thinking)
    model = load_model(
        paths.path,
        torch_dtype=dtype,
        trust_remote_code=config.trust_remote_code,
        attn_impl=config.attn_impl,
    )
    talker = Talker(model, renderer, paths, config)
    if paths.adapter is not None:
        model = load_adapter(model, paths.adapter)
        if config.merge_lora and is_mergeable(model):
            model = model.merge_and_unload()
        elif config.merge_lora:
            talker.notices.append(
                "the adapter changes tied embeddings and is used unmerged; "
                "selfcog export --merge_lora true writes them apart"
            )
        talker.model = model
    return talker


def tokenizer_folder(paths: ModelPaths) -> Path:
    """The checkpoint's own tokenizer and template where it has them, else the base's."""
    adapter = paths.adapter
    if adapter is not None and (adapter / "tokenizer_config.json").is_file():
        return adapter
    return paths.path


def is_mergeable(model: Any) -> bool:
    """False where peft adds a LoRA on tied embeddings to the matrix that both sides share."""
    if not model.config.get_text_config().tie_word_embeddings:
        return True
    touched = ("lora_embedding_A", "lm_head.lora_A")
    return not any(part in name for name, _ in model.named_parameters() for part in touched)


@dataclass(slots=True)
class Transcript:
    """Questions and answers, one JSON object a line, written after every answer.

    ``path`` None keeps nothing. The file is made with the first line.
    """

    path: Path | None
    facts: dict[str, Any]

    def add(self, conversation: Sequence[Message], completion: Completion, **extra: Any) -> None:
        """``conversation`` is what was asked; the answer is added here."""
        if self.path is None:
            return
        turns = [{"role": turn.role, "content": turn.content} for turn in conversation]
        answer: dict[str, Any] = {"role": "assistant", "content": completion.text}
        if completion.thinking:
            answer["reasoning_content"] = completion.thinking
        entry = {
            "messages": [*turns, answer],
            "finish_reason": completion.finish_reason,
            "num_tokens": completion.num_tokens,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            **extra,
            **self.facts,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry, ensure_ascii=False) + "\n")


def open_transcript(config: InferConfig, paths: ModelPaths, *, one_shot: bool) -> Transcript:
    """At --result_path, else in ``infer_result/`` of the checkpoint, else of the current folder.

    The latter also where the checkpoint cannot be written to. A base that is only asked with
    --query leaves no file.
    """
    facts: dict[str, Any] = {
        "model": paths.name,
        "adapter": str(paths.adapter) if paths.adapter else None,
        "temperature": config.temperature,
        "seed": config.seed,
    }
    if config.result_path:
        return Transcript(Path(config.result_path).expanduser(), facts)
    if one_shot and config.ckpt_dir is None:
        return Transcript(None, facts)
    folder = Path(".")
    checkpoint = paths.adapter or paths.path
    if config.ckpt_dir is not None and os.access(checkpoint, os.W_OK):
        folder = checkpoint
    name = f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    return Transcript(folder / "infer_result" / name, facts)


def with_answer(conversation: Sequence[Message], completion: Completion) -> list[Message]:
    """The conversation so far, with the answer, as the next question's history."""
    answer = Message("assistant", completion.text, thinking=completion.thinking)
    return [*conversation, answer]


def parts_of(stream: Stream) -> Iterator[tuple[bool, str]]:
    """(is reasoning, text) of an answer as it comes."""
    from selfcog.model.text_pieces import ThinkingSplitter

    splitter = ThinkingSplitter(opened=stream.opened)
    for piece in stream:
        yield from splitter.push(piece)
    yield from splitter.end()
