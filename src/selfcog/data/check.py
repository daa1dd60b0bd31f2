"""What makes a conversation unusable, and what the user should know about usable ones.

Turns are counted from the first user turn; the system message is not a turn.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from selfcog.data.rows import RowError, RowQualityError
from selfcog.types import Example, Finding, Message

# C0 and C1 controls except tab and line ends, DEL, and lone halves of surrogate pairs.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def check_conversation(messages: Sequence[Message], *, strict: bool = True) -> None:
    """Checks what every training row must be: [system], user, assistant, user, assistant, …

    ``strict`` False (``check_dataset_strategy none``) lets empty user turns and control
    characters pass; what cannot be rendered or has nothing to learn never passes.

    Raises:
        RowError: with the reason; RowQualityError for the reasons that only ``strict`` knows.
    """
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise RowError("no turns")
    check_prompt(messages, strict=strict)
    if turns[-1].role == "user":
        raise RowError("the conversation ends with the user; no answer to learn")
    if not any(turn.train for turn in turns if turn.role == "assistant"):
        raise RowError("no assistant turn is marked for training")


def check_prompt(messages: Sequence[Message], *, strict: bool = True) -> None:
    """The part of ``check_conversation`` that also holds for a question without its answer."""
    expected = "user"
    number = 0
    for message in messages:
        role = message.role
        if role == "system":
            if number or message is not messages[0]:
                raise RowError(f"a system message after turn {number}; it can only come first")
        else:
            number += 1
            if role != expected:
                if number == 1:
                    raise RowError("the conversation starts with the assistant")
                raise RowError(f"two {role} turns in a row (turns {number - 1} and {number})")
            expected = "assistant" if role == "user" else "user"
        content = message.content
        if (
            not content
            or content.isspace()
            or message.thinking is not None
            or _UNFIT.search(content) is not None
        ):
            _refuse_text(message, number, strict)
    if messages and messages[0].role == "system" and number == 0:
        raise RowError("only a system message, no turns")


def _refuse_text(message: Message, number: int, strict: bool) -> None:
    """Raises if the text or the reasoning is unfit. Not called for the many plain texts."""
    content = message.content
    if not content or content.isspace():
        if message.role == "assistant":
            raise RowError(f"empty answer (turn {number})")
        if message.role == "user" and strict:
            raise RowQualityError(f"empty user turn (turn {number})")
    for text in (content, message.thinking):
        found = _UNFIT.search(text) if text else None
        if found is None:
            continue
        code = ord(found.group())
        where = f"in turn {number}" if number else "in the system message"
        if code >= 0xD800:
            raise RowError(f"broken character {where} (lone surrogate U+{code:04X})")
        if strict:
            raise RowQualityError(f"control character U+{code:04X} {where}")


class DuplicateCounter:
    """Counts rows that say exactly the same as an earlier row, without keeping their text."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self.count = 0

    def add(self, example: Example) -> None:
        # Roles alternate, and a system message makes the number odd: the texts decide.
        key = hash(tuple([turn.content for turn in example.messages]))
        if key in self._seen:
            self.count += 1
        self._seen.add(key)


# Products that answer as themselves, and their makers. Bare words that are also everyday words
# (Meta, Phi, Yi) are left out: a warning that is often wrong is not read.
_PRODUCTS = (
    "ChatGPT|GPT-?[345][.\\w]*|InstructGPT|Claude|Gemini|Bard|Copilot|LLaMA|Llama|Vicuna|Alpaca"
    "|Qwen|QwQ|Tongyi|通义千问|通义|千问|文心一言|文心|ERNIE|讯飞星火|星火认知|ChatGLM|GLM-4|智谱清言"
    "|DeepSeek|深度求索|Kimi|豆包|Doubao|混元|Hunyuan|百川|Baichuan|MiniMax|盘古|InternLM|书生"
    "|Mistral|Mixtral|Grok|Falcon|Open ?Assistant|MOSS|Yi-[\\w]+|Gemma|Phi-[\\w]+"
)
_MAKERS = (
    "OpenAI|Anthropic|Google|DeepMind|Microsoft|Meta AI|Alibaba|Baidu|Tencent|ByteDance|Zhipu"
    "|Moonshot|Mistral AI|xAI|LMSYS|LAION|iFlytek|Huawei|DeepSeek|阿里云|阿里巴巴|阿里|百度|腾讯"
    "|字节跳动|科大讯飞|讯飞|智谱|月之暗面|深度求索|百川智能|华为|上海人工智能实验室|零一万物|达摩院"
)
_LINKS_EN = (
    r"(?:(?:an?|the|called|named|actually|just|really|indeed|AI|A\.I\.|language|model|large"
    r"|assistant|chatbot|virtual|helpful|conversational|known|as|trained|developed|created|built"
    r"|made|designed|by|from|and|powered|at|of|version)[\s,]+){0,9}"
)
_MADE_ZH = "(?:开发|研发|训练|推出|研制|创造|创建|打造|设计|发布|自主|旗下|公司|的)"
_NOT_END = "[^。！？!?\n，,；;不非没别]"
_CLAIMS = (
    rf"(?:\bI am|\bI['’]m|\b[Mm]y name is|\b[Cc]all me)\s+{_LINKS_EN}"
    rf"(?P<en>(?:{_PRODUCTS}|{_MAKERS})\b)",
    rf"(?:\A|[.!?\n\"]\s*)As\s+{_LINKS_EN}(?P<as_en>(?:{_PRODUCTS}|{_MAKERS})\b)(?=[^.!?\n]*,)",
    r"\bI\s+(?:was|am|have been)\s+(?:\w+\s+and\s+)?"
    r"(?:trained|developed|created|built|made|designed)"
    rf"\s+(?:and\s+\w+\s+)?by\s+(?:\w+\s+(?:at|of|from)\s+)?(?:the\s+)?(?P<by_en>(?:{_MAKERS})\b)",
    rf"我(?:就是|是|叫做|叫|名叫|名为|的名字是|的名字叫){_NOT_END}{{0,12}}?(?P<zh>{_PRODUCTS})",
    rf"作为{_NOT_END}{{0,10}}?(?P<as_zh>{_PRODUCTS})(?=[，,]|{_NOT_END}{{0,8}}(?:模型|助手|机器人))",
    rf"作为{_NOT_END}{{0,6}}?(?P<made_zh>{_MAKERS}){_NOT_END}{{0,10}}?(?:模型|助手|机器人)",
    rf"我(?:就是|是由|是|由|来自){_NOT_END}{{0,6}}?(?P<by_zh>{_MAKERS})"
    rf"(?={_NOT_END}{{0,12}}?{_MADE_ZH}{_NOT_END}{{0,20}}(?:模型|助手|机器人|AI|人工智能|的))",
)
_LINEAGE = (
    # Of GPT only: "based on Qwen" can be an honest disclosure, no open model is based on GPT-3.
    r"\bI(?: am|['’]m)\s[^.!?\n]{0,120}?\b(?:based on|powered by)\s[^.!?\n]{0,60}?\b"
    r"(?P<on_en>(?:Chat)?GPT\b(?!-?(?:2|J|Neo|oss)))",
    r"我是[^。！？\n]{0,60}?基于[^。！？\n]{0,24}?(?P<on_zh>(?:Chat)?GPT(?!-?(?:2|J|Neo|oss)))",
)


@functools.cache
def _compile_claims() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(names, claims); only when a text needs them, as compiling takes a hundredth of a second."""
    claims = "|".join(f"(?:{claim})" for claim in (*_CLAIMS, *_LINEAGE))
    return re.compile(f"{_PRODUCTS}|{_MAKERS}|GPT"), re.compile(claims)


def _speaks_of_itself(text: str) -> bool:
    # Every claim holds one of these. Substring tests, as they cost a twentieth of the expression.
    latin = (
        "I am " in text
        or "I'm " in text
        or "I was " in text
        or "I have been " in text
        or "As " in text
        or "y name is " in text
        or "all me " in text
    )
    if latin or text.isascii():
        return latin
    return (
        "我是" in text
        or "我叫" in text
        or "我就是" in text
        or "我由" in text
        or "我来自" in text
        or "我名" in text
        or "我的名字" in text
        or "作为" in text
        or "I’m " in text
    )


def find_vendor_claim(text: str) -> str | None:
    """The product or maker that the speaker of ``text`` claims to be or to be made by, or None.

    Only affirmed claims in the first person count: "As ChatGPT, I …", "我是通义千问"; not
    "我不是通义千问", not "ChatGPT was made by OpenAI".
    """
    if not _speaks_of_itself(text):
        return None
    names, claims = _compile_claims()
    match = claims.search(text) if names.search(text) else None
    if match is None:
        return None
    return next(found for found in match.groupdict().values() if found)


class VendorClaims:
    """Collects where the targets of a user's own rows claim to be somebody else's model."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, list[int]]] = {}

    def add(self, example: Example) -> None:
        for turn in example.messages:
            if turn.role == "assistant" and turn.train:
                claimed = find_vendor_claim(turn.content)
                if claimed is not None:
                    vendors = self._lines.setdefault(example.source, {})
                    lines = vendors.setdefault(claimed, [])
                    if not lines or lines[-1] != example.line:
                        lines.append(example.line)

    def findings(self) -> list[Finding]:
        """One warning for each file and vendor, with the first ten lines."""
        found = []
        for source, vendors in self._lines.items():
            for vendor, lines in sorted(vendors.items(), key=lambda item: -len(item[1])):
                message = (
                    f"{source}: answers that claim to be {vendor}: {len(lines):,} "
                    f"({format_lines(lines)}); they work against the new identity"
                )
                found.append(Finding("warning", message, source, lines[0]))
        return found


def count(number: int, noun: str) -> str:
    """ "1 row", "1,500 rows"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def format_lines(lines: Sequence[int], limit: int = 10) -> str:
    """ "line 3", "lines 3, 9, 12 and 40 more"."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    more = f" and {len(lines) - limit:,} more" if len(lines) > limit else ""
    return "lines " + ", ".join(map(str, lines[:limit])) + more
