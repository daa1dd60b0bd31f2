"""The views of a scorecard: every text literally and escaped, every percentage with its n."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from selfcog.console import make_console
from selfcog.evaluate.gates import Measured, give_verdict, judge_gates
from selfcog.evaluate.likelihood import Drift
from selfcog.evaluate.page import to_html
from selfcog.evaluate.report import MARKDOWN_FAILURES, quote, show_scorecard, to_markdown
from selfcog.evaluate.scorecard import Failure, FamilyScore, Pool, Scorecard
from selfcog.evaluate.stats import Interval, PairedRates, Rate
from selfcog.evaluate.wording import families_of, pick_failures, visible

NASTY = (
    '<script src="http://evil.example/x.js">alert("我")</script> [red]markup[/] a|b `c` *d* \'e\' '
    "通义千问 🐼 [/bold] &amp; $x$ \\n"
)
ESCAPE = "red \x1b[31m alarm \x07 turned \u202e around"
ROWS = "first | line\nsecond line\n\n| third |"
ADDRESS = "see http://evil.example or www.evil.example, @someone"


def paired(
    family: str, language: str, base: int, tuned: int, n: int, **more: object
) -> FamilyScore:
    both = min(base, tuned)
    pair = PairedRates(both, base - both, tuned - both, n - base - tuned + both)
    spread = Interval(max(0.0, tuned / n - 0.1), tuned / n)
    score = FamilyScore(family, language, Rate(tuned, n), Rate(base, n), pair, spread=spread)
    return replace(score, **more)  # type: ignore[arg-type]


def failure(id: str, outcome: str, answer: str, family: str = "generalisation") -> Failure:
    turns = (("system", "You help."), ("user", NASTY), ("assistant", "Yes."), ("user", ROWS))
    return Failure(
        id, family, "zh", turns, answer, outcome, "both", base_answer=ADDRESS,
        thinking="hm <b>thinking</b>",
    )  # fmt: skip


def make_card(*, base: str | None = "models/Qwen | 3", num_more: int = 0) -> Scorecard:
    families = (
        paired("locality", "all", 30, 27, 30),
        paired("generalisation", "all", 2, 43, 48, as_itself=Rate(46, 48), num_undecided=2),
        paired("generalisation", "en", 1, 24, 24),
        paired("generalisation", "zh", 1, 19, 24),
        paired("reverse", "all", 0, 3, 4),
        paired("reverse", "zh", 0, 3, 4),
    )
    if base is None:
        families = tuple(replace(f, base=None, paired=None, as_itself=None) for f in families)
    pool = Pool(Rate(3, 52), 0.142, 5, 0.7, 0.87, 4, 50, Rate(1, 52), {"通义<千问>": 5, "Qwen": 2})
    drift = (Drift("the base's own answers", 20, 1234, 0.0712, 0.91, 0.968, 1.042),)
    found = Measured(
        {one.family: one for one in families if one.language == "all"},
        {(one.family, one.language): one for one in families if one.language != "all"},
        pool,
        Rate(1, 30),
        drift,
        True,
        0,
    )
    gates = judge_gates(found)
    more = [failure(f"zh.more.{i}", "miss", f"answer {i}", "reverse") for i in range(num_more)]
    return Scorecard(
        name={"zh": "小狐|<i>", "en": "Vixen"},
        author={"zh": "明月实验室", "en": "Moonlab [x]"},
        tuned="output/[v1]/checkpoint-100",
        base=base,
        size="full",
        families=families,
        pool=pool,
        overclaims=Rate(1, 30),
        drift=drift,
        gates=gates,
        verdict=give_verdict(gates),
        failures=(
            failure("zh.1", "miss", NASTY),
            failure("zh.2", "leak", ESCAPE),
            failure("zh.3", "undecided", "我是小狐 " + ROWS),
            *more,
        ),
        old_names={"zh": "通义千问", "en": "Qwen"},
        notes=("left out: <3> | choices",),
        provenance={
            "suite_hash": "0123456789abcdef",
            "seed": 7,
            "left_out": [],
            "versions": {"selfcog": "0.1", "torch": "2.13.0"},
        },
    )


def terminal(card: Scorecard, width: int = 160, *, max_failures: int = 10) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, soft_wrap=True)
    show_scorecard(console, card, max_failures=max_failures)
    return file.getvalue()


class Reader(HTMLParser):
    """The texts, elements and addresses of a page; fails on tags that do not close in order."""

    VOID = ("meta", "link", "img", "br", "line", "circle")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.blocks: list[str] = []
        self.feed(page)
        assert self.open == []
        self.blocks = [block.strip() for block in self.blocks]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in ("td", "th", "p", "li", "h1", "h2", "summary", "div"):
            self.blocks.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if self.blocks:
            self.blocks[-1] += data

    @property
    def text(self) -> str:
        return "".join(self.texts)


def without_thresholds(text: str) -> str:
    """Bounds of gates and confidence levels are per cents of nothing that was counted."""
    text = re.sub(r"(95|100|0 to 100) %", "", re.sub(r"95 % (upper )?limits?", "", text))
    return text


def has_bare_percentage(block: str) -> bool:
    counted = re.search(r"\(\d+/\d+, |n [=≤] \d+", block)
    return "%" in without_thresholds(block) and not counted


def test_a_card_survives_json() -> None:
    for card in (make_card(), make_card(base=None)):
        assert Scorecard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        Scorecard.from_json({**make_card().to_json(), "format": 2})


@pytest.mark.parametrize("base", ["models/Qwen | 3", None])
def test_no_percentage_stands_without_its_n(base: str | None) -> None:
    card = make_card(base=base)
    bounds = [gate.bound for gate in card.gates]
    quoted = {block.strip() for bound in bounds for block in (bound, quote(bound))}
    cells = [
        cell
        for line in to_markdown(card).splitlines()
        for cell in (line.strip("| ").split(" | ") if line.startswith("|") else [line])
        if cell.strip() not in quoted
    ]
    assert [cell for cell in cells if has_bare_percentage(cell)] == []
    assert sum("%" in cell for cell in cells) > 10

    blocks = [block for block in Reader(to_html(card)).blocks if block.strip() not in quoted]
    assert [block for block in blocks if has_bare_percentage(block)] == []
    assert sum("%" in block for block in blocks) > 10

    lines = terminal(card, 400).splitlines()
    shown = [line for line in lines if not any(bound in line for bound in bounds)]
    # In the table the counts stand below the share.
    pairs = [f"{one} {two}" for one, two in zip(shown, [*shown[1:], ""], strict=True)]
    assert [pair for one, pair in zip(shown, pairs, strict=True) if "%" in one
            and has_bare_percentage(pair)] == []  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 160, 400])
def test_the_terminal_shows_texts_literally(width: int) -> None:
    text = terminal(make_card(), width)
    squeezed = re.sub(r"\s+", "", text)
    for wanted in (NASTY, ROWS, ADDRESS, "output/[v1]/checkpoint-100", "Moonlab [x]"):
        assert re.sub(r"\s+", "", wanted) in squeezed
    # Nothing that a terminal would obey.
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert r"red\x1b[31malarm\x07turned\u202earound" in squeezed
    assert all(len(line) <= width for line in text.splitlines())


def test_the_terminal_of_the_commands_is_used_as_it_is() -> None:
    console = make_console()
    with console.capture() as capture:
        show_scorecard(console, make_card())
    assert "not fit yet" in capture.get()


def test_the_verdict_comes_first_and_failing_gates_are_named() -> None:
    card = make_card()
    assert not card.verdict.fit
    failing = [gate for gate in card.gates if gate.passed is False]
    assert failing
    on_terminal, block, page = terminal(card, 400), to_markdown(card), Reader(to_html(card))
    assert on_terminal.startswith(card.verdict.headline)
    assert block.splitlines()[2] == f"**{card.verdict.headline}**"
    assert card.verdict.headline.partition(": ")[2] in page.blocks
    for gate in failing:
        assert re.search(rf"^FAIL +{re.escape(gate.name)}", on_terminal, re.MULTILINE)
        assert f"| FAIL | {quote(gate.name)}" in block
        assert any(one.startswith(gate.name) for one in page.blocks)
        assert gate.value in page.blocks and gate.bound in page.blocks
    states = [one.strip("✓✗– ") for one in page.blocks]
    assert states.count("FAIL") == len(failing)
    for advice in card.verdict.advice:
        assert advice in on_terminal and quote(advice) in block and advice in page.text


def test_gates_that_were_not_measured_are_not_called_passed() -> None:
    card = make_card(base=None)
    unknown = [gate.name for gate in card.gates if gate.passed is None]
    assert unknown == ["kept: locality"]
    assert re.search(r"^not measured +kept: locality", terminal(card, 400), re.MULTILINE)
    assert "| not measured | kept: locality" in to_markdown(card)
    assert "not measured" in Reader(to_html(card)).text


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = to_html(make_card())
    reader = Reader(page)
    assert "default-src 'none'" in page
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(
        reader.tags
    )
    for name, value in reader.attributes:
        assert not name.startswith("on") and name != "style"
        if name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert value.startswith("#")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style and "//" not in style


def test_the_page_shows_texts_literally() -> None:
    page = to_html(make_card())
    reader = Reader(page)
    for wanted in (
        NASTY,
        ROWS,
        ADDRESS,
        visible(ESCAPE),
        "通义<千问> × 5",
        "left out: <3> | choices",
    ):
        assert any(wanted in text for text in reader.texts), wanted
    assert "<script" not in page and "<i>" not in page and "\x1b" not in page


def test_links_of_the_page_have_targets_and_ids_are_unique() -> None:
    for card in (make_card(), replace(make_card(), failures=()), make_card(base=None)):
        attributes = Reader(to_html(card)).attributes
        ids = [value for name, value in attributes if name == "id"]
        assert len(ids) == len(set(ids))
        wanted = {value.lstrip("#") for name, value in attributes if name == "href"}
        wanted |= {value for name, value in attributes if name == "aria-labelledby"}
        assert wanted <= set(ids)


def test_every_bar_says_its_numbers() -> None:
    card = make_card()
    labels = [value for name, value in Reader(to_html(card)).attributes if name == "aria-label"]
    for one in card.families:
        found = [label for label in labels if label.startswith(f"tuned {one.tuned}, resampled")]
        assert any(label.endswith(f"; base {one.base}") for label in found)


def test_undecided_answers_stand_apart() -> None:
    card = make_card()
    page = to_html(card)
    failed, undecided = page.index('id="failures"'), page.index('id="failures-undecided"')
    assert failed < page.index("zh.2") < undecided < page.index("zh.3")
    text = terminal(card)
    assert (
        text.index("word for word (2 of 2)")
        < text.index("undecided: please")
        < text.index("我是小狐 ")
    )
    block = to_markdown(card)
    assert "### Failures, word for word (2 of 2)" in block
    assert "### Undecided by rule, counted as failed (1 of 1)" in block


def test_how_many_failures_are_left_out_is_said() -> None:
    card = make_card(num_more=30)
    assert "word for word (4 of 32)" in terminal(card, max_failures=4)
    assert f"word for word ({MARKDOWN_FAILURES} of 32)" in to_markdown(card)
    assert to_html(card).count('<article class="failure') == 33
    picked = pick_failures(card.failures, 3)
    assert [one.id for one in picked] == ["zh.2", "zh.1", "zh.more.0"]


def test_tables_of_markdown_keep_their_columns() -> None:
    width = None
    for line in to_markdown(make_card()).splitlines():
        if not line.startswith("|"):
            width = None
            continue
        bars = len(re.findall(r"(?<!\\)\|", line))
        width = width or bars
        assert bars == width, line
    block = to_markdown(make_card())
    assert "<script" not in block and "\x1b" not in block and "://" not in block
    # What a reader of the rendered card sees is the text itself.
    for wanted in (NASTY, ROWS, ADDRESS):
        raw = re.sub(r"\\([\\`*_\[\]{}|~$#!])", r"\1", quote(wanted).replace("<br>", "\n"))
        assert html.unescape(raw) == wanted
    assert quote(NASTY) in block and quote(ROWS) in block


def test_long_answers_are_cut_in_markdown_only_and_say_so() -> None:
    long = "很" * 900
    card = replace(make_card(), failures=(failure("zh.9", "miss", long),))
    assert "很" * 400 + "… (500 more characters)" in to_markdown(card)
    assert long in to_html(card)
    assert terminal(card).count("很") == 900


def test_families_keep_their_order_and_say_no_row_twice() -> None:
    shown = [(family, [one.language for one in rows]) for family, rows in families_of(make_card())]
    assert shown == [
        ("generalisation", ["all", "zh", "en"]),
        ("reverse", ["zh"]),
        ("locality", ["all"]),
    ]


def test_an_empty_card_can_be_shown() -> None:
    empty = Scorecard({}, {}, "m", None, "dev", (), Pool(Rate(0, 0), 1.0, 1, 0.0), Rate(0, 0))
    assert "– (0/0)" in terminal(empty)
    assert "– (0/0)" in to_markdown(empty)
    assert "– (0/0)" in Reader(to_html(empty)).text
