"""Command line and settings file → one checked config; and back to a file that runs again.

    parsed = parse_command("sft", ["run.yaml", "--learning_rate", "1e-4"])
    parsed.config.train.learning_rate, parsed.notices

Precedence: default < file < flag.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import ValidationError

from selfcog.config import compat
from selfcog.config.base import Config
from selfcog.config.flags import Assignment, arity_of, nearest, read_words, wants_help
from selfcog.config.leaf import Leaf, coerce, describe_allowed, leaves_of
from selfcog.config.schema import COMMANDS, DemoConfig, ExportConfig, InferConfig, SftConfig
from selfcog.errors import ConfigError

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[ConfigT]):
    """A config, and one line for everything that was understood in a way worth telling.

    ``words`` are those of the command line, after the verb.
    """

    config: ConfigT
    notices: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value with the place it comes from and the text it had there."""

    value: Any
    origin: str
    text: str


@overload
def parse_command(verb: Literal["sft"], argv: Sequence[str]) -> Parsed[SftConfig]: ...
@overload
def parse_command(verb: Literal["infer"], argv: Sequence[str]) -> Parsed[InferConfig]: ...
@overload
def parse_command(verb: Literal["export"], argv: Sequence[str]) -> Parsed[ExportConfig]: ...
@overload
def parse_command(verb: Literal["demo"], argv: Sequence[str]) -> Parsed[DemoConfig]: ...
@overload
def parse_command(verb: str, argv: Sequence[str]) -> Parsed[Any]: ...


def parse_command(verb: str, argv: Sequence[str]) -> Parsed[Any]:
    """The config of ``selfcog VERB ARGV``.

    Prints help and raises SystemExit(0) if asked to. Raises ConfigError for anything that cannot
    be used, before a model, a data file or torch is touched.
    """
    if wants_help(argv):
        from selfcog.config.help import use_colour, write_help

        print(write_help(verb, colour=use_colour(sys.stdout)))
        raise SystemExit(0)
    leaves = leaves_of(COMMANDS[verb])
    own = {name: arity_of(leaf) for name, leaf in leaves.items()}
    words = read_words(argv, compat.arities_for(verb, own))
    given: dict[str, _Given] = {}
    notices: list[str] = []
    if words.config_path is not None:
        given.update(_read_file(verb, words.config_path, leaves, notices))
    given.update(_understand(verb, words.assignments, leaves, notices))
    config = _build(verb, leaves, given)
    notices += _check(config)
    return Parsed(config, notices, list(argv))


def load_config(path: str | Path, verb: str = "sft") -> Any:
    """The config in a YAML or JSON file. Raises ConfigError."""
    leaves = leaves_of(COMMANDS[verb])
    config = _build(verb, leaves, _read_file(verb, str(path), leaves, []))
    _check(config)
    return config


def make_config(verb: str, values: Mapping[str, Any]) -> Any:
    """The config with these leaves (Python values); for callers that have no command line.

    One text serves where several are taken. Raises ConfigError.
    """
    leaves = leaves_of(COMMANDS[verb])
    given = {}
    for name, value in values.items():
        if name not in leaves:
            raise ConfigError(_explain_unknown_key("", name, list(leaves)))
        plain = (value,) if leaves[name].is_list and isinstance(value, str) else value
        given[name] = _Given(plain, name, str(value))
    config = _build(verb, leaves, given)
    _check(config)
    return config


def dump_yaml(config: Config) -> str:
    """All settings of ``config``, defaults included; reading the text gives an equal config."""
    import yaml

    from selfcog import __version__

    verb = next(verb for verb, kind in COMMANDS.items() if type(config) is kind)

    class Dumper(yaml.SafeDumper):
        pass

    def show_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        # Left to itself, yaml writes line breaks of Unicode in a way that reads back as others.
        style = None if text.isprintable() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, show_text)
    body = yaml.dump(
        config.model_dump(mode="json"),
        Dumper=Dumper,
        allow_unicode=True,
        sort_keys=False,
        width=2**31,
    )
    return f"# selfcog {verb} FILE runs this again (selfcog {__version__})\n{body}"


def _read_file(
    verb: str, path: str, leaves: Mapping[str, Leaf], notices: list[str]
) -> dict[str, _Given]:
    from selfcog.config.files import read_settings

    sections = {leaf.section for leaf in leaves.values()} - {""}
    rows = compat.rows_for(verb)
    flat: list[Assignment] = []
    for item in read_settings(path, sections):
        section, _, key = item.key.rpartition(".")
        place = item.origin.removesuffix(f": {key}")
        row = rows.get(key)
        if key not in leaves and row is None:
            inside = [name for name, leaf in leaves.items() if section in ("", leaf.section)]
            raise ConfigError(_explain_unknown_key(place, key, [*inside, *rows, *sections]))
        target = leaves.get((row.new if row else None) or key)
        if section and target is not None and target.section != section:
            raise ConfigError(f"{place}: {key} is a key of {target.section}, not of {section}")
        flat.append(Assignment(key, item.texts, item.origin, item.is_null))
    return _understand(verb, flat, leaves, notices)


def _explain_unknown_key(place: str, key: str, known: Sequence[str]) -> str:
    match = nearest(key, known)
    hint = f"did you mean {match}?" if match else "see --help for all settings"
    return f"{place + ': ' if place else ''}unknown setting {key}; {hint}"


def _understand(
    verb: str,
    assignments: list[Assignment],
    leaves: Mapping[str, Leaf],
    notices: list[str],
) -> dict[str, _Given]:
    """Typed values by leaf name. Lists from several spellings add up; other values must agree."""
    translation = compat.translate(verb, assignments)
    notices += translation.notices
    given: dict[str, _Given] = {}
    for item in translation.assignments:
        leaf = leaves[item.key]
        text = " ".join(item.texts) or ("null" if item.is_null else "''")
        try:
            value = coerce(leaf, item.texts, is_null=item.is_null)
        except ValueError as error:
            raise ConfigError(f"{item.origin} {error}") from None
        earlier = given.get(item.key)
        if earlier is not None and leaf.is_list:
            value = (*earlier.value, *value)
        elif earlier is not None and earlier.value != value:
            raise ConfigError(
                f"{earlier.origin} {earlier.text} and {item.origin} {text} say different things; "
                f"give --{item.key} alone"
            )
        given[item.key] = _Given(value, item.origin, text)
    return given


def _build(verb: str, leaves: Mapping[str, Leaf], given: Mapping[str, _Given]) -> Any:
    kind = COMMANDS[verb]
    tree: dict[str, Any] = {leaf.section: {} for leaf in leaves.values() if leaf.section}
    for name, item in given.items():
        section = leaves[name].section
        (tree[section] if section else tree)[name] = item.value
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain_invalid(error, leaves, given)) from None


def _explain_invalid(
    error: ValidationError, leaves: Mapping[str, Leaf], given: Mapping[str, _Given]
) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = next(str(part) for part in reversed(first["loc"]) if part in leaves)
    leaf = leaves[name]
    if first["type"] == "missing":
        what = leaf.description.rstrip(".")
        alone = "model_type" in given and name == "model"
        hint = " (--model_type alone names no weights)" if alone else ""
        return f"--{name} is missing; give {what[:1].lower()}{what[1:]}{hint}"
    item = given[name]
    if first["type"] in ("string_too_short", "too_short"):
        return f"{item.origin} is empty; give {describe_allowed(leaf)}, or leave it out"
    if first["type"] == "string_pattern_mismatch":
        return f"{item.origin} {item.text} is not possible; give for example {leaf.field.default}"
    return f"{item.origin} {item.text} is not possible; give {describe_allowed(leaf)}"


def _check(config: Config) -> list[str]:
    """What a whole command needs beyond valid fields; returns notices."""
    # Not for a sweep: its trials are checked one by one, with the swept values in them.
    if type(config) is SftConfig:
        identity = config.identity
        wants_identity = identity.self_cognition_sample > 0 or bool(identity.self_cognition_file)
        if not (wants_identity or config.data.dataset):
            raise ConfigError(
                "nothing to train on; give --self_cognition_sample 500 with --model_name and "
                "--model_author, or --dataset FILE"
            )
        asks = wants_identity and bool(identity.model_name) and config.score.scorecard != "none"
        for flag, wanted in (
            ("--metric_for_best_model identity", config.output.metric_for_best_model == "identity"),
            ("--stop_when_ready true", config.score.stop_when_ready),
        ):
            if wanted and not asks:
                raise ConfigError(
                    f"{flag} asks the model who it is, which needs --self_cognition_sample, "
                    "--model_name, --model_author and a --scorecard other than none"
                )
        if (identity.model_name or identity.model_author) and not wants_identity:
            return [
                "a name is given, but no identity row is asked for: it will not be learnt; "
                "add --self_cognition_sample 500"
            ]
    if isinstance(config, ExportConfig) and not config.merge_lora:
        raise ConfigError("nothing to do; give --merge_lora true to write the merged weights")
    return []
