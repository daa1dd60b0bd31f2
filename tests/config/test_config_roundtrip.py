"""argv → config → YAML → config: whatever a user can type survives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selfcog.config.flags import FLAG
from selfcog.config.leaf import Leaf, leaves_of
from selfcog.config.load import Parsed, dump_yaml, load_config, make_config, parse_command
from selfcog.config.schema import COMMANDS
from selfcog.errors import ConfigError

HARD_TEXTS = (
    "",
    " ",
    "007",
    "No",
    "null",
    "~",
    "1.0",
    "1e5",
    "true",
    "小黄",
    "彧翀",
    'O\'Brien "Q"',
    "{{x}}",
    "{a: b}",
    "[x]",
    "- x",
    "# x",
    "a: b",
    "a #b",
    "!!int 1",
    "&a",
    "*a",
    "<<",
    "=",
    "|",
    ">\n",
    "a\nb",
    "\ttab",
    "\u2028",
    "\x85",
    "\ufeff",
    "🐉",
    "\x00\x1b",
    "-1",
    "%",
    "@",
    "2024-01-01",
    "x" * 300 + " " + "y" * 300,
)
TEXTS = st.one_of(st.sampled_from(HARD_TEXTS), st.text(max_size=12))
NAMES = TEXTS.filter(lambda text: bool(text.strip()))


@given(system=TEXTS, version=TEXTS, names=st.lists(NAMES, min_size=1, max_size=3), author=NAMES)
@settings(max_examples=80, deadline=None)
def test_texts_survive(system: str, version: str, names: list[str], author: str) -> None:
    words = ["--model", "embedded", "--self_cognition_sample", "5"]
    words += [f"--system={system}", f"--version={version}", f"--model_author={author}"]
    words += [f"--model_name={name}" for name in names]
    parsed = parse_command("sft", words)
    assert parsed.notices == []
    assert parsed.config.model.system == system
    assert parsed.config.identity.version == version
    assert parsed.config.identity.model_name == tuple(names)
    assert parsed.config.identity.model_author == (author,)
    assert reload(parsed.config, "sft") == parsed


@given(text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_text_after_its_flag_survives(text: str) -> None:
    """Without "=": all but what looks like a flag, or is a flag with too few hyphens."""
    assume(not FLAG.fullmatch(text) and text not in ("-h", "--help"))
    words = ["--model", "embedded", "--dataset", "a", "--system", text]
    assert parse_command("sft", words).config.model.system == text


def reload(config: Any, verb: str) -> Parsed[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(dump_yaml(config), encoding="utf-8")
        assert load_config(path, verb) == config
        return parse_command(verb, [str(path)])


def values_of(leaf: Leaf) -> st.SearchStrategy[Any]:
    """Values within the bounds that the leaf states."""
    low, high = leaf.lower, leaf.upper
    if leaf.kind == "integer":
        one: st.SearchStrategy[Any] = st.integers(
            int(low[1]) if low else -(10**9), int(high[1]) if high else 10**9
        )
    elif leaf.kind == "number":
        one = st.floats(
            low[1] if low else -1e9,
            high[1] if high else 1e9,
            exclude_min=bool(low and low[0] == ">"),
            exclude_max=bool(high and high[0] == "<"),
        )
    elif leaf.kind == "switch":
        one = st.booleans()
    elif leaf.kind == "choice":
        one = st.sampled_from(leaf.choices)
    elif leaf.kind == "map":
        return st.dictionaries(TEXTS, TEXTS, max_size=3)
    else:
        one = NAMES
    if leaf.is_list:
        return st.lists(one, min_size=1, max_size=3)
    return st.none() | one if leaf.is_optional else one


# What makes a command complete, and leaves that only take special values.
BASES: dict[str, dict[str, Any]] = {
    "sft": {"model": "embedded", "dataset": ["a"]},
    "infer": {"ckpt_dir": "c"},
    "export": {"ckpt_dir": "c", "merge_lora": True},
    "demo": {},
    "eval": {"ckpt_dir": "c"},
    "interview": {"model": "m"},
    "sweep": {"model": "embedded", "dataset": ["a"]},
}
LEFT_OUT = {
    "deepspeed", "global_batch_size", "val_dataset", "adapters", "max_shard_size",
    "base_url", "stop_when_ready",
}  # fmt: skip


@pytest.mark.parametrize("verb", COMMANDS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_every_config_runs_again_from_its_dump(verb: str, data: st.DataObject) -> None:
    leaves = leaves_of(COMMANDS[verb])
    free = sorted(set(leaves) - LEFT_OUT - set(BASES[verb]))
    chosen = data.draw(st.lists(st.sampled_from(free), unique=True, max_size=12))
    drawn = {name: data.draw(values_of(leaves[name]), label=name) for name in chosen}
    values = {**BASES[verb], **drawn}
    try:
        config = make_config(verb, values)
    except ConfigError:
        assume(False)
    assert reload(config, verb).config == config
