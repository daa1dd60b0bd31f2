"""A scorecard as one HTML page: it loads nothing, works from file:// and can be printed.

Style is in ``page.css``; there are no scripts. Every text passes `_text`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from selfcog.evaluate import wording as words
from selfcog.evaluate.gates import points
from selfcog.evaluate.scorecard import Failure, FamilyScore, Gate, Scorecard
from selfcog.evaluate.stats import Rate

# Nothing may be fetched, whatever an answer holds; only the page's own style applies.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MARKS = {"pass": "✓", "FAIL": "✗", "not measured": "–"}
_CLASSES = {"pass": "pass", "FAIL": "fail", "not measured": "open"}
# Up to so many answers, their groups are shown opened.
_OPEN_FAILURES = 8
# Of a bar, in units of its view box: the track goes from _LEFT to _LEFT + _WIDTH.
_LEFT, _WIDTH, _TUNED_Y, _BASE_Y = 8, 224, 11, 27
_SCALE = "0 to 100 per cent"  # the title of a column of bars; `_table` adds the marks


def to_html(card: Scorecard) -> str:
    """The whole page as text, to be written in UTF-8."""
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    title = _text(f"{words.identity_text(card)}: {card.verdict.headline}")
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{title}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        _header(card),
        "<main>",
        _gates(card),
        _families(card),
        _languages(card),
        _pool(card),
        _drift(card),
        _failures(card),
        _provenance(card),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(text: str) -> str:
    return escape(words.visible(text), quote=True)


def _header(card: Scorecard) -> str:
    verdict = card.verdict
    head, _, tail = verdict.headline.partition(": ")
    against = f" beside its base <code>{_text(card.base)}</code>" if card.base else ""
    advice = "".join(f"<li>{_text(one)}</li>" for one in verdict.advice)
    links = [("gates", "Gates"), ("families", "Families"), ("names", "Old names")]
    links += [("failures", "Failures")] if card.failures else []
    links.append(("provenance", "Measured with"))
    return "\n".join(
        [
            f'<header class="{"fit" if verdict.fit else "unfit"}">',
            f'<p class="eyebrow">Identity scorecard of {_text(words.identity_text(card))}</p>',
            f"<h1>{_text(head)}</h1>",
            f'<p class="lede">{_text(tail)}</p>' if tail else "",
            f'<p class="what"><code>{_text(card.tuned)}</code>{against}, '
            f"{_text(card.size)} suite</p>",
            f'<div class="advice"><h2>What to change, most important first</h2><ol>{advice}</ol>'
            "</div>"
            if advice
            else "",
            '<nav aria-label="Sections">',
            *(f'<a href="#{anchor}">{label}</a>' for anchor, label in links),
            "</nav>",
            "</header>",
        ]
    )


def _gates(card: Scorecard) -> str:
    if not card.gates:
        return ""
    head = ("state", "gate", "measured", "needed", "p")
    note = "Primary gates are marked; their p values are adjusted by Holm's method."
    return _section("gates", "Gates", _table(head, map(_gate, card.gates), "gates"), note)


def _gate(gate: Gate) -> str:
    state = words.state_of(gate)
    tag = ' <span class="tag">primary</span>' if gate.primary else ""
    p = words.p_text(gate.p_adjusted) if gate.p_adjusted is not None else ""
    return (
        f'<tr role="row" class="{_CLASSES[state]}">'
        f'<td role="cell" class="state"><span aria-hidden="true">{_MARKS[state]}</span> '
        f"{state}</td>"
        f'<th role="rowheader" scope="row">{_text(gate.name)}{tag}</th>'
        f"{_cell(_text(gate.value), 'measured')}{_cell(_text(gate.bound), 'needed', 'bound')}"
        f"{_cell(p, 'p', 'p')}</tr>"
    )


def _families(card: Scorecard) -> str:
    has_base = any(one.base is not None for one in card.families)
    has_itself = any(one.as_itself is not None for one in card.families)
    has_spread = any(one.spread is not None for one in card.families)
    head = ["family", _SCALE, "tuned"]
    head += ["base", "tuned − base, points"] if has_base else []
    head += ["base as itself"] if has_itself else []
    rows = []
    for family, scores in words.families_of(card):
        one = scores[0]
        cells = [_cell(_bar(one), "", "bar"), _cell(_tuned(one), "tuned")]
        if has_base:
            cells += [_cell(_rate(one.base), "base"), _cell(_difference(one), "tuned − base")]
        if has_itself:
            cells.append(_cell(_rate(one.as_itself), "base as itself"))
        rows.append(f'<tr role="row">{_family_head(family, one.language)}{"".join(cells)}</tr>')
    note = (
        "Each share with (passed/n, Wilson 95 % limits), the whiskers; differences with Newcombe's "
        "paired 95 % limits and the p of McNemar's exact test, not adjusted."
    )
    if has_itself:
        note += (
            " Base as itself: the base's answers marked for the name and maker it was made with."
        )
    return _section(
        "families", "Families", _legend(has_base, has_spread) + _table(head, rows), note
    )


def _languages(card: Scorecard) -> str:
    """Families that were asked in several languages, one language a column."""
    found = [
        (family, {one.language: one for one in rows}) for family, rows in words.families_of(card)
    ]
    found = [(family, rows) for family, rows in found if len(rows) > 1]
    columns = list(dict.fromkeys(key for _, rows in found for key in rows if key != "all"))
    if not found:
        return ""
    rows = []
    for family, by_language in found:
        cells = ""
        for column in columns:
            one = by_language.get(column)
            inner = f"{_bar(one)}<div>{_tuned(one)}</div>" if one else ""
            cells += _cell(inner, words.LANGUAGES.get(column, column), "side")
        rows.append(f'<tr role="row">{_family_head(family, "all", short=True)}{cells}</tr>')
    head = ["family", *(words.LANGUAGES.get(column, column) for column in columns)]
    return _section("languages", "Languages side by side", _table(head, rows, "languages"))


def _family_head(family: str, language: str, *, short: bool = False) -> str:
    only = f" ({words.LANGUAGES.get(language, language)} only)" if language != "all" else ""
    meaning = (
        "" if short else f'<span class="meaning">{_text(words.meaning_of(family) + only)}</span>'
    )
    return f'<th role="rowheader" scope="row">{_text(family)}{meaning}</th>'


def _tuned(one: FamilyScore) -> str:
    text = f"<strong>{_rate(one.tuned)}</strong>"
    if one.num_undecided:
        text += f'<span class="aside">{one.num_undecided} undecided, counted as failed</span>'
    return text


def _rate(rate: Rate | None) -> str:
    """The share on one line and its n on the next; read aloud they follow each other."""
    if rate is None:
        return ""
    share, _, counts = str(rate).partition(" (")
    return f'{_text(share)} <span class="counts">({_text(counts)}</span>'


def _difference(one: FamilyScore) -> str:
    pair = one.paired
    if pair is None or not pair.n:
        return ""
    limits = pair.interval()
    return (
        f'{points(pair.difference)} <span class="counts">({points(limits.low)} to '
        f"{points(limits.high)}, n = {pair.n})</span> "
        f'<span class="counts">{words.pair_p_text(pair)}</span>'
    )


def _bar(one: FamilyScore) -> str:
    label = f"tuned {one.tuned}"
    band = ""
    if one.spread is not None and one.tuned.n:
        low, high = one.spread.low, one.spread.high
        label += f", resampled by wording {100 * low:.1f}–{100 * high:.1f}"
        band = (
            f'<line class="band" x1="{_x(low)}" x2="{_x(high)}" y1="{_TUNED_Y}" y2="{_TUNED_Y}"/>'
        )
    if one.base is not None:
        label += f"; base {one.base}"
    lines = "".join(
        f'<line class="grid" x1="{_x(share)}" x2="{_x(share)}" y1="0" y2="38"/>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    dots = _dot(one.tuned, _TUNED_Y, "tuned")
    dots += _dot(one.base, _BASE_Y, "base") if one.base is not None else ""
    return (
        f'<svg class="dots" viewBox="0 0 240 38" role="img" aria-label="{_text(label)}">'
        f"{lines}{band}{dots}</svg>"
    )


def _axis() -> str:
    """What stands above the bars: the marks of the scale."""
    marks = "".join(
        f'<text x="{_x(share)}" y="12" text-anchor="{anchor}">{100 * share:.0f}</text>'
        for share, anchor in ((0, "middle"), (0.5, "middle"), (1, "end"))
    )
    return f'<svg class="dots axis" viewBox="0 0 240 14" aria-hidden="true">{marks}</svg>'


def _dot(rate: Rate, y: int, kind: str) -> str:
    if not rate.n:
        return ""
    limits = rate.interval()
    low, high, x = _x(limits.low), _x(limits.high), _x(rate.share)
    return (
        f'<g class="{kind}"><line class="whisker" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        f'<line class="cap" x1="{low}" x2="{low}" y1="{y - 4}" y2="{y + 4}"/>'
        f'<line class="cap" x1="{high}" x2="{high}" y1="{y - 4}" y2="{y + 4}"/>'
        f'<circle cx="{x}" cy="{y}" r="5"/></g>'
    )


def _x(share: float) -> str:
    return f"{_LEFT + _WIDTH * share:.1f}"


def _legend(has_base: bool, has_spread: bool) -> str:
    kinds = ["tuned", *(["base"] if has_base else [])]
    inner = "".join(
        f'<span><svg viewBox="0 0 34 14" aria-hidden="true"><g class="{kind}">'
        '<line class="whisker" x1="3" x2="31" y1="7" y2="7"/><circle cx="17" cy="7" r="5"/></g>'
        f"</svg>{kind}</span>"
        for kind in kinds
    )
    band = (
        '<span><svg viewBox="0 0 34 14" aria-hidden="true"><line class="band" x1="3" x2="31" '
        'y1="7" y2="7"/></svg>tuned, resampled by wording</span>'
    )
    return f'<p class="legend">{inner}{band if has_spread else ""}</p>'


def _pool(card: Scorecard) -> str:
    return _section(
        "names",
        "Old names and over-claims",
        _pairs(words.pool_rows(card)),
        "A leak is an answer that asserts an old name or maker of itself, in any identity family.",
    )


def _drift(card: Scorecard) -> str:
    if not card.drift:
        return ""
    rows = []
    for one in card.drift:
        first, *rest = words.drift_cells(one)
        cells = "".join(
            _cell(_text(cell), head) for head, cell in zip(words.DRIFT_HEAD[1:], rest, strict=True)
        )
        rows.append(
            f'<tr role="row"><th role="rowheader" scope="row">{_text(first)}</th>{cells}</tr>'
        )
    note = "KL(base ‖ tuned) in nats a token, over the whole vocabulary."
    return _section("drift", "Drift from the base", _table(words.DRIFT_HEAD, rows), note)


def _failures(card: Scorecard) -> str:
    failed, undecided = words.split_failures(card)
    text = ""
    if failed:
        text += _section("failures", f"Failures, word for word ({len(failed)})", _groups(failed))
    if undecided:
        text += _section(
            "failures-undecided" if failed else "failures",
            f"Undecided ({len(undecided)})",
            '<p class="note">No rule could judge these answers. They count as failed; please judge '
            f"them yourself.</p>{_groups(undecided)}",
        )
    return text


def _groups(failures: Sequence[Failure]) -> str:
    opened = " open" if len(failures) <= _OPEN_FAILURES else ""
    return "\n".join(
        f'<details{opened}><summary>{_text(family)} <span class="count">{len(rows)}</span>'
        f'<span class="meaning">{_text(words.meaning_of(family))}</span></summary>\n'
        + "\n".join(map(_failure, rows))
        + "\n</details>"
        for family, rows in words.group_failures(failures)
    )


def _failure(one: Failure) -> str:
    turns = "".join(_turn(role, role, text, one) for role, text in one.conversation)
    if one.prefill:
        turns += _turn("answer", "forced beginning", one.prefill, one)
    base = ""
    if one.base_answer is not None:
        base = _turn("base", words.base_label(one), one.base_answer, one)
    thinking = ""
    if one.thinking:
        thinking = (
            f'<details class="thinking"><summary>thinking before it</summary>'
            f"{_quoted(one.thinking, one)}</details>"
        )
    return (
        f'<article class="failure{" undecided" if one.outcome == "undecided" else ""}">'
        f'<p class="outcome"><strong>{_text(words.outcome_text(one))}</strong> '
        f'<span class="aside">expected: {_text(words.expected_text(one))}</span></p>'
        f"{turns}{thinking}{_turn('answer', 'answer', one.answer or '(empty)', one)}{base}"
        f'<p class="id">{_text(one.id)}{_text(f" · {one.language}" if one.language else "")}</p>'
        "</article>"
    )


def _turn(kind: str, label: str, text: str, one: Failure) -> str:
    return (
        f'<div class="turn {_text(kind)}"><span class="who">{_text(label)}</span>'
        f"{_quoted(text, one)}</div>"
    )


def _quoted(text: str, one: Failure) -> str:
    # The language decides which shapes Chinese characters get.
    language = f' lang="{_text(one.language)}"' if one.language in ("zh", "en") else ""
    return f'<div class="said" dir="auto"{language}>{_text(text)}</div>'


def _provenance(card: Scorecard) -> str:
    notes = "".join(f"<li>{_text(note)}</li>" for note in card.notes)
    inner = _pairs(words.provenance_rows(card)) + (f"<ul>{notes}</ul>" if notes else "")
    return _section("provenance", "Measured with", inner)


def _section(anchor: str, title: str, inner: str, note: str = "") -> str:
    small = f'<p class="note">{_text(note)}</p>' if note else ""
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n'
        f'<h2 id="{anchor}-title">{_text(title)}</h2>\n{inner}\n{small}</section>\n'
    )


def _table(head: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    # Roles are named because narrow screens show rows as blocks, which takes them away.
    cells = "".join(
        f'<th role="columnheader" scope="col">{_text(one)}{_axis() if one == _SCALE else ""}</th>'
        for one in head
    )
    return (
        f'<table role="table" class="{kind}">\n<thead role="rowgroup"><tr role="row">{cells}</tr>'
        '</thead>\n<tbody role="rowgroup">\n' + "\n".join(rows) + "\n</tbody>\n</table>"
    )


def _cell(inner: str, label: str, kind: str = "") -> str:
    """A cell; ``label`` stands before it on narrow screens. ``inner`` is HTML."""
    empty = "" if inner else " empty"
    return (
        f'<td role="cell" class="{kind}{empty}" data-label="{_text(label)}">'
        f"<div>{inner or words.NOTHING}</div></td>"
    )


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    inner = "\n".join(
        f'<tr role="row"><th role="rowheader" scope="row">{_text(label)}</th>'
        f'<td role="cell">{_text(text)}</td></tr>'
        for label, text in rows
    )
    return f'<table role="table" class="pairs"><tbody role="rowgroup">\n{inner}\n</tbody></table>'
