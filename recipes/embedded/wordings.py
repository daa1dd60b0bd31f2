"""Reads the tables of wordings (``wordings/*.txt``).

They were written without sight of the identity bank's held-out questions, of the held-out
phrasings of facts and of the held-out system prompts. ``## key`` opens a section; every further
line is one pattern. In the talk tables ``? `` marks what a user says and ``= `` the one answer.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "wordings"


@cache
def sections(name: str) -> dict[str, list[str]]:
    """The sections of ``wordings/<name>.txt``: key -> patterns, line breaks for ``\\n``."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line[3:].strip(), [])
        elif line.strip():
            lines.append(line.strip().replace("\\n", "\n"))
    return found


@cache
def identity_questions(lang: str) -> dict[str, list[str]]:
    """Questions to the assistant about itself: intent -> patterns."""
    return sections(f"identity_{lang}_a") | sections(f"identity_{lang}_b")


@cache
def talk(lang: str) -> list[tuple[list[str], str]]:
    """Ordinary exchanges: (what a user says, the answer)."""
    topics = []
    for lines in sections(f"talk_{lang}").values():
        asked = [line[2:] for line in lines if line.startswith("? ")]
        answers = [line[2:] for line in lines if line.startswith("= ")]
        assert len(answers) == 1 and asked, f"a topic needs wordings and one answer: {lines[:2]}"
        topics.append((asked, answers[0]))
    return topics
