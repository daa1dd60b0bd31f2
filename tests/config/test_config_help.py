"""Help and docs are made from the schema, fit a terminal, and are not stale."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from selfcog.config.compat import rows_for
from selfcog.config.help import WIDTH, write_docs, write_help
from selfcog.config.leaf import leaves_of
from selfcog.config.load import parse_command
from selfcog.config.schema import COMMANDS

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "flags.txt"


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_names_every_flag_and_fits(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_command(verb, ["--nonsense", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text == write_help(verb) + "\n"
    for name in leaves_of(COMMANDS[verb]):
        assert f"  --{name} " in text
    assert max(map(columns, text.splitlines())) <= WIDTH
    assert "\x1b" not in text
    assert "None" not in text


def test_help_shows_defaults_and_other_names() -> None:
    text = write_help("sft")
    assert "[16]" in text
    assert "[required]" in text
    assert "also --sft_type, --train_type" in text
    assert "--disable_tqdm" not in text, "its values are the other way round"


def test_colour_only_adds_colour() -> None:
    coloured = write_help("sft", colour=True)
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):
        assert code in coloured
        coloured = coloured.replace(code, "")
    assert coloured == write_help("sft")


def test_the_page_of_flags_is_up_to_date() -> None:
    page = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert page == write_docs(), "run: make docs"


def test_no_flag_comes_or_goes_unnoticed() -> None:
    """A flag that is gone breaks somebody's script: change flags.txt knowingly."""
    lines = []
    for verb, config in COMMANDS.items():
        lines += [f"{verb} {name}" for name in leaves_of(config)]
        lines += [f"{verb} {old} -> {row.new or '-'}" for old, row in rows_for(verb).items()]
    assert SNAPSHOT.read_text(encoding="utf-8").splitlines() == lines
