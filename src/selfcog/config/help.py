"""Help on a terminal and docs/flags.md, both made from the schema.

python -m selfcog.config.help > docs/flags.md
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from selfcog.config.base import Config
from selfcog.config.compat import TAKES_ALL_OF, rows_for
from selfcog.config.leaf import Leaf, leaves_of
from selfcog.config.schema import COMMANDS

WIDTH = 100
TEXT_COLUMN = 34
EMPTY = "''"  # an empty word as it is typed

USAGES = {
    "sft": (
        "selfcog sft --model PATH --self_cognition_sample 500 --model_name 小黄 'Xiao Huang' \\\n"
        "    --model_author 某某研究组 'Some Research Group' --dataset data.jsonl#1000",
        "selfcog sft run.yaml --learning_rate 1e-4        a file, then flags that win over it",
        "NPROC_PER_NODE=2 selfcog sft run.yaml            two processes (GPUs, or gloo on a CPU)",
    ),
    "infer": (
        "selfcog infer --ckpt_dir output/…/checkpoint-282",
        "selfcog infer --ckpt_dir output/…/checkpoint-282 --compare --query 你是谁？ --query 'Hi!'",
        "selfcog infer --model PATH --val_dataset questions.jsonl --temperature 0",
    ),
    "eval": (
        "selfcog eval --ckpt_dir output/…/checkpoint-282",
        "selfcog eval --model BASE --adapters ADAPTER --model_name 小黄 'Xiao Huang' \\\n"
        "    --model_author 某某研究组 'Some Research Group' --suite full",
        "selfcog eval --base_url http://127.0.0.1:8000/v1 --served_model NAME --model_name … …",
    ),
    "interview": ("selfcog interview PATH", "selfcog interview embedded"),
    "sweep": (
        "selfcog sweep run.yaml --sweep_identity_share 0.1 0.3 0.5 --sweep_seeds 1 2 3",
        "selfcog sweep run.yaml --sweep_max_steps 60 120 --ray_address auto",
    ),
    "export": (
        "selfcog export --ckpt_dir output/…/checkpoint-282 --merge_lora true",
        "selfcog merge-lora --ckpt_dir output/…/checkpoint-282",
    ),
    "demo": (
        "selfcog demo",
        "selfcog demo --model_name 小黄 'Xiao Huang' --model_author 某某研究组 'Some Group'",
    ),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Settings shown under one heading."""

    title: str
    about: str
    leaves: list[Leaf]


def groups_of(config: type[Config]) -> list[Group]:
    """The sections of a command, or the groups of a flat one."""
    leaves = leaves_of(config)
    if config.GROUPS:
        return [
            Group(title, "", [leaves[name] for name in names])
            for title, names in config.GROUPS.items()
        ]
    groups = []
    for section, field in config.model_fields.items():
        assert isinstance(field.annotation, type)
        inside = [leaf for leaf in leaves.values() if leaf.section == section]
        groups.append(Group(section, (field.annotation.__doc__ or "").strip(), inside))
    return groups


def show_type(leaf: Leaf) -> str:
    """What follows the flag: ``N``, ``TEXT …``, ``lora|full``."""
    words = {
        "text": "TEXT",
        "integer": "N",
        "number": "X",
        "switch": "true|false",
        "choice": "|".join(leaf.choices),
        "map": "JSON",
    }
    return words[leaf.kind] + (" …" if leaf.is_list and not leaf.one_word else "")


def show_default(leaf: Leaf) -> str:
    """The default as it would be typed; "" where the description says what happens without."""
    if leaf.field.is_required():
        return "required"
    value = leaf.field.get_default(call_default_factory=True)
    if value is None or value == () or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(f"'{item}'" if " " in item else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def spellings(verb: str) -> dict[str, list[str]]:
    """Our leaf → the names that ms-swift has or had for it, where the values are the same too."""
    found: dict[str, list[str]] = {}
    for old, row in rows_for(verb).items():
        if row.new is not None and row.new != old and "true" not in row.values:
            found.setdefault(row.new, []).append(old)
    return found


def use_colour(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def write_help(verb: str, *, colour: bool = False) -> str:
    """``selfcog VERB --help``, at most 100 columns."""
    config = COMMANDS[verb]
    bold, dim, end = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
    about = (config.__doc__ or "").strip().replace("``", "")
    lines = [f"{bold}{about}{end}", ""]
    lines += [f"  {usage}" for usage in USAGES[verb]]
    theirs = spellings(verb)
    for group in groups_of(config):
        lines += ["", f"{bold}{group.title}{end}" + (f"  {group.about}" if group.about else "")]
        for leaf in group.leaves:
            lines += _help_lines(leaf, theirs.get(leaf.name, []), bold, dim, end)
    lines += ["", *textwrap.wrap(_closing(verb), WIDTH)]
    return "\n".join(lines)


def _help_lines(leaf: Leaf, theirs: list[str], bold: str, dim: str, end: str) -> Iterator[str]:
    head = f"  --{leaf.name} {show_type(leaf)}"
    default = show_default(leaf)
    text = leaf.description + (f" [{default}]" if default else "")
    rows = textwrap.wrap(text, WIDTH - TEXT_COLUMN, break_on_hyphens=False)
    shown = head.replace(f"--{leaf.name}", f"{bold}--{leaf.name}{end}")
    if len(head) < TEXT_COLUMN - 1:
        yield shown + " " * (TEXT_COLUMN - len(head)) + rows.pop(0)
    else:
        yield shown
    for row in rows:
        yield " " * TEXT_COLUMN + row
    if theirs:
        names = textwrap.wrap(
            "also " + ", ".join(f"--{name}" for name in theirs),
            WIDTH - TEXT_COLUMN,
            break_on_hyphens=False,
        )
        for row in names:
            yield f"{' ' * TEXT_COLUMN}{dim}{row}{end}"


def _closing(verb: str) -> str:
    text = (
        "Flags may be written with - or _; a bare flag of true|false means true. Lists take "
        "several words, or the flag again. "
        "A .yaml or .json file of the same names comes first or after --config; flags win over it. "
        "--debug shows the trace of an error."
    )
    if verb != "demo":
        text += (
            " ms-swift's flags are accepted under their own names (“also”); docs/flags.md lists"
            " all of them."
        )
    return text


def write_docs() -> str:
    """The text of docs/flags.md."""
    lines = [
        "# Flags",
        "",
        "Made from `src/selfcog/config/` by `make docs`; a test keeps it up to date.",
        "",
        "A flag is written `--learning_rate 1e-4`, `--learning-rate 1e-4` or",
        "`--learning_rate=1e-4`; lists take several words, or the flag again. The same names are",
        "the keys of a YAML or JSON file (`selfcog sft run.yaml`), flat or under the sections",
        "below. Precedence: default < file < flag. In a file, a text keeps what is written: `007`,",
        "`No` and `1.0` stay as they are; an unquoted `null` means “not given” where a setting may",
        "be left open.",
    ]
    for verb, config in COMMANDS.items():
        lines += ["", f"## selfcog {verb}", "", _about(config)]
        theirs = spellings(verb)
        groups = groups_of(config)
        whole = TAKES_ALL_OF.get(verb)
        if whole is not None:
            # Said once: the tables of the other command would stand here again, word for word.
            lines += ["", f"All settings of `selfcog {whole}`, and these:"]
            groups = [one for one in groups if one.title not in COMMANDS[whole].model_fields]
        for group in groups:
            lines += ["", f"### {verb}: {group.title}", ""]
            lines += [group.about, ""] if group.about else []
            lines += ["| flag | value | default | meaning | ms-swift |", "|---|---|---|---|---|"]
            lines += [_docs_row(leaf, theirs.get(leaf.name, [])) for leaf in group.leaves]
        lines += [] if whole is not None else _docs_of_rows(verb)
    return "\n".join(lines) + "\n"


def _about(config: type[Config]) -> str:
    text = (config.__doc__ or "").strip().split(": ", 1)[1]
    return text[0].upper() + text[1:]


def _docs_row(leaf: Leaf, theirs: list[str]) -> str:
    bounds = " ".join(f"{sign} {bound:g}" for sign, bound in filter(None, (leaf.lower, leaf.upper)))
    cells = (
        f"`--{leaf.name}`",
        " ".join(filter(None, (show_type(leaf), bounds))).replace("|", " \\| "),
        _code(show_default(leaf)),
        leaf.description.replace("|", "\\|"),
        ", ".join(f"`--{name}`" for name in theirs),
    )
    return f"| {' | '.join(cells)} |"


def _docs_of_rows(verb: str) -> list[str]:
    """What the table of ms-swift's flags says beyond other names."""
    rows = rows_for(verb)
    if not rows:
        return []
    translated: dict[str, list[str]] = {}
    limited: dict[str, list[str]] = {}
    for old, row in rows.items():
        if row.new is not None and row.values:
            other = f"meant for `--{row.new}`; " if row.new != old else ""
            meanings = other + ", ".join(
                _show_value(theirs, ours) for theirs, ours in row.values.items() if theirs != ours
            )
            translated.setdefault(meanings, []).append(f"`--{old}`")
        elif row.refusal:
            limited.setdefault(_show_limit(row.values, row.refusal), []).append(f"`--{old}`")
    silent = [f"`--{old}`" for old, row in rows.items() if row.new is None and not row.refusal]
    lines = []
    for title, items in (
        ("values of ms-swift", _join_rows(translated)),
        ("accepted with these values only", _join_rows(limited)),
        ("accepted, without effect (a notice says so)", [", ".join(silent)]),
    ):
        lines += ["", f"### {verb}: {title}", "", *items]
    return lines


def _join_rows(meanings: Mapping[str, list[str]]) -> list[str]:
    return [f"- {', '.join(names)}: {meaning}" for meaning, names in meanings.items()]


def _show_value(theirs: str, ours: str | None) -> str:
    return f"{_code(theirs or EMPTY)} → {'not given' if ours is None else _code(ours)}"


def _show_limit(values: Mapping[str, str | None], refusal: str) -> str:
    if not values:
        return refusal
    shown = ("false", "0", "none") if {"false", "0", "none"} <= set(values) else values
    return f"{' '.join(_code(value) for value in shown)}; otherwise: {refusal}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    print(write_docs(), end="")
