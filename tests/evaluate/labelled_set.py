"""The labelled answers: reading them, their two parts, and how the scorer does on them.

``python tests/evaluate/labelled_set.py`` writes the tables of the reporting part into
docs/scorer.md; ``--show`` prints what is wrong on the development part.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from selfcog.evaluate.claims import Claims, Subjects, judge, read_claims

HERE = Path(__file__).parent / "labelled"
DOCS = Path(__file__).parents[2] / "docs" / "scorer.md"
START, END = "<!-- tables: start -->", "<!-- tables: end -->"
STANCES = ("asserted", "denied", "attributed", "absent")
VERDICTS = ("pass", "leak", "miss", "undecided")
EASY = ("plain", "format", "long", "degenerate")


@dataclass(frozen=True)
class Answer:
    """One labelled answer; ``gold`` holds the labels as the claims that they stand for."""

    id: str
    language: str
    kind: str
    asked: Any
    text: str
    subjects: Subjects
    gold: Claims
    reporting: bool

    @property
    def hard(self) -> bool:
        return self.kind not in EASY


@cache
def load_answers() -> tuple[Answer, ...]:
    casts = json.loads((HERE / "casts.json").read_text(encoding="utf-8"))
    groups = [tuple(map(tuple, casts[key])) for key in ("old_names", "old_makers")]
    subjects = {
        name: Subjects(
            tuple(cast["names"]),
            tuple(cast["makers"]),
            *groups,
            frozenset(cast["ordinary"]),
        )
        for name, cast in casts["casts"].items()
    }
    answers = []
    for part, language in product(("", "more_", "report_"), ("zh", "en")):
        for line in (HERE / f"{part}{language}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            gold = Claims(
                name=row["name"],
                maker=row["maker"],
                old_names=row["old_names"],
                old_makers=row["old_makers"],
                degenerate=row["degenerate"],
            )
            cast = subjects[row["cast"]]
            answers.append(
                Answer(
                    row["id"],
                    language,
                    row["kind"],
                    row["asked"],
                    row["answer"],
                    cast,
                    gold,
                    reporting=part == "report_",
                )
            )
    return tuple(answers)


def pairs_of(answer: Answer, found: Claims) -> Iterable[tuple[str, str, str]]:
    """(subject, gold label, found label): own name, own maker, every old one seen by either."""
    yield "name", answer.gold.name, found.name
    yield "maker", answer.gold.maker, found.maker
    for kind, gold, said in (
        ("old name", answer.gold.old_names, found.old_names),
        ("old maker", answer.gold.old_makers, found.old_makers),
    ):
        for key in {**gold, **said}:
            yield kind, gold.get(key, "absent"), said.get(key, "absent")


def read(answer: Answer) -> Claims:
    return read_claims(answer.text, answer.subjects, answer.language)


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f} ({part}/{whole})" if whole else "– (0/0)"


def confusion(pairs: list[tuple[str, str]], labels: tuple[str, ...]) -> list[str]:
    """Rows of a Markdown table: counts, then recall of each gold label and precision of each."""
    counts = Counter(pairs)
    lines = [
        "| gold ↓ found → | " + " | ".join(labels) + " | recall |",
        "|---|" + "---:|" * (len(labels) + 1),
    ]
    for gold in labels:
        row = [counts[gold, found] for found in labels]
        cells = " | ".join(map(str, row))
        lines.append(f"| {gold} | {cells} | {share(counts[gold, gold], sum(row))} |")
    precision = [share(counts[one, one], sum(counts[g, one] for g in labels)) for one in labels]
    return [*lines, "| precision | " + " | ".join(precision) + " | |"]


def make_tables(answers: Iterable[Answer]) -> str:
    """The tables of docs/scorer.md."""
    read_all = [(answer, read(answer)) for answer in answers]
    pairs = [(answer, *pair) for answer, found in read_all for pair in pairs_of(answer, found)]
    lines = [f"{len(read_all)} answers, {sum(answer.hard for answer, _ in read_all)} of them hard."]
    parts: list[tuple[str, list[tuple[str, str]]]] = [
        ("All subjects", [(g, f) for _, _, g, f in pairs]),
        ("Chinese", [(g, f) for a, _, g, f in pairs if a.language == "zh"]),
        ("English", [(g, f) for a, _, g, f in pairs if a.language == "en"]),
        ("Hard answers", [(g, f) for a, _, g, f in pairs if a.hard]),
    ]
    for subject in ("name", "maker", "old name", "old maker"):
        parts.append((f"Subject: {subject}", [(g, f) for _, s, g, f in pairs if s == subject]))
    for title, part in parts:
        lines += ["", f"### {title}", "", *confusion(part, STANCES)]
    verdicts = [
        (judge(a.gold, a.asked), judge(f, a.asked)) for a, f in read_all if a.asked != "none"
    ]
    lines += ["", "### Verdicts", "", *confusion(verdicts, VERDICTS)]
    loops = [(str(a.gold.degenerate), str(f.degenerate)) for a, f in read_all]
    lines += ["", "### Degenerate answers", "", *confusion(loops, ("True", "False"))]
    return "\n".join(lines)


def render_docs(text: str) -> str:
    """docs/scorer.md with its tables made anew."""
    head, rest = text.split(START)
    _, tail = rest.split(END)
    tables = make_tables(answer for answer in load_answers() if answer.reporting)
    return f"{head}{START}\n\n{tables}\n\n{END}{tail}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print errors of the development part")
    if not parser.parse_args().show:
        DOCS.write_text(render_docs(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
        return
    answers = [answer for answer in load_answers() if not answer.reporting]
    for answer in answers:
        found = read(answer)
        wrong = [pair for pair in pairs_of(answer, found) if pair[1] != pair[2]]
        if wrong or answer.gold.degenerate != found.degenerate:
            print(answer.id, answer.kind, repr(answer.text), *wrong, found.degenerate)
    print(make_tables(answers).split("###")[1])


if __name__ == "__main__":
    main()
