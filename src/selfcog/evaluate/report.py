"""A scorecard on a terminal, and as a block of Markdown for a model card.

Every text of a user or a model is shown literally: as `rich.text.Text` on the terminal, escaped in
Markdown. The page for a browser is in `selfcog.evaluate.page`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from selfcog.evaluate import wording as words
from selfcog.evaluate.scorecard import Failure, FamilyScore, Scorecard
from selfcog.evaluate.stats import Rate
from selfcog.evaluate.wording import visible

# Narrower than this, the columns of the table would break inside numbers: a list is shown.
TABLE_WIDTH = 120
MARKDOWN_FAILURES = 5
MARKDOWN_CHARACTERS = 400  # of a quoted text in a table cell
_STYLES = {"pass": "green", "FAIL": "bold red", "not measured": "yellow"}
_METHOD = (
    "Shares with (passed/n, Wilson 95 % limits). Differences are tuned − base in percentage points "
    "on the same questions, with Newcombe's paired 95 % limits; p: exact McNemar test, unadjusted."
)


def show_scorecard(console: Console, card: Scorecard, *, max_failures: int = 10) -> None:
    """Print the card, verdict first; at most ``max_failures`` failed and as many undecided answers.

    On consoles narrower than TABLE_WIDTH the families are a list instead of a table.
    """
    _show_verdict(console, card)
    _title(console, "families")
    _print(console, _families_table(card) if console.width >= TABLE_WIDTH else _families_list(card))
    _print(console, Text(_METHOD, style="dim"))
    _title(console, "old names and over-claims")
    _print(console, _pairs(words.pool_rows(card)))
    if card.drift:
        _title(console, "drift from the base (KL in nats a token)")
        for one in card.drift:
            cells = zip(words.DRIFT_HEAD, words.drift_cells(one), strict=True)
            _print(console, _pairs(cells))
    _title(console, "gates (* primary)")
    _print(console, _gates(card))
    if card.verdict.advice:
        _title(console, "what to change, most important first")
        _print(console, _pairs((f"{i}.", one) for i, one in enumerate(card.verdict.advice, 1)))
    failed, undecided = words.split_failures(card)
    _show_failures(console, "failures, word for word", failed, max_failures)
    _show_failures(console, "undecided: please judge these yourself", undecided, max_failures)
    if card.notes:
        _title(console, "notes")
        _print(console, _pairs(("·", note) for note in card.notes))


def _show_verdict(console: Console, card: Scorecard) -> None:
    style = "bold green" if card.verdict.fit else "bold red"
    _print(console, Text(visible(card.verdict.headline), style=style))
    # Not wrapped where the console does not: paths are there to be copied.
    console.print(Text(visible(f"{words.identity_text(card)}: {card.tuned}")))
    against = f"base: {card.base}" if card.base else "no base beside it"
    console.print(Text(visible(f"{against}; suite: {card.size}"), style="dim"))


def _families_table(card: Scorecard) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("family", max_width=30)
    for name in ("", "base", "tuned", "tuned − base", "base as itself"):
        table.add_column(name, no_wrap=True)
    for family, rows in words.families_of(card):
        for place, row in enumerate(rows):
            title = Text(family, style="bold") if place == 0 else Text()
            if place == 0:
                title.append(f"\n{words.meaning_of(family)}", style="not bold dim")
            table.add_row(
                title,
                Text(row.language),
                _rate_cell(row.base),
                _rate_cell(row.tuned, row.num_undecided),
                _difference_cell(row),
                _rate_cell(row.as_itself),
                end_section=place == len(rows) - 1,
            )
    return table


def _rate_cell(rate: Rate | None, num_undecided: int = 0) -> Text:
    text = Text(words.NOTHING if rate is None else str(rate).replace(" (", "\n(", 1))
    if num_undecided:
        text.append(f"\n{num_undecided} undecided", style="yellow")
    return text


def _difference_cell(row: FamilyScore) -> Text:
    text = words.difference_text(row.paired).replace(" (", "\n(", 1)
    if row.paired is not None and row.paired.n:
        head, _, tail = text.partition("\n")
        text = f"{head}, {words.pair_p_text(row.paired)}\n{tail}"
    return Text(text)


def _families_list(card: Scorecard) -> Group:
    parts: list[RenderableType] = []
    for family, rows in words.families_of(card):
        parts.append(Text.assemble((family, "bold"), (f": {words.meaning_of(family)}", "dim")))
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=5)
        grid.add_column(width=9, style="dim")
        grid.add_column(overflow="fold")
        for row in rows:
            rest = f", {row.num_undecided} undecided" if row.num_undecided else ""
            grid.add_row(Text(row.language), "tuned", Text(f"{row.tuned}{rest}"))
            if row.base is not None:
                grid.add_row("", "base", Text(str(row.base)))
            if row.paired is not None:
                p = words.pair_p_text(row.paired)
                grid.add_row("", "change", Text(f"{words.difference_text(row.paired)}, {p}"))
            if row.as_itself is not None:
                grid.add_row("", "as itself", Text(str(row.as_itself)))
        parts.append(Padding(grid, (0, 0, 0, 2)))
    return Group(*parts)


def _gates(card: Scorecard) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(max_width=30)
    grid.add_column(overflow="fold")
    for gate in card.gates:
        state = words.state_of(gate)
        needs = f"\nneeds: {gate.bound}"
        if gate.p_adjusted is not None:
            needs += f"; {words.p_text(gate.p_adjusted)} (adjusted by Holm)"
        grid.add_row(
            Text(state, style=_STYLES[state]),
            Text(visible(gate.name) + (" *" if gate.primary else "")),
            Text.assemble(visible(gate.value), (visible(needs), "dim")),
        )
    return grid


def _show_failures(console: Console, title: str, failures: Sequence[Failure], most: int) -> None:
    if not failures:
        return
    picked = words.pick_failures(failures, most)
    _title(console, f"{title} ({len(picked)} of {len(failures)})")
    for place, one in enumerate(picked, start=1):
        head = Text(f"{place}. {one.family} · {one.language or 'any'} · ", style="bold")
        head.append(visible(words.outcome_text(one)), style="yellow")
        _print(console, head)
        rows = [*one.conversation]
        if one.prefill:
            rows.append(("forced beginning", one.prefill))
        rows.append(("answer", one.answer or "(empty)"))
        rows.append(("expected", words.expected_text(one)))
        if one.base_answer is not None:
            rows.append((words.base_label(one), one.base_answer))
        _print(console, Padding(_pairs(rows), (0, 0, 1, 3)))


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", max_width=26)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(Text(visible(label)), Text(visible(text)))
    return grid


def _title(console: Console, text: str) -> None:
    console.print()
    _print(console, Text(text, style="bold underline"))


def _print(console: Console, what: RenderableType) -> None:
    # The project's consoles wrap nothing; here columns and quoted answers must be wrapped.
    console.print(what, soft_wrap=False)


def to_markdown(card: Scorecard) -> str:
    """A block for a model card. It ends with a newline and holds no heading above level 2."""
    failed, undecided = words.split_failures(card)
    against = f"base {quote(card.base)}" if card.base else "no base beside it"
    lines = [
        "## Identity scorecard",
        "",
        f"**{quote(card.verdict.headline)}**",
        "",
        f"{quote(words.identity_text(card))}: {quote(card.tuned)}, {against}, {quote(card.size)} "
        "suite.",
        "",
        *_families_block(card),
        "### Old names and over-claims",
        "",
        *_table(("", "measured"), words.pool_rows(card)),
        *_gates_block(card),
    ]
    if card.drift:
        cells = [words.drift_cells(one) for one in card.drift]
        lines += ["### Drift from the base", "", *_table(words.DRIFT_HEAD, cells)]
        lines += ["KL(base ‖ tuned) in nats a token.", ""]
    if card.verdict.advice:
        lines += ["### What to change", ""]
        lines += [f"{i}. {quote(one)}" for i, one in enumerate(card.verdict.advice, 1)] + [""]
    lines += _failures_block("Failures, word for word", failed)
    lines += _failures_block("Undecided by rule, counted as failed", undecided)
    lines += ["### Measured with", "", *_table(("", ""), words.provenance_rows(card))]
    if card.notes:
        lines += [*(f"- {quote(note)}" for note in card.notes), ""]
    return "\n".join(lines)


def _families_block(card: Scorecard) -> list[str]:
    has_itself = any(one.as_itself is not None for one in card.families)
    head = ["family", "language", "tuned"]
    head += ["base", "tuned − base", "p"] if card.base else []
    head += ["base as itself"] if has_itself else []
    rows = []
    for family, scores in words.families_of(card):
        for place, one in enumerate(scores):
            title = f"{family}: {words.meaning_of(family)}" if place == 0 else ""
            tuned = str(one.tuned)
            tuned += f", {one.num_undecided} undecided" if one.num_undecided else ""
            cells = [title, one.language, tuned]
            if card.base:
                base = words.NOTHING if one.base is None else str(one.base)
                pair = one.paired
                cells += [base, words.difference_text(pair), words.pair_p_text(pair)]
            if has_itself:
                cells.append(words.NOTHING if one.as_itself is None else str(one.as_itself))
            rows.append(cells)
    return [*_table(head, rows), _METHOD, ""]


def _gates_block(card: Scorecard) -> list[str]:
    rows = [
        (
            words.state_of(gate),
            gate.name + (" (primary)" if gate.primary else ""),
            gate.value,
            gate.bound,
            words.p_text(gate.p_adjusted),
        )
        for gate in card.gates
    ]
    head = ("", "gate", "measured", "needed", "p, adjusted by Holm")
    return ["### Gates", "", *_table(head, rows)] if rows else []


def _failures_block(title: str, failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    picked = words.pick_failures(failures, MARKDOWN_FAILURES)
    rows = []
    for one in picked:
        turns = [f"{role}: {_cut(text)}" for role, text in one.conversation]
        asked = _cut(one.conversation[-1][1]) if len(turns) == 1 else "\n".join(turns)
        rows.append((one.family, asked, _cut(one.answer) or "(empty)", words.outcome_text(one)))
    return [
        f"### {title} ({len(picked)} of {len(failures)})",
        "",
        *_table(("family", "question", "answer", "outcome"), rows),
    ]


def _cut(text: str) -> str:
    rest = len(text) - MARKDOWN_CHARACTERS
    return text if rest <= 0 else f"{text[:MARKDOWN_CHARACTERS]}… ({rest} more characters)"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with every cell quoted, and an empty line after it."""
    lines = [head, ["---"] * len(head)]
    quoted = [[quote(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (*lines, *quoted)] + [""]


def quote(text: str) -> str:
    """A text that Markdown shows literally, also within a cell of a table, in one line.

    Marks are escaped, newlines become ``<br>``; addresses and @names do not turn into links.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]{}|~$#!])", r"\\\1", text)
    text = text.replace("@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")
    return visible(text).replace("\n", "<br>")
