"""The functions of the library: the same behaviour as the commands of the same names.

    from selfcog import Identity, chat, merge, sft

    me = Identity(name=("扁仓", "BianCang"), author="Some Lab")
    result = sft(model="embedded", identity=me, self_cognition_sample=500)
    chat(result.best_checkpoint, "你是谁?")

Settings are the flags of the command line, as keyword arguments with Python values. All errors
are subclasses of ``selfcog.errors.SelfcogError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.errors import ConfigError
from selfcog.types import Message

if TYPE_CHECKING:
    from selfcog.commands.sft import SftResult
    from selfcog.identity import Identity

Turn = Message | Mapping[str, str]


def sft(*, identity: Identity | None = None, **settings: Any) -> SftResult:
    """Train, and return where the run lies.

    ``identity`` stands for ``model_name``, ``model_author`` and the facts. ``settings`` are the
    leaves of docs/flags.md, for example ``model``, ``dataset``, ``self_cognition_sample``. Runs
    in this process; several processes are the command line's business.
    """
    from selfcog.commands.sft import run
    from selfcog.config.load import make_config

    if identity is not None:
        settings = _settings_of(identity, settings)
    return run(make_config("sft", settings))


def chat(
    model: str | Path,
    messages: str | Sequence[Turn],
    *,
    system: str | None = None,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    seed: int = 42,
) -> str:
    """The answer to one question or to a conversation that ends with a user turn.

    ``model`` is a checkpoint, a merged folder, a model folder, a hub id or "embedded". ``system``
    None takes what the checkpoint was trained with; "" is an explicitly empty system prompt.
    The model is loaded on every call; where that costs too much, keep the object that
    ``selfcog.commands.talk.load_talker`` returns.
    """
    from selfcog.commands.talk import load_talker, locate
    from selfcog.config.load import make_config

    folder = Path(model)
    is_checkpoint = folder.is_dir() and not (folder / "config.json").is_file()
    values = {
        "ckpt_dir" if is_checkpoint else "model": str(model),
        "system": system,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    config = make_config("infer", values)
    talker = load_talker(config, locate(config))
    return talker.answer_all([_turns(messages)])[0].text


def merge(checkpoint: str | Path, **settings: Any) -> Path:
    """Fold a checkpoint's adapter into its base and return the merged folder."""
    from selfcog.commands.export import run
    from selfcog.config.load import make_config

    values = {"ckpt_dir": str(checkpoint), "merge_lora": True, **settings}
    return run(make_config("export", values)).path


def _settings_of(identity: Identity, settings: dict[str, Any]) -> dict[str, Any]:
    both = {"model_name", "model_author"} & settings.keys()
    if both:
        raise ConfigError(f"identity and {', '.join(sorted(both))} both say who; give one of them")
    facts = ("version", "based_on", "website", "license", "contact")
    given = {fact: value for fact in facts if (value := identity.fact(fact)) is not None}
    return {
        "model_name": (identity.name_in("zh"), identity.name_in("en")),
        "model_author": (identity.author_in("zh"), identity.author_in("en")),
        "aliases": identity.aliases,
        **given,
        **settings,
    }


def _turns(messages: str | Sequence[Turn]) -> list[Message]:
    if isinstance(messages, str):
        return [Message("user", messages)]
    turns = []
    for item in messages:
        if isinstance(item, Message):
            turns.append(item)
        elif item.get("role") in ("system", "user", "assistant") and "content" in item:
            turns.append(Message(item["role"], item["content"]))  # type: ignore[arg-type]
        else:
            raise ConfigError(f"not a message: {item!r}; give role and content")
    if not turns or turns[-1].role != "user":
        raise ConfigError("the conversation must end with a user turn")
    return turns
