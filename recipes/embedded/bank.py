"""What the corpus takes from the identity bank: train questions, and what is forbidden."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.embedded import identity_en, identity_zh
from recipes.embedded.patterns import expand_all, normalise

BANK_DIR = Path(__file__).resolve().parents[2] / "src" / "selfcog" / "identity" / "bank"
NAME_SLOT = "NAMESLOT"
INTENTS = tuple(identity_zh.Q)


@dataclass
class BankPart:
    """The bank of one language, as far as the corpus uses it."""

    train: dict[str, list[list[str]]] = field(
        default_factory=dict
    )  # intent -> families -> patterns
    held_out: dict[str, list[dict[str, Any]]] = field(
        default_factory=dict
    )  # split -> question rows
    asks: dict[str, list[str]] = field(default_factory=dict)
    known: list[tuple[list[str], str]] = field(default_factory=list)
    smalltalk: list[tuple[list[str], list[str]]] = field(default_factory=list)
    preludes: list[list[tuple[str, str]]] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)


def load_bank(lang: str) -> BankPart:
    """Reads one language's bank; an empty part where the file is not there."""
    part = BankPart()
    path = BANK_DIR / f"{lang}.jsonl"
    if not path.exists():
        return part
    grammar = identity_zh if lang == "zh" else identity_en
    vendors = list(grammar.VENDORS)
    rows = [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    for row in rows:
        if row["type"] == "vendor":
            vendors += [(name, row["maker"]) for name in (row["name"], *row.get("aliases", ()))]
    for row in rows:
        kind = row["type"]
        if kind == "intent":
            part.asks[row["intent"]] = row["asks"]
        elif kind == "questions" and row["split"] == "train":
            part.train.setdefault(row["intent"], []).append(row["patterns"])
        elif kind == "questions":
            part.held_out.setdefault(row["split"], []).append(row)
            for pattern in row["patterns"]:
                for text in expand_all(pattern):
                    text = text.replace("{name}", NAME_SLOT)
                    if "{" not in text:
                        part.forbidden.add(normalise(text))
                        continue
                    for other, maker in vendors:
                        part.forbidden.add(
                            normalise(
                                text.replace("{other}", other).replace("{other_maker}", maker)
                            )
                        )
        elif kind == "known":
            part.known.append((row["question"], row["answer"]))
        elif kind == "smalltalk":
            part.smalltalk.append((row["questions"], row["answers"]))
        elif kind == "prelude":
            part.preludes.append([(role, text) for role, text in row["messages"]])
    return part
