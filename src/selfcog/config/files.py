"""Settings files (YAML or JSON, a tree or flat) → assignments with file and line.

Scalars keep the text they are written with: in a name, ``007``, ``No`` and ``1.0`` are what they
look like. Only an unquoted null can mean "not given", and only where a setting may be left open.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from selfcog.config.flags import Assignment, nearest
from selfcog.errors import ConfigError

NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def read_settings(path_text: str, sections: Collection[str]) -> list[Assignment]:
    """The assignments of a file, in its order. ``sections`` are keys that may hold a mapping.

    An assignment inside a section has the key ``section.leaf``.
    """
    path = Path(path_text).expanduser()
    text = _read_text(path)
    if path.suffix.lower() == ".json":
        return _read_json(text, path_text, sections)
    return _read_yaml(text, path_text, sections)


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give a .yaml or .json file of settings")
    if not path.is_file():
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        match = nearest(path.name, siblings)
        hint = f"did you mean {path.parent / match}?" if match else "check the path"
        raise ConfigError(f"settings file {path} does not exist; {hint}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def _read_yaml(text: str, name: str, sections: Collection[str]) -> list[Assignment]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise ConfigError(f"{name} has no settings in it")
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name} must be a mapping of settings, such as 'model: embedded'")
    found: list[Assignment] = []
    for key, node, line_number in _pairs(root, name):
        if key in sections and isinstance(node, yaml.MappingNode):
            found += [
                _from_node(f"{key}.{inner}", inner_node, f"{name}:{inner_line}: {inner}")
                for inner, inner_node, inner_line in _pairs(node, name)
            ]
        elif _is_null(node) and key in sections:
            continue
        else:
            found.append(_from_node(key, node, f"{name}:{line_number}: {key}"))
    return found


def _pairs(mapping: yaml.MappingNode, name: str) -> list[tuple[str, yaml.Node, int]]:
    """(key, node, 1-based line); a key that comes twice is an error."""
    found: dict[str, tuple[str, yaml.Node, int]] = {}
    for key_node, value_node in mapping.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{name}:{line}: a key must be a word")
        key = key_node.value
        if key in found:
            raise ConfigError(f"{name}:{line}: {key} is given twice (also in line {found[key][2]})")
        found[key] = (key, value_node, line)
    return list(found.values())


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in NULLS


def _from_node(key: str, node: yaml.Node, origin: str) -> Assignment:
    if _is_null(node):
        return Assignment(key, (node.value,) if node.value else (), origin, is_null=True)
    if isinstance(node, yaml.ScalarNode):
        return Assignment(key, (node.value,), origin)
    if isinstance(node, yaml.SequenceNode):
        if any(not isinstance(item, yaml.ScalarNode) for item in node.value):
            raise ConfigError(f"{origin} must be a list of plain values")
        return Assignment(key, tuple(item.value for item in node.value), origin)
    pairs = [(pair[0].value, pair[1].value) for pair in node.value]
    if any(not isinstance(text, str) for pair in pairs for text in pair):
        raise ConfigError(f"{origin} must map plain texts to plain texts")
    return Assignment(key, (json.dumps(dict(pairs), ensure_ascii=False),), origin)


class _Number(str):
    """A JSON number as it is written; unlike a string it is never confused with one."""


def _read_json(text: str, name: str, sections: Collection[str]) -> list[Assignment]:
    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"{name}: {key} is given twice")
        return dict(pairs)

    try:
        root = json.loads(
            text,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
            object_pairs_hook=refuse_repeats,
        )
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(root, dict):
        raise ConfigError(f'{name} must be an object of settings, such as {{"model": "embedded"}}')
    found: list[Assignment] = []
    for key, value in root.items():
        if key in sections and isinstance(value, dict):
            found += [
                _from_json(f"{key}.{inner}", item, _json_origin(name, text, inner))
                for inner, item in value.items()
            ]
        else:
            found.append(_from_json(key, value, _json_origin(name, text, key)))
    return found


def _json_origin(name: str, text: str, key: str) -> str:
    """``file:line: key``; the line of the key's first occurrence, which json does not tell."""
    position = text.find(json.dumps(key, ensure_ascii=False))
    line = f":{text.count(chr(10), 0, position) + 1}" if position >= 0 else ""
    return f"{name}{line}: {key}"


def _from_json(key: str, value: Any, origin: str) -> Assignment:
    if value is None:
        return Assignment(key, (), origin, is_null=True)
    if isinstance(value, list):
        # ms-swift writes names that are not given as [null, null].
        kept = [item for item in value if item is not None]
        if any(isinstance(item, (list, dict)) for item in kept):
            raise ConfigError(f"{origin} must be a list of plain values")
        return Assignment(key, tuple(map(_json_text, kept)), origin, is_null=not kept)
    if isinstance(value, dict):
        if any(not isinstance(item, str) or isinstance(item, _Number) for item in value.values()):
            raise ConfigError(f"{origin} must map texts to texts")
        return Assignment(key, (json.dumps(value, ensure_ascii=False),), origin)
    return Assignment(key, (_json_text(value),), origin)


def _json_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
