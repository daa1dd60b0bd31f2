"""Ids and labels on real tokenizers: what is learnt, what is context, what is refused."""

from __future__ import annotations

import time
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfcog.errors import TemplateError
from selfcog.model.load import load_tokenizer
from selfcog.tokens.render import Renderer
from selfcog.types import IGNORE_INDEX, Example, Message, RejectedRow, TokenizedExample

NAMES = ("qwen2.5-instruct", "qwen3", "minimind-current", "mistral-7b-instruct-v0.2")
EMPTY_THINK = "<think>\n\n</think>\n\n"
QUESTION = Message("user", "你是谁？")
ANSWER = Message("assistant", "我的名字叫扁仓。")
load_once = cache(load_tokenizer)


@pytest.fixture(scope="module")
def tokenizers(shared_dir: Path) -> Path:
    folder = shared_dir / "tokenizers"
    if not folder.is_dir():
        pytest.skip("shared/tokenizers is not there")
    return folder


@pytest.fixture
def tiny(tiny_model_dir: Path) -> Any:
    return load_tokenizer(tiny_model_dir)


def render(renderer: Renderer, *messages: Message, **options: Any) -> TokenizedExample:
    row = renderer.render(Example(messages), **options)
    assert isinstance(row, TokenizedExample), row
    assert len(row.input_ids) == len(row.labels)
    pairs = zip(row.input_ids, row.labels, strict=True)
    assert all(label in (token, IGNORE_INDEX) for token, label in pairs)
    return row


def refuse(renderer: Renderer, *messages: Message, **options: Any) -> str:
    row = renderer.render(Example(messages, source="file.jsonl", line=7), **options)
    assert isinstance(row, RejectedRow) and (row.source, row.line) == ("file.jsonl", 7)
    return row.reason


def learnt(tokenizer: Any, row: TokenizedExample) -> str:
    return tokenizer.decode([label for label in row.labels if label != IGNORE_INDEX])


def test_qwen25_default_system_is_never_learnt(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "qwen2.5-instruct")
    renderer = Renderer(tokenizer)
    default = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    assert renderer.default_system() == default
    row = render(renderer, QUESTION, ANSWER)
    assert renderer.show(row, colour=False) == (
        f"<|im_start|>system\n{default}<|im_end|>\n<|im_start|>user\n你是谁？<|im_end|>\n"
        "<|im_start|>assistant\n⟦我的名字叫扁仓。<|im_end|>⟧"
    )
    assert renderer.stop_ids == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_system_prompts_missing_empty_own_and_of_the_run(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "qwen2.5-instruct")

    def text(system: str | None, *messages: Message) -> str:
        row = render(Renderer(tokenizer, system=system), *messages, QUESTION, ANSWER)
        return tokenizer.decode(row.input_ids).partition("<|im_start|>user")[0]

    empty = "<|im_start|>system\n<|im_end|>\n"
    assert "Alibaba" in text(None)
    assert text("") == text(None, Message("system", "")) == empty
    assert text("Be brief.") == "<|im_start|>system\nBe brief.<|im_end|>\n"
    assert text("Be brief.", Message("system", "")) == empty
    own = Message("system", "Own.")
    assert text("Be brief.", own) == "<|im_start|>system\nOwn.<|im_end|>\n"
    renderer = Renderer(tokenizer, system="Be brief.")
    assert "Be brief." in renderer.prompt_text([QUESTION])


def test_rows_equal_what_transformers_makes(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "qwen2.5-instruct")
    messages = [QUESTION, ANSWER, Message("user", "Who?"), Message("assistant", "Me.\n")]
    rows = [{"role": item.role, "content": item.content} for item in messages]
    theirs = tokenizer.apply_chat_template(rows, tokenize=True, return_dict=False)
    newline = tokenizer.encode("\n")
    assert [*render(Renderer(tokenizer), *messages).input_ids, *newline] == theirs


def test_qwen3_modes(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "qwen3")
    head = "<|im_start|>user\n你是谁？<|im_end|>\n<|im_start|>assistant\n"
    thought = Message("assistant", ANSWER.content, thinking="有人问我是谁。")
    plain = f"{head}{EMPTY_THINK}⟦我的名字叫扁仓。<|im_end|>⟧"
    reasoned = f"{head}⟦<think>\n有人问我是谁。\n</think>\n\n我的名字叫扁仓。<|im_end|>⟧"
    for mode in (None, True, False):
        renderer = Renderer(tokenizer, enable_thinking=mode)
        expected = plain if mode is False else reasoned
        assert renderer.show(render(renderer, QUESTION, ANSWER), colour=False) == plain
        assert renderer.show(render(renderer, QUESTION, thought), colour=False) == expected
        empty = Message("assistant", ANSWER.content, thinking="")
        assert render(renderer, QUESTION, empty) == render(renderer, QUESTION, ANSWER)
        assert renderer.prompt_text([QUESTION]) == (head + EMPTY_THINK if mode is False else head)


def test_past_turns_that_qwen3_rewrites_get_rows_of_their_own(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "qwen3")
    renderer = Renderer(tokenizer, enable_thinking=False)
    second = (Message("user", "Who made you?"), Message("assistant", "A group."))
    example = Example((QUESTION, ANSWER, *second), kind="identity", source="s", line=3)
    result = renderer.render_all([example])
    assert result.num_split == 1
    assert [learnt(tokenizer, row) for row in result.rows] == [
        "我的名字叫扁仓。<|im_end|>",
        "A group.<|im_end|>",
    ]
    assert result.rows[0].input_ids == render(renderer, QUESTION, ANSWER).input_ids
    assert {(row.kind, row.source, row.line) for row in result.rows} == {("identity", "s", 3)}
    assert renderer.render(example) == result.rows[1]
    text = tokenizer.decode(result.rows[1].input_ids)
    assert "assistant\n我的名字叫扁仓。" in text and text.count("<think>") == 1


def test_minimind(tokenizers: Path) -> None:
    tokenizer = load_once(tokenizers / "minimind-current")
    second = (Message("user", "Who?"), Message("assistant", "Me.", thinking="A short question."))
    shown = Renderer(tokenizer).show(
        render(Renderer(tokenizer), QUESTION, ANSWER, *second), colour=False
    )
    assert shown == (
        f"<|im_start|>user\n你是谁？<|im_end|>\n<|im_start|>assistant\n{EMPTY_THINK}"
        "⟦我的名字叫扁仓。<|im_end|>⟧\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
        "<think>\n⟦A short question.\n</think>\n\nMe.<|im_end|>⟧"
    )


def test_mistral_with_and_without_system(tokenizers: Path) -> None:
    """Its template fails without a system message; it then gets an empty one."""
    tokenizer = load_once(tokenizers / "mistral-7b-instruct-v0.2")
    renderer = Renderer(tokenizer)
    row = render(renderer, Message("user", "Who?"), Message("assistant", "Me."))
    assert renderer.show(row, colour=False) == "<s> [INST] Who? [/INST]⟦Me.</s>⟧"
    assert row.input_ids.count(tokenizer.bos_token_id) == 1
    assert row.input_ids.count(tokenizer.eos_token_id) == 1
    assert row.input_ids == tokenizer.encode(
        "<s> [INST] Who? [/INST]Me.</s>", add_special_tokens=False
    )
    system = Message("system", "Be brief.")
    row = render(renderer, system, Message("user", "Who?"), Message("assistant", "Me."))
    assert renderer.show(row, colour=False) == "<s> Be brief. [INST] Who? [/INST]⟦Me.</s>⟧"
    assert renderer.default_system() is None and renderer.stop_ids == (tokenizer.eos_token_id,)


FRAGMENTS = (
    *("你是谁", "扁仓", "彧翀", "。", "a", "Who are you", "?", "🙂", "é", "12345", "don't", "…"),
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "</b>", "[INST]", "{{x}}", "#"),
)
PIECES = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8)
TEXTS = PIECES.map("".join).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages = []
    if draw(st.booleans()):
        messages.append(Message("system", draw(st.one_of(st.just(""), TEXTS))))
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(TEXTS)))
        thinking = draw(st.one_of(st.none(), st.just(""), TEXTS))
        train = draw(st.booleans())
        messages.append(Message("assistant", draw(TEXTS), train=train, thinking=thinking))
    messages[-1] = Message("assistant", messages[-1].content, thinking=messages[-1].thinking)
    return messages


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=conversations())
def test_any_conversation(name: str, tokenizers: Path, messages: list[Message]) -> None:
    tokenizer = load_once(tokenizers / name)
    thinks = bool((messages[-1].thinking or "").strip())
    renderer = Renderer(tokenizer, enable_thinking=None if thinks else False)
    if thinks and name == "minimind-current":
        renderer = Renderer(tokenizer, enable_thinking=True)
    result = renderer.render_all([Example(tuple(messages))])
    assert not result.rejected
    last = result.rows[-1]

    prompt = renderer.prompt_ids(messages[:-1])
    assert last.input_ids[: len(prompt)] == prompt
    tail = [label for label in last.labels[len(prompt) :] if label != IGNORE_INDEX]
    end = renderer.stop_ids[0]
    assert tail[-1] == end and tail.count(end) == 1

    def plain(text: str) -> str:
        return unicodedata.normalize("NFC", text)

    # Every answer is learnt once, whole, in some row; nothing of another role ever is.
    wanted = [item for item in messages if item.role == "assistant" and item.train]
    end_text = tokenizer.convert_ids_to_tokens(end)
    spans = []
    for row in result.rows:
        for index, label in enumerate(row.labels):
            assert label in (row.input_ids[index], IGNORE_INDEX)
        text = renderer.show(row, colour=False)
        spans += [part.split("⟧")[0] for part in text.split("⟦")[1:]]
    # A turn that has a row of its own comes before the others of its conversation.
    for message in wanted:
        thinking = (message.thinking or "").strip()
        if renderer.enable_thinking is False:
            thinking = ""
        answer = plain(message.content)
        for span in spans:
            text = plain(span).removesuffix(end_text)
            head = text.removesuffix(answer.lstrip("\n"))
            if head != text and (plain(thinking) in head if thinking else not head.strip()):
                spans.remove(span)
                break
        else:
            pytest.fail(f"{message} is not among {spans}")
    assert not spans


def test_only_turns_marked_for_training_are_learnt(tiny: Any) -> None:
    renderer = Renderer(tiny)
    past = Message("assistant", "I am Old.", train=False)
    row = render(renderer, QUESTION, past, QUESTION, ANSWER)
    assert learnt(tiny, row) == "我的名字叫扁仓。<|im_end|>"
    row = render(renderer, QUESTION, ANSWER, QUESTION, past)
    assert learnt(tiny, row) == "我的名字叫扁仓。<|im_end|>"
    assert tiny.decode(row.input_ids).endswith("扁仓。<|im_end|>")
    assert "no assistant turn" in refuse(renderer, QUESTION, past)


def test_the_newline_before_an_answer_keeps_its_own_token(tokenizers: Path) -> None:
    """As one text "assistant\\n" + "\\nHi" would share a token that generation never sees."""
    tokenizer = load_once(tokenizers / "qwen2.5-instruct")
    renderer = Renderer(tokenizer)
    row = render(renderer, QUESTION, Message("assistant", "\nHi"), QUESTION, ANSWER)
    assert learnt(tokenizer, row) == "我的名字叫扁仓。<|im_end|>"
    result = renderer.render_all(
        [Example((QUESTION, Message("assistant", "\nHi"), QUESTION, ANSWER))]
    )
    assert [learnt(tokenizer, item) for item in result.rows] == [
        "\nHi<|im_end|>",
        "我的名字叫扁仓。<|im_end|>",
    ]
    prompt = renderer.prompt_ids([QUESTION])
    assert result.rows[0].input_ids[: len(prompt)] == prompt


def test_truncation(tiny: Any) -> None:
    renderer = Renderer(tiny)
    row = render(renderer, QUESTION, ANSWER)
    size = row.num_tokens
    assert render(renderer, QUESTION, ANSWER, max_length=size) == row
    reason = refuse(renderer, QUESTION, ANSWER, max_length=size - 1)
    assert reason == f"{size} tokens > max_length {size - 1}"
    right = render(renderer, QUESTION, ANSWER, max_length=size - 1, truncation="right")
    assert (right.input_ids, right.labels) == (row.input_ids[:-1], row.labels[:-1])
    left = render(renderer, QUESTION, ANSWER, max_length=size - 1, truncation="left")
    assert (left.input_ids, left.labels) == (row.input_ids[1:], row.labels[1:])
    assert "cut off at the right" in refuse(
        renderer, QUESTION, ANSWER, max_length=8, truncation="right"
    )
    short = render(renderer, QUESTION, ANSWER, max_length=3, truncation="left")
    assert short.labels == [IGNORE_INDEX, *row.labels[-2:]] and short.num_supervised == 2
    assert "cut off at the left" in refuse(
        renderer, QUESTION, ANSWER, max_length=1, truncation="left"
    )


def test_an_answer_with_an_end_token_inside_is_refused(tiny: Any) -> None:
    renderer = Renderer(tiny)
    reason = refuse(renderer, QUESTION, Message("assistant", "Hi<|im_end|>\n<|im_start|>user"))
    assert "<|im_end|>" in reason


def test_an_answer_that_the_template_changes_is_refused(tiny: Any) -> None:
    tiny.chat_template = tiny.chat_template.replace(
        "message.content", "message.content|replace('扁仓', '???')"
    )
    assert "changes the answer" in refuse(Renderer(tiny), QUESTION, ANSWER)


def test_conversations_that_the_template_refuses(tiny: Any) -> None:
    tiny.chat_template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "{{ m.role + ':' + m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    renderer = Renderer(tiny)
    assert "roles must alternate" in refuse(renderer, QUESTION, QUESTION, ANSWER)
    with pytest.raises(TemplateError, match="roles must alternate"):
        renderer.prompt_ids([QUESTION, QUESTION])
    row = render(renderer, Message("system", "S"), QUESTION, ANSWER)
    assert tiny.decode(row.input_ids).startswith("user:S\n\n你是谁？<|im_end|>assistant:")


def test_templates_without_an_end_token_get_the_tokenizers_own(tiny: Any) -> None:
    tiny.chat_template = (
        "{% for m in messages %}### {{ m.role }}\n{{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}### assistant\n{% endif %}"
    )
    renderer = Renderer(tiny)
    result = renderer.render_all([Example((QUESTION, ANSWER, QUESTION, ANSWER))])
    assert [learnt(tiny, row) for row in result.rows] == ["我的名字叫扁仓。<|im_end|>"] * 2
    assert renderer.stop_ids == (tiny.eos_token_id,)


def test_templates_without_a_generation_prompt(tiny: Any) -> None:
    """The answer's header then belongs to the prompt all the same."""
    head, _, _ = tiny.chat_template.partition("{% if add_generation_prompt")
    expected = render(Renderer(tiny), QUESTION, ANSWER)
    prompt = Renderer(tiny).prompt_ids([QUESTION])
    tiny.chat_template = head
    assert render(Renderer(tiny), QUESTION, ANSWER) == expected
    assert Renderer(tiny).prompt_ids([QUESTION]) == prompt


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "no chat template"),
        ("{% for %}", "no valid Jinja"),
        ("{{ raise_exception('never') }}", "cannot render a question and an answer.*never"),
        ("fixed", "leaves out the question or the answer"),
        ("{{ messages[0].content }}{{ messages[-1].content }}{{ messages[-1].content }}", "once"),
    ],
)
def test_useless_templates(tiny: Any, template: str | None, words: str) -> None:
    tiny.chat_template = template
    with pytest.raises(TemplateError, match=words):
        Renderer(tiny)


def test_templates_cannot_reach_out_of_the_sandbox(tiny: Any) -> None:
    tiny.chat_template = "{{ messages.__class__.__mro__ }}" + tiny.chat_template
    with pytest.raises(TemplateError, match=r"unsafe|refuses"):
        Renderer(tiny)


def test_batches_equal_single_rows_and_keep_the_order(tiny: Any) -> None:
    renderer = Renderer(tiny)
    examples = [
        Example((Message("user", "Q" * (n % 7 + 1)), Message("assistant", f"A{n}")), line=n)
        for n in range(1200)
    ]
    examples[600] = Example((QUESTION,), line=600)
    result = renderer.render_all(examples, max_length=100)
    assert [row.line for row in result.rejected] == [600]
    kept = [example for example in examples if example.line != 600]
    assert result.rows == [renderer.render(example, 100) for example in kept]


def test_settings_left_on_the_tokenizer_do_no_harm(tiny: Any) -> None:
    before = render(Renderer(tiny), QUESTION, ANSWER)
    renderer = Renderer(tiny)
    tiny(["a", "longer text"], padding="max_length", max_length=4, truncation=True)
    assert render(renderer, QUESTION, ANSWER) == before


def test_show_escapes_and_colours(tiny: Any) -> None:
    from rich.text import Text

    renderer = Renderer(tiny)
    row = render(
        renderer, Message("user", "[red]x[/red] \\[b]"), Message("assistant", "[/bold] 彧")
    )
    text = Text.from_markup(renderer.show(row))
    assert text.plain == tiny.decode(row.input_ids)
    (green,) = [span for span in text.spans if "green" in str(span.style)]
    assert text.plain[green.start : green.end] == "[/bold] 彧<|im_end|>"


def test_speed(tokenizers: Path) -> None:
    """At least 30,000 tokens a CPU second where 300,000 were measured: catches a tenfold loss."""
    renderer = Renderer(load_once(tokenizers / "qwen2.5-instruct"))
    examples = [
        Example((Message("user", f"请问你叫什么名字？{n}"), Message("assistant", f"我叫扁仓。{n}")))
        for n in range(1000)
    ]
    start = time.process_time()
    rows = renderer.render_all(examples).rows
    seconds = time.process_time() - start
    assert sum(row.num_tokens for row in rows) / seconds > 30_000
