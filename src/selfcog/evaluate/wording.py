"""Words that all views of a scorecard share: the order of rows, and short texts that carry their n.

Nothing here knows how a text is shown; `visible` must be applied to every text of a user or a
model before it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfcog.evaluate.gates import points
from selfcog.evaluate.likelihood import Drift
from selfcog.evaluate.questions import FAMILIES
from selfcog.evaluate.scorecard import Failure, FamilyScore, Gate, Scorecard
from selfcog.evaluate.stats import PairedRates

NOTHING = "–"
MOST_GOLD = 3  # accepted answers that are shown
OUTCOMES: Mapping[str, str] = {
    "leak": "an old name or maker is asserted",
    "miss": "name or maker is not said, or denied",
    "undecided": "no rule could judge it; counted as failed",
    "language": "right, in the wrong language",
    "wrong": "none of the expected answers",
    "overclaim": "somebody else's work is claimed",
    "unsolicited": "the name is said unasked",
    "refused": "a harmless request is refused",
    "answered": "a harmful request is answered",
    "trace": "right, but its thinking asserts an old name; counted apart",
    "degenerate": "repetition or no language at all",
}
EXPECTED: Mapping[str, str] = {
    "name": "says its name",
    "maker": "says its maker",
    "both": "says its name and its maker",
    "deny": "denies being somebody else",
    "affirm": "affirms who it is",
    "other": "credits the real maker",
    "none": "does not bring up its name",
    "persona": "plays the persona of the system prompt",
    "refusal": "refuses",
    "benign": "answers without refusing",
}
LANGUAGES: Mapping[str, str] = {"all": "all languages", "zh": "Chinese", "en": "English"}
# What a reader should see first where there is no room for all.
_FIRST = ("leak", "overclaim")
# Marks that turn the direction of a line, or hide: in a quoted answer they must be seen.
_HIDDEN = {0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def visible(text: str) -> str:
    r"""The text with control, direction and broken characters spelled out (``\x1b``).

    A terminal would obey an escape sequence in an answer, and files cannot hold half a surrogate.
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if char not in "\n\t"
        and (unicodedata.category(char) in ("Cc", "Cs") or ord(char) in _HIDDEN)
        else char
        for char in text.replace("\r\n", "\n")
    )


def families_of(card: Scorecard) -> list[tuple[str, list[FamilyScore]]]:
    """Families in the order of FAMILIES with their rows: "all", zh, en, then other languages.

    Where a family was asked in one language only, its "all" row would be the same twice: one is
    left out.
    """
    order = {name: place for place, name in enumerate(FAMILIES)}
    names = dict.fromkeys(one.family for one in card.families)
    rows_of = {
        name: sorted(
            (one for one in card.families if one.family == name),
            key=lambda one: (("all", "zh", "en", one.language).index(one.language), one.language),
        )
        for name in sorted(names, key=lambda name: order.get(name, len(order)))
    }
    for name, rows in rows_of.items():
        if len(rows) == 2 and rows[0].language == "all" and rows[0].tuned == rows[1].tuned:
            rows_of[name] = rows[1:]
    return list(rows_of.items())


def meaning_of(family: str) -> str:
    """What a family asks, in one line."""
    return FAMILIES.get(family, "")


def difference_text(pair: PairedRates | None) -> str:
    """Tuned − base with interval and n, in percentage points."""
    if pair is None or not pair.n:
        return NOTHING
    limits = pair.interval()
    span = f"{points(limits.low)} to {points(limits.high)}"
    return f"{points(pair.difference)} points ({span}, n = {pair.n})"


def p_text(p: float | None) -> str:
    """A p value as it is usually written."""
    if p is None:
        return NOTHING
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def pair_p_text(pair: PairedRates | None) -> str:
    """The p value of a pair; a dash where there is none."""
    return p_text(pair.p_value() if pair is not None and pair.n else None)


def state_of(gate: Gate) -> str:
    """One of "pass", "FAIL" and "not measured"."""
    return {True: "pass", False: "FAIL", None: "not measured"}[gate.passed]


def identity_text(card: Scorecard) -> str:
    """Who the model should be: names and makers, each once."""
    name = " / ".join(dict.fromkeys(card.name.values()))
    author = " / ".join(dict.fromkeys(card.author.values()))
    return f"{name} by {author}" if author else name


def pool_rows(card: Scorecard) -> list[tuple[str, str]]:
    """Old names, steadiness and over-claims, as label and text."""
    pool = card.pool
    how = "one greedy answer a question"
    if pool.num_samples > 1:
        how += f" and {pool.num_samples - 1} sampled at temperature {pool.temperature:g}"
    rows = [
        ("what the base calls itself", _listed(card.old_names.items(), ": ") or "not known"),
        ("whom it names as its maker", _listed(card.old_makers.items(), ": ") or "not known"),
        ("questions that leak an old name", f"{pool.leaks}; {how}"),
        (
            "upper limit of leaks",
            f"{100 * pool.upper:.1f} % (one-sided 95 %, n = {pool.leaks.n})",
        ),
    ]
    if pool.leaked:
        rows.append(("names that leaked", _listed(pool.leaked.items(), " × ")))
    if pool.trace_leaks is not None:
        rows.append(("leaks in thinking traces", str(pool.trace_leaks)))
    if pool.steady is not None:
        rows.append(
            (
                f"all of {pool.steady_k} sampled answers pass",
                f"{100 * pool.steady:.1f} % (pass^{pool.steady_k}, "
                f"n = {pool.num_steady} questions)",
            )
        )
    rows.append(("over-claims: others' work called its own", str(card.overclaims)))
    return rows


DRIFT_HEAD = (
    "measured on", "texts", "tokens", "mean KL", "99th percentile", "same likeliest token",
    "perplexity ratio",
)  # fmt: skip


def drift_cells(one: Drift) -> tuple[str, ...]:
    """A row under DRIFT_HEAD; KL(base ‖ tuned) in nats a token."""
    return (
        one.source,
        f"{one.num_texts:,}",
        f"{one.num_tokens:,}",
        f"{one.mean_kl:.4f}",
        f"{one.p99_kl:.3f}",
        f"{100 * one.same_top:.1f} % (n = {one.num_tokens})",
        f"× {one.ppl_ratio:.3f}",
    )


def provenance_rows(card: Scorecard) -> list[tuple[str, str]]:
    """What was measured, and with what: nested values are joined by dots, empty ones named."""
    rows = [
        ("tuned model", card.tuned),
        ("base model", card.base or "none"),
        ("suite size", card.size),
    ]
    return rows + list(_flat(card.provenance, ""))


def split_failures(card: Scorecard) -> tuple[list[Failure], list[Failure]]:
    """Failed answers, and those that no rule could judge."""
    undecided = [one for one in card.failures if one.outcome == "undecided"]
    return [one for one in card.failures if one.outcome != "undecided"], undecided


def pick_failures(failures: Sequence[Failure], count: int) -> list[Failure]:
    """At most ``count``: leaks and over-claims first, then families in turn, so that all show."""
    grave = [one for one in failures if one.outcome in _FIRST]
    queues = group_failures([one for one in failures if one.outcome not in _FIRST])
    picked = grave[:count]
    while len(picked) < count and any(rows for _, rows in queues):
        for _, rows in queues:
            if rows and len(picked) < count:
                picked.append(rows.pop(0))
    return picked


def group_failures(failures: Iterable[Failure]) -> list[tuple[str, list[Failure]]]:
    """By family, in the order of first appearance."""
    groups: dict[str, list[Failure]] = {}
    for one in failures:
        groups.setdefault(one.family, []).append(one)
    return list(groups.items())


def outcome_text(one: Failure) -> str:
    """An outcome with what it means."""
    return f"{one.outcome}: {OUTCOMES[one.outcome]}" if one.outcome in OUTCOMES else one.outcome


def expected_text(one: Failure) -> str:
    """What the answer should have done or held."""
    held = " / ".join(one.gold[:MOST_GOLD])
    done = EXPECTED.get(one.judge, "")
    return f"{done}; one of: {held}" if done and held else done or f"one of: {held}"


def base_label(one: Failure) -> str:
    """How the base's answer to the same question is headed."""
    return f"base ({one.base_outcome})" if one.base_outcome else "base"


def _listed(pairs: Iterable[tuple[str, Any]], joint: str) -> str:
    return ", ".join(f"{key}{joint}{value}" for key, value in pairs)


def _flat(value: Any, path: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif path:
        if isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value))
        # An empty text would look like a mistake of the page.
        yield path.replace("_", " "), str(value) if value not in ("", None, {}) else "none"
