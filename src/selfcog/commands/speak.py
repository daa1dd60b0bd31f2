"""Speakers for the commands that measure: a folder, a checkpoint with its base, or a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.commands.talk import Talker, load_talker
from selfcog.config.schema import EvalConfig, InferConfig, InterviewConfig
from selfcog.errors import ModelError
from selfcog.model.locate import ModelPaths, fetch_model, resolve_model

if TYPE_CHECKING:
    from selfcog.evaluate.remote import RemoteSpeaker
    from selfcog.evaluate.speakers import AnswerCache, LocalSpeaker


@dataclass(slots=True)
class LocalPair:
    """The tuned speaker and its base; ``base`` None where there is nothing to compare with."""

    tuned: LocalSpeaker
    base: LocalSpeaker | None
    num_parameters: int
    default_system: str | None
    thinking: dict[str, LocalSpeaker] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def remote_speaker(config: EvalConfig | InterviewConfig, system: str | None) -> RemoteSpeaker:
    from selfcog.evaluate.remote import RemoteSpeaker

    assert config.base_url and config.served_model
    key = os.environ.get(config.api_key_env)
    return RemoteSpeaker(config.base_url, config.served_model, key, system)


def locate_base(config: EvalConfig, tuned: ModelPaths) -> ModelPaths | None:
    """What a model without an adapter is compared with; None where it is the adapter's own base.

    Raises ModelError for a --base_model that is not there; a base that the folder remembers but
    that has gone is no error.
    """
    if tuned.adapter is not None:
        return None
    if config.base_model is not None:
        return resolve_model(config.base_model)
    if tuned.info is None or not tuned.info.base_model:
        return None
    try:
        base = resolve_model(tuned.info.base_model, tuned.info.base_revision)
    except ModelError:
        return None
    return None if base.path == tuned.path else base


def load_pair(config: EvalConfig, paths: ModelPaths, base: ModelPaths | None) -> LocalPair:
    """Load the tuned model and, where it is another folder, its base beside it."""
    from selfcog.evaluate.speakers import LocalSpeaker
    from selfcog.model.adapter import count_parameters

    paths = fetch_model(paths)
    talker = _load(config, paths)
    size = config.max_batch_size
    cache = _cache(config, talker.model, paths.path, paths.adapter)
    tuned = LocalSpeaker(talker.model, talker.renderer, _label(paths), "tuned", size, cache)
    notes = list(talker.notices)
    other: LocalSpeaker | None = None
    if paths.adapter is not None:
        cache = _cache(config, talker.model, paths.path)
        other = LocalSpeaker(talker.model, talker.renderer, paths.label, "base", size, cache)
    elif base is not None:
        base = fetch_model(base)
        beside = _load(config, base, system=talker.renderer.system)
        cache = _cache(config, beside.model, base.path)
        other = LocalSpeaker(beside.model, beside.renderer, base.label, "tuned", size, cache)
    else:
        notes.append("no base to compare with: give --base_model for the other column")
    return LocalPair(
        tuned,
        other,
        count_parameters(talker.model).total,
        talker.renderer.default_system(),
        _thinking_modes(config, talker, tuned),
        notes,
    )


def _thinking_modes(
    config: EvalConfig, talker: Talker, tuned: LocalSpeaker
) -> dict[str, LocalSpeaker]:
    """The tuned speaker with thinking on and off, where its template knows the switch."""
    from selfcog.tokens.render import Renderer

    tokenizer = talker.renderer.tokenizer
    if "enable_thinking" not in tokenizer.get_chat_template():
        return {}
    return {
        mode: replace(
            tuned,
            renderer=Renderer(tokenizer, system=talker.renderer.system, enable_thinking=switch),
        )
        for mode, switch in (("on", True), ("off", False))
    }


def _load(config: EvalConfig, paths: ModelPaths, system: str | None = None) -> Talker:
    values: dict[str, Any] = {
        "model": paths.name,
        "load_args": config.load_args,
        "torch_dtype": config.torch_dtype,
        "attn_impl": config.attn_impl,
        "trust_remote_code": config.trust_remote_code,
        "system": config.system if config.system is not None else system,
        "enable_thinking": config.enable_thinking,
        "num_threads": config.num_threads,
        "seed": config.seed,
    }
    return load_talker(InferConfig(**values), paths)


def _cache(config: EvalConfig, model: Any, *folders: Path | None) -> AnswerCache:
    from selfcog.evaluate.speakers import AnswerCache

    return answer_cache(model, *folders) if config.use_cache else AnswerCache()


def answer_cache(model: Any, *folders: Path | None) -> AnswerCache:
    """The answers of these weights in this number format on this kind of device."""
    from selfcog.evaluate.speakers import AnswerCache, cache_folder, fingerprint

    how = f"{str(model.dtype).removeprefix('torch.')}-{model.device.type}"
    return AnswerCache(cache_folder() / "answers" / f"{fingerprint(*folders)}-{how}.jsonl")


def _label(paths: ModelPaths) -> str:
    return paths.label if paths.adapter is None else f"{paths.label} + {paths.adapter.name}"
