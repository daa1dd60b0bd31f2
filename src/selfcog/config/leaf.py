"""A leaf of the settings as text meets it: which texts it takes and how they become its value.

Flags, YAML, JSON and help all go through here, so one text means one thing everywhere.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from selfcog.config.base import Config
from selfcog.config.docstrings import field_docstring

INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})
UNSET = frozenset({"none", "null"})
"""Texts that unset a number, switch or choice that may be left open; never a text's value."""

Kind = Literal["text", "integer", "number", "switch", "choice", "map"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting. ``section`` is "" in a command without sections; ``owner`` declares it.

    ``one_word``: each use of the flag takes one word, so that an unquoted sentence is an error
    and not several values.
    """

    name: str
    section: str
    kind: Kind
    is_list: bool
    is_optional: bool
    choices: tuple[str, ...]
    lower: tuple[str, float] | None
    upper: tuple[str, float] | None
    field: FieldInfo
    owner: type[Config]
    one_word: bool = False

    @property
    def description(self) -> str:
        """The docstring under the field, in one line."""
        return field_docstring(self.owner, self.name)


def leaves_of(config: type[Config]) -> dict[str, Leaf]:
    """Leaf name → leaf, in the order of declaration."""
    found: dict[str, Leaf] = {}
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            for inner, inner_field in field.annotation.model_fields.items():
                found[inner] = _make_leaf(inner, name, inner_field, field.annotation)
        else:
            found[name] = _make_leaf(name, "", field, config)
    return found


def _make_leaf(name: str, section: str, field: FieldInfo, owner: type[Config]) -> Leaf:
    annotation: Any = field.annotation
    metadata = list(field.metadata)
    is_optional = False
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        assert len(members) == 1, f"{name}: only one type beside None"
        annotation, is_optional = members[0], True
    is_list = get_origin(annotation) is tuple
    if is_list:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        for item in extra:
            metadata += item.metadata if isinstance(item, FieldInfo) else [item]
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    kinds: dict[Any, Kind] = {str: "text", int: "integer", float: "number", bool: "switch"}
    kind = "choice" if choices else kinds.get(annotation, "map")
    lower = upper = None
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            lower = ("≥", float(item.ge))  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Gt):
            lower = (">", float(item.gt))  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Le):
            upper = ("≤", float(item.le))  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Lt):
            upper = ("<", float(item.lt))  # type: ignore[arg-type]
    return Leaf(
        name,
        section,
        kind,
        is_list,
        is_optional,
        choices,
        lower,
        upper,
        field,
        owner,
        one_word=name == "query",
    )


def describe_allowed(leaf: Leaf) -> str:
    """What the leaf takes, as the end of "give …": ``an integer ≥ 1``, ``lora or full``."""
    texts: Mapping[Kind, str] = {
        "text": "a text",
        "integer": "an integer",
        "number": "a number",
        "switch": "true or false",
        "choice": join_or(leaf.choices or ("",)),
        "map": "a JSON object of texts",
    }
    bounds = [f"{sign} {bound:g}" for sign, bound in filter(None, (leaf.lower, leaf.upper))]
    text = " ".join([texts[leaf.kind], " and ".join(bounds)]).strip()
    if leaf.is_optional and leaf.kind not in ("text", "map"):
        text += ", or none"
    return text


def join_or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def coerce(leaf: Leaf, texts: Sequence[str], *, is_null: bool = False) -> Any:
    """The value that ``texts`` stand for.

    ``is_null``: the file says null where a text could not be meant. Raises ValueError with a
    message that starts after the name of the setting.
    """
    if is_null and leaf.is_optional:
        return None
    if leaf.is_list:
        return tuple(_coerce_one(leaf, text) for text in texts)
    if not texts:
        raise ValueError(f"needs a value; give {describe_allowed(leaf)}")
    if len(texts) > 1:
        raise ValueError(f"takes one value, not {len(texts)}; give {describe_allowed(leaf)}")
    if leaf.is_optional and leaf.kind not in ("text", "map") and texts[0].lower() in UNSET:
        return None
    return _coerce_one(leaf, texts[0])


def _coerce_one(leaf: Leaf, text: str) -> Any:
    if leaf.kind == "text":
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{text!a} is not valid UTF-8; check the terminal's encoding")
        return text
    word = text.strip()
    if leaf.kind == "integer" and INTEGER.fullmatch(word):
        return int(word)
    if leaf.kind == "number" and NUMBER.fullmatch(word) and math.isfinite(float(word)):
        return float(word)
    if leaf.kind == "switch" and word.lower() in TRUE | FALSE:
        return word.lower() in TRUE
    if leaf.kind == "choice" and word.lower() in leaf.choices:
        return word.lower()
    if leaf.kind == "map":
        return _coerce_map(text)
    raise ValueError(f"{text or repr(text)} is not possible; give {describe_allowed(leaf)}")


def _coerce_map(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{text} is not JSON ({error.msg} at character {error.pos + 1}); "
            """give an object in single quotes: '{"question": "query"}'"""
        ) from None
    if not isinstance(value, dict) or any(not isinstance(item, str) for item in value.values()):
        raise ValueError(f"""{text} does not map texts to texts; give '{{"question": "query"}}'""")
    return value
