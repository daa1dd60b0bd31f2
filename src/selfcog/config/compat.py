"""ms-swift's spellings (1.7 of March 2024 and 3 / 4 of today) → ours, as one table.

Every row says what one flag means here. A flag that is in no row is ours by its own name. Values
are compared without regard to case; an unset (null) value of a row that renames means "not given".

What a row cannot say (two flags that concern each other) is below the table, in ``translate``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selfcog.config.compat_table import ROWS, Alias
from selfcog.config.flags import Arity, Assignment
from selfcog.errors import ConfigError

# Today's ms-swift asks for identity rows by this data set name, optionally with a subset.
IDENTITY_SET = re.compile(r"(?:(?:ms|hf)::)?(?:[\w.-]+/)?self-cognition(?::[\w/]+)?(?:#(\d+))?")
# Rows of that set; taken when no #N is given.
IDENTITY_SET_SIZE = 108
# A command that takes all flags of another one, theirs included.
TAKES_ALL_OF = {"sweep": "sft"}


@dataclass(slots=True)
class Translation:
    """Assignments whose keys are leaf names, and one line for each thing the user should know."""

    assignments: list[Assignment] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def rows_for(verb: str) -> dict[str, Alias]:
    """ms-swift's flag → its row, for one command."""
    verb = TAKES_ALL_OF.get(verb, verb)
    return {row.old: row for row in ROWS if verb in row.verbs}


def arities_for(verb: str, own: Mapping[str, Arity]) -> dict[str, Arity]:
    """How many words each flag takes, ours (``own``) and theirs."""
    theirs: dict[str, Arity] = {}
    for old, row in rows_for(verb).items():
        if row.new is None:
            theirs[old] = "any"
        else:
            theirs[old] = "switch" if "true" in row.values else own[row.new]
    return {**theirs, **own}


def translate(verb: str, assignments: list[Assignment]) -> Translation:
    """Replace ms-swift's keys and values by ours.

    Raises ConfigError for a value that cannot be honoured (``--sft_type longlora``).
    """
    verb = TAKES_ALL_OF.get(verb, verb)
    rows = rows_for(verb)
    result = Translation()
    without_effect: list[str] = []
    for item in _settle(verb, assignments, result.notices):
        row = rows.get(item.key)
        if row is None:
            result.assignments.append(item)
        elif item.is_null:
            if row.new == item.key:
                result.assignments.append(item)
        else:
            _apply(row, item, result, without_effect)
    if without_effect:
        result.notices.append(f"accepted, without effect here: {', '.join(without_effect)}")
    return result


def _apply(row: Alias, item: Assignment, result: Translation, without_effect: list[str]) -> None:
    texts: list[str] = []
    for text in item.texts:
        parts = [part.strip() for part in text.split(",")] if row.is_comma_list else [text]
        for word in parts:
            meant = row.values.get(word.strip().lower(), word)
            if meant is None:
                continue
            if row.refusal and word.strip().lower() not in row.values:
                raise ConfigError(f"{item.origin} {word}: {row.refusal}")
            texts.append(meant)
    if row.new is None:
        if not row.notice:
            without_effect.append(item.origin)
        else:
            result.notices.append(f"{item.origin}: {row.notice}")
        return
    if texts or row.is_list:
        result.assignments.append(Assignment(row.new, tuple(texts), item.origin, is_null=not texts))
        if row.notice:
            result.notices.append(f"{item.origin} {' '.join(item.texts)}: {row.notice}")


def _settle(verb: str, assignments: list[Assignment], notices: list[str]) -> list[Assignment]:
    """What flags mean together; the table does the rest."""
    by_key = {item.key: item for item in assignments if not item.is_null and item.texts}
    kept = list(assignments)

    cache, named = (
        by_key.get("model_cache_dir"),
        by_key.get("model_id_or_path", by_key.get("model")),
    )
    if cache and named and cache.texts != named.texts:
        # ms-swift 1.7: the local folder of a model that is also named by its id.
        is_folder = Path(cache.texts[0]).expanduser().is_dir()
        loser = named if is_folder else cache
        kept.remove(loser)
        if not is_folder:
            notices.append(f"{cache.origin} {cache.texts[0]} is no folder; {named.origin} is used")

    greedy = by_key.get("do_sample")
    heat = by_key.get("temperature")
    if verb == "infer" and greedy and heat and greedy.texts[0].lower() in ("false", "0", "no"):
        kept.remove(heat)
        notices.append(f"{greedy.origin} {greedy.texts[0]}: {heat.origin} is not used")

    data = by_key.get("dataset")
    if verb == "sft" and data:
        kept[kept.index(data) : kept.index(data) + 1] = _split_identity_set(data, notices)
    return kept


def _split_identity_set(data: Assignment, notices: list[str]) -> list[Assignment]:
    """``--dataset swift/self-cognition#500`` is today's ``--self_cognition_sample 500``."""
    named = [text for text in data.texts if IDENTITY_SET.fullmatch(text) and not _exists(text)]
    if not named:
        return [data]
    sizes = [IDENTITY_SET.fullmatch(text) for text in named]
    count = sum(int(match[1] or IDENTITY_SET_SIZE) for match in sizes if match)
    notices.append(
        f"{data.origin} {' '.join(named)}: {count} identity rows are made from selfcog's own bank"
    )
    rest = tuple(text for text in data.texts if text not in named)
    made = Assignment("self_cognition_sample", (str(count),), data.origin)
    return [Assignment("dataset", rest, data.origin), made] if rest else [made]


def _exists(text: str) -> bool:
    return Path(text.partition("#")[0]).expanduser().exists()
