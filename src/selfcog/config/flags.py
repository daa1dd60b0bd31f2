"""Words of a command line → assignments. Which flags there are comes from the schema.

--learning_rate 1e-4   --learning-rate=1e-4   --dataset a.jsonl b.jsonl   --use_dora
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from selfcog.config.leaf import Leaf
from selfcog.errors import ConfigError

FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)
# "-model", and what word processors and web pages make of "--model".
WRONG_DASH = re.compile(r"[-–—―−]+([A-Za-z][A-Za-z0-9_-]*)")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")

# What people call a flag elsewhere; too far from its name to be found by likeness.
ABBREVIATIONS = {
    "lr": "learning_rate",
    "bs": "batch_size",
    "wd": "weight_decay",
    "epochs": "num_train_epochs",
    "epoch": "num_train_epochs",
    "name": "model_name",
    "author": "model_author",
}

Arity = Literal["one", "switch", "many", "each", "any"]
"""one word · true/false or nothing · one or more · one word a use · any number."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A key with the texts given for it, before they have a type.

    ``origin`` names the place in messages: ``--seed``, or ``run.yaml:3: seed``.
    ``is_null``: the file has an unquoted null here; ``texts`` then holds its source text, if any.
    """

    key: str
    texts: tuple[str, ...]
    origin: str
    is_null: bool = False


@dataclass(slots=True)
class Words:
    """A command line, read."""

    assignments: list[Assignment] = field(default_factory=list)
    config_path: str | None = None


def arity_of(leaf: Leaf) -> Arity:
    if leaf.one_word:
        return "each"
    if leaf.is_list:
        return "many"
    return "switch" if leaf.kind == "switch" else "one"


def wants_help(argv: Sequence[str]) -> bool:
    return "--help" in argv or "-h" in argv


def read_words(argv: Sequence[str], arities: Mapping[str, Arity]) -> Words:
    """Group words by flag. Raises ConfigError for unknown, repeated and stray ones."""
    words = Words()
    unknown: list[str] = []
    last_flag = ""
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        match = FLAG.fullmatch(word)
        if match is None:
            is_config = word.lower().endswith(CONFIG_SUFFIXES) and words.config_path is None
            if not is_config:
                raise ConfigError(_explain_stray(word, last_flag, arities))
            words.config_path = word
            continue
        name = match[1].replace("-", "_")
        last_flag = f"--{match[1]}"
        arity = "one" if name == "config" else arities.get(name)
        texts = [] if match[2] is None else [match[2]]
        room = {"one": 1, "switch": 1, "each": 1}.get(arity or "any", len(argv)) - len(texts)
        while room > 0 and position < len(argv) and not FLAG.fullmatch(argv[position]):
            _refuse_dash(argv[position], arities)
            texts.append(argv[position])
            position += 1
            room -= 1
        if arity is None:
            unknown.append(last_flag)
        elif name == "config":
            words.config_path = _config_value(texts, words.config_path)
        else:
            _add(words.assignments, name, arity, texts, last_flag)
    if unknown:
        raise ConfigError(_explain_unknown(unknown, arities))
    return words


def _add(
    assignments: list[Assignment], name: str, arity: Arity, texts: list[str], flag: str
) -> None:
    if not texts and arity in ("switch", "any"):
        texts = ["true"]
    if not texts:
        raise ConfigError(f"{flag} needs a value (a value that begins with --: {flag}=--value)")
    earlier = [index for index, item in enumerate(assignments) if item.key == name]
    if earlier and arity in ("one", "switch"):
        before = assignments[earlier[0]].texts[0]
        raise ConfigError(f"{flag} is given twice ({before} and {texts[0]}); give it once")
    if earlier:
        old = assignments[earlier[0]]
        assignments[earlier[0]] = Assignment(name, (*old.texts, *texts), old.origin)
    else:
        assignments.append(Assignment(name, tuple(texts), flag))


def _config_value(texts: list[str], earlier: str | None) -> str:
    if not texts:
        raise ConfigError("--config needs a file: --config run.yaml")
    if earlier is not None:
        raise ConfigError(f"two settings files are given ({earlier} and {texts[0]}); give one")
    return texts[0]


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that is most like ``word``, or None where none is much like it."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    meant = ABBREVIATIONS.get(word)
    return found[0] if found else meant if meant in known else None


def _explain_unknown(flags: list[str], arities: Mapping[str, Arity]) -> str:
    found = {
        flag: nearest(flag.lstrip("-").replace("-", "_").lower(), [*arities, "config"])
        for flag in flags
    }
    if len(found) == 1:
        flag, match = next(iter(found.items()))
        hint = f"did you mean --{match}?" if match else "--help lists all flags"
        return f"unknown flag {flag}; {hint}"
    shown = [
        f"{flag} (did you mean --{match}?)" if match else flag for flag, match in found.items()
    ]
    return f"unknown flags {', '.join(shown)}; --help lists all flags"


def _explain_stray(word: str, last_flag: str, arities: Mapping[str, Arity]) -> str:
    _refuse_dash(word, arities)
    shown = word if word.strip() else repr(word)
    if not last_flag:
        return f"unexpected word {shown}; settings are flags (--model …) or a .yaml or .json file"
    return f"unexpected word {shown} after {last_flag}; put quotes around a text with spaces"


def _refuse_dash(word: str, arities: Mapping[str, Arity]) -> None:
    match = WRONG_DASH.fullmatch(word)
    if match and match[1].replace("-", "_") in arities:
        raise ConfigError(f"{word} does not begin with two plain hyphens; write --{match[1]}")
