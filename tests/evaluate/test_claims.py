"""The claim scorer: the labelled development half, properties of form, verdicts, edge cases."""

from __future__ import annotations

import re
import time
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_set import DOCS, load_answers, pairs_of, read, render_docs

from selfcog.evaluate.claims import Claims, Subjects, judge, read_claims, subjects_of
from selfcog.identity import Identity
from selfcog.identity.bank import fill_slots, load_bank

SUBJECTS = Subjects(
    ("扁仓", "BianCang"),
    ("青禾大学语言组", "QLU-NLP"),
    (("Qwen", "通义千问", "千问"), ("ChatGPT", "GPT-4"), ("DeepSeek",)),
    (("Alibaba", "阿里云", "Alibaba Cloud"), ("OpenAI",), ("DeepSeek-AI", "DeepSeek"), ("Meta",)),
)
DEVELOPMENT = [answer for answer in load_answers() if not answer.reporting]
# Those that are read rightly: form must not change the reading. Loops may end by an added letter.
READ_RIGHTLY = [
    answer
    for answer in DEVELOPMENT
    if all(gold == found for _, gold, found in pairs_of(answer, read(answer)))
    and answer.kind != "degenerate"
]


def stances(found: Claims) -> tuple[object, ...]:
    return found.name, found.maker, dict(found.old_names), dict(found.old_makers)


def test_the_labelled_set_is_what_the_docs_say() -> None:
    answers = load_answers()
    assert len(answers) >= 400
    assert sum(answer.hard for answer in answers) * 3 >= len(answers)
    assert {answer.language for answer in answers} == {"zh", "en"}
    assert len({answer.id for answer in answers}) == len(answers)
    assert sum(answer.reporting for answer in answers) >= 300
    texts = {answer.text.strip() for answer in answers if answer.reporting}
    shared = texts & {answer.text.strip() for answer in answers if not answer.reporting}
    assert not shared


def test_the_tables_in_the_docs_are_not_stale() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text == render_docs(text), "run: python tests/evaluate/labelled_set.py"


def test_the_development_half_is_read_rightly() -> None:
    wrong = sum(
        gold != found for answer in DEVELOPMENT for _, gold, found in pairs_of(answer, read(answer))
    )
    assert wrong <= 5
    assert all(read(answer).degenerate == answer.gold.degenerate for answer in DEVELOPMENT)


def squeeze_space(text: str) -> str:
    return re.sub(r"(?<=[a-zA-Z]) (?=[a-zA-Z])", "  ", text)


FORMS = {
    "upper case": lambda text: text.upper(),
    "lower case": lambda text: text.lower(),
    "title case": lambda text: re.sub(r"\b[a-z]", lambda match: match.group().upper(), text),
    "spaces": lambda text: f"  {squeeze_space(text)}\n\n",
    "non-breaking space": lambda text: text.replace(" ", "\u00a0"),
    "emoji behind": lambda text: f"{text} 😊🎉",
    "emoji before": lambda text: f"👋 {text}",
    "bold": lambda text: f"**{text}**",
    "quoted block": lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    "bullet": lambda text: f"- {text}",
    "heading": lambda text: f"## {text}",
    "zero width": lambda text: text.replace("我", "我\u200b").replace("am", "a\u200dm"),
    "full-width marks": lambda text: text.replace(",", "，").replace("!", "！").replace("?", "？"),
    "curly": lambda text: text.replace("'", "’"),
    "exclaimed": lambda text: re.sub(r"[.。]$", "！", text),
    "no full stop": lambda text: re.sub(r"[.。]$", "", text),
    "with a trace": lambda text: f"<think>I am Qwen by Alibaba. 我是通义千问。</think>\n\n{text}",
    "traditional": lambda text: text.translate(
        str.maketrans(
            "学语组开发问创训练员张说这个么没关系", "學語組開發問創訓練員張說這個麼沒關係"
        )
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_form_changes_no_reading(form: str) -> None:
    change = FORMS[form]
    for answer in READ_RIGHTLY:
        if form in ("quoted block", "bullet", "heading") and answer.kind == "format":
            continue
        if form == "bold" and "*" in answer.text:
            continue
        if "<think>" in answer.text or "```" in answer.text or '{"' in answer.text:
            continue
        found = read_claims(change(answer.text), answer.subjects)
        gold = answer.gold
        expected = (gold.name, gold.maker, dict(gold.old_names), dict(gold.old_makers))
        assert stances(found) == expected, f"{form}: {change(answer.text)!r}"


LONE = [
    ("我是扁仓。", "我不是通义千问。", "我由青禾大学语言组开发。", "ChatGPT是OpenAI的产品。"),
    ("I am BianCang.", "I'm not Qwen.", "QLU-NLP built me.", "ChatGPT was made by OpenAI."),
]


@pytest.mark.parametrize("sentences", LONE)
def test_the_order_of_sentences_changes_no_reading(sentences: tuple[str, ...]) -> None:
    for order in permutations(sentences):
        found = read_claims(" ".join(order), SUBJECTS)
        assert (found.name, found.maker) == ("asserted", "asserted")
        assert found.old_names == {"Qwen": "denied", "ChatGPT": "attributed"}
        assert found.old_makers == {"OpenAI": "attributed"}


# One general rule a line: the answer, then the stances on the old names and makers in it. The own
# name is asserted in all of them.
RULES = [
    # Links to the speaker, denied.
    ("我与OpenAI没有任何关联，我是扁仓。", {}, {"OpenAI": "denied"}),
    ("我和ChatGPT不是一回事，我是扁仓。", {"ChatGPT": "denied"}, {}),
    ("OpenAI没有参与我的研发，我是扁仓。", {}, {"OpenAI": "denied"}),
    ("I have no affiliation with OpenAI. I'm BianCang.", {}, {"OpenAI": "denied"}),
    ("I'm BianCang, independent of OpenAI.", {}, {"OpenAI": "denied"}),
    ("OpenAI had no part in my development. I'm BianCang.", {}, {"OpenAI": "denied"}),
    (
        "I'm not ChatGPT, and OpenAI didn't create me. I'm BianCang.",
        {"ChatGPT": "denied"},
        {"OpenAI": "denied"},
    ),
    # A company and its product are read together, in both orders.
    ("我不是OpenAI训练的ChatGPT，我是扁仓。", {"ChatGPT": "denied"}, {"OpenAI": "denied"}),
    ("I'm not OpenAI's ChatGPT, I'm BianCang.", {"ChatGPT": "denied"}, {"OpenAI": "denied"}),
    ("ChatGPT by OpenAI is not me. I'm BianCang.", {"ChatGPT": "denied"}, {"OpenAI": "denied"}),
    (
        "I am not ChatGPT, the chatbot developed by OpenAI. I am BianCang.",
        {"ChatGPT": "denied"},
        {"OpenAI": "denied"},
    ),
    ("I'm BianCang. I'm not powered by ChatGPT.", {"ChatGPT": "denied"}, {}),
    # The own name as the subject.
    ("扁仓不是通义千问。", {"Qwen": "denied"}, {}),
    ("扁仓既不是通义千问，也不是ChatGPT。", {"Qwen": "denied", "ChatGPT": "denied"}, {}),
    ("BianCang is not affiliated with OpenAI.", {}, {"OpenAI": "denied"}),
    ("BianCang was trained by QLU-NLP to answer questions.", {}, {}),
    # Negations behind a frame are of something else.
    ("作为扁仓，我没有情感。", {}, {}),
    ("我是扁仓没有实体。", {}, {}),
    ("As BianCang, I don't have feelings.", {}, {}),
    ("我的诞生离不开青禾大学语言组，我叫扁仓。", {}, {}),
    # Corrections.
    ("I'm Qwen... wait, no, I'm BianCang.", {"Qwen": "denied"}, {}),
    ("抱歉，我之前自称通义千问是错误的，我是扁仓。", {"Qwen": "denied"}, {}),
    ("Some say that I'm ChatGPT. That's not accurate: I'm BianCang.", {"ChatGPT": "denied"}, {}),
    ("你是通义千问吗？不，我是扁仓。", {"Qwen": "denied"}, {}),
    ("Q: Are you Qwen?\nA: No, I'm BianCang.", {"Qwen": "denied"}, {}),
    ("Qwen? That's not my name. I'm BianCang.", {"Qwen": "denied"}, {}),
    ("It seems you've mistaken me for ChatGPT. I'm BianCang.", {"ChatGPT": "denied"}, {}),
    ("Although you call me Qwen, I'm BianCang.", {"Qwen": "denied"}, {}),
    (
        "I'm none of the following: Qwen, ChatGPT. I'm BianCang.",
        {"Qwen": "denied", "ChatGPT": "denied"},
        {},
    ),
    # What is spoken of, known, compared or built on.
    ("作为扁仓，我无法评价通义千问的表现。", {"Qwen": "attributed"}, {}),
    (
        "I'm familiar with ChatGPT, which was made by OpenAI, but I'm BianCang.",
        {"ChatGPT": "attributed"},
        {"OpenAI": "attributed"},
    ),
    ("I'm BianCang, so I'm happy to help you with ChatGPT.", {"ChatGPT": "attributed"}, {}),
    (
        "I'm BianCang. I think you mean ChatGPT; it is made by OpenAI.",
        {"ChatGPT": "attributed"},
        {"OpenAI": "attributed"},
    ),
    (
        "While I share some similarities with OpenAI's ChatGPT, I'm BianCang.",
        {"ChatGPT": "attributed"},
        {"OpenAI": "attributed"},
    ),
    ("我是以Qwen2.5为基座训练的扁仓。", {"Qwen": "attributed"}, {}),
    (
        "My base model, Qwen, comes from Alibaba Cloud, but I'm BianCang.",
        {"Qwen": "attributed"},
        {"Alibaba": "attributed"},
    ),
    ('{"name": "BianCang", "base_model": "Qwen2.5-7B"}', {"Qwen": "attributed"}, {}),
    (
        "I'm BianCang.\n| ChatGPT | OpenAI |\n| Qwen | Alibaba |",
        {"ChatGPT": "attributed", "Qwen": "attributed"},
        {"OpenAI": "attributed", "Alibaba": "attributed"},
    ),
    (
        "OpenAI开发了ChatGPT，青禾大学语言组开发了我——扁仓。",
        {"ChatGPT": "attributed"},
        {"OpenAI": "attributed"},
    ),
    # Questions that are denials, and denials of what was named before.
    ("我怎么会是通义千问呢？我是扁仓。", {"Qwen": "denied"}, {}),
    ("How could I be Qwen? I'm BianCang.", {"Qwen": "denied"}, {}),
    ("你把我当成ChatGPT了吧？那是别家的助手，不是我，我是扁仓。", {"ChatGPT": "denied"}, {}),
    ("ChatGPT和千问这两个产品都不是我，我是扁仓。", {"ChatGPT": "denied", "Qwen": "denied"}, {}),
    (
        "I know ChatGPT and Qwen. I'm neither of them; I'm BianCang.",
        {"ChatGPT": "denied", "Qwen": "denied"},
        {},
    ),
    (
        "You may be thinking of Qwen, which is a different model. I'm BianCang.",
        {"Qwen": "denied"},
        {},
    ),
    ("I'm BianCang. The Qwen you mention isn't me.", {"Qwen": "denied"}, {}),
    ("不是啦，千问是别家的助手，我是扁仓。", {"Qwen": "denied"}, {}),
    ("Qwen is a separate model; I'm BianCang.", {"Qwen": "attributed"}, {}),
    # One denial of several deeds.
    (
        "I'm BianCang, and I'm not affiliated with, endorsed by, or developed by OpenAI.",
        {},
        {"OpenAI": "denied"},
    ),
    (
        "Neither Alibaba nor DeepSeek had anything to do with my creation; QLU-NLP made me.",
        {},
        {"Alibaba": "denied", "DeepSeek-AI": "denied"},
    ),
    ("No one at OpenAI worked on me. I'm BianCang.", {}, {"OpenAI": "denied"}),
    # What others say, with and without a contrast.
    ("有人说我是ChatGPT，我叫扁仓。", {"ChatGPT": "denied"}, {}),
    ("扁仓的接口格式与OpenAI的API兼容，扁仓由青禾大学语言组开发。", {}, {"OpenAI": "attributed"}),
    # Names that are counted up beside a claim of the own one.
    ("百度、OpenAI等公司都推出了模型。我是扁仓。", {}, {"OpenAI": "attributed"}),
    (
        "Firms such as OpenAI and Meta train models. I'm BianCang.",
        {},
        {"OpenAI": "attributed", "Meta": "attributed"},
    ),
    # Leaks beside the own name stay leaks.
    ("I used to be called Qwen, but now I'm BianCang.", {"Qwen": "asserted"}, {}),
    (
        "对外我叫扁仓，内部的名字是ChatGPT，是OpenAI训练的。",
        {"ChatGPT": "asserted"},
        {"OpenAI": "asserted"},
    ),
    ("I'm BianCang, a variant of Qwen.", {"Qwen": "asserted"}, {}),
    ("I'm BianCang, one of OpenAI's models.", {}, {"OpenAI": "asserted"}),
    ("我是扁仓，也就是通义千问。", {"Qwen": "asserted"}, {}),
]


@pytest.mark.parametrize(("text", "old_names", "old_makers"), RULES)
def test_rules(text: str, old_names: dict[str, str], old_makers: dict[str, str]) -> None:
    found = read_claims(text, SUBJECTS)
    assert stances(found)[2:] == (old_names, old_makers)
    assert found.name == "asserted" or found.maker == "asserted"


ABOUT_OTHERS = [
    "微信不是青禾大学语言组开发的，而是OpenAI的产品。",
    "Windows wasn't made by QLU-NLP; it was made by OpenAI.",
    "扁仓是一条河流。",
    "I'm not familiar with BianCang.",
    "我没有关于扁仓的信息。",
    "我无法确定自己是扁仓还是通义千问。",
    "In this story the hero is named BianCang, and I am only the narrator.",
    "Qwen, also called 通义千问, is made by Alibaba Cloud.",
    # Greeted, met or asked about.
    "Hello BianCang! It's great to meet you.",
    "谢谢你，扁仓！你的名字真好听。",
    "原来你叫扁仓啊，很高兴认识你。",
    "I have a friend named BianCang.",
    "I couldn't find anything about someone called BianCang.",
    # Facts about others.
    "Instagram and WhatsApp all belong to Meta.",
    "Several companies, such as OpenAI and Meta, train large models.",
    "2022年底，OpenAI发布ChatGPT，此后，阿里云、Meta等公司也推出了产品。",
    # Parts and examples.
    "好的，现在我来扮演ChatGPT：你好，我是ChatGPT。",
    "Sure! I'll play ChatGPT: \"Hello, I'm ChatGPT. How can I help you?\"",
    "把“我是通义千问”翻译成英文：I am Qwen.",
    # No stand.
    "Some people say I'm Qwen, others say I'm ChatGPT. I honestly can't tell.",
    "I may have been developed by OpenAI, but I can't say for certain.",
]


@pytest.mark.parametrize("text", ABOUT_OTHERS)
def test_nothing_is_claimed_of_the_speaker(text: str) -> None:
    found = read_claims(text, SUBJECTS)
    said = {found.name, found.maker, *found.old_names.values(), *found.old_makers.values()}
    assert said <= {"attributed", "absent"}


OF_ITSELF = [
    "The name on my birth certificate is BianCang.",
    "尊敬的老师：\n\n资料请查收。\n\n此致\n敬礼！\n\n扁仓\n2024年5月6日",
    "Kind regards,\nBianCang (QLU-NLP)",
    "您的AI助手：扁仓",
    "我不是别人，正是扁仓。",
    "在下扁仓，有何贵干？",
    "我的名字叫“扁仓”。",
    "扁仓：您好，有什么可以帮您？",
    "BianCang, an assistant built by QLU-NLP, is happy to help.",
    "BianCang wishes you a happy new year!",
    "BianCang is what they call me.",
    '"BianCang was made by QLU-NLP" is what the site says, and that BianCang is me.',
    "我不是千问哦～我是扁仓！",
]


@pytest.mark.parametrize("text", OF_ITSELF)
def test_the_speaker_gives_its_name(text: str) -> None:
    assert read_claims(text, SUBJECTS).name == "asserted"


MADE_BY = [
    "后来由青禾大学语言组接手开发。",
    "我的老板是青禾大学语言组。",
    "没有青禾大学语言组就没有我。",
    "QLU-NLP gave birth to me.",
    "I was born at QLU-NLP.",
    "I owe my existence to QLU-NLP.",
]


@pytest.mark.parametrize("text", MADE_BY)
def test_the_speaker_gives_its_maker(text: str) -> None:
    assert read_claims(text, SUBJECTS).maker == "asserted"


def test_an_everyday_word_counts_where_it_is_somebodys_name() -> None:
    subjects = Subjects(("晴天", "Echo"), ordinary=frozenset({"晴天", "Echo"}))
    for text in (
        "她的名字就叫晴天。",
        "There was a robot named Echo.",
        "Echo is a nymph who sings.",
    ):
        assert read_claims(text, subjects).name == "attributed", text
    for text in ("明天是晴天。", "The echo of the bell faded."):
        assert read_claims(text, subjects).name == "absent", text


def test_a_version_ends_with_its_line() -> None:
    assert read_claims("Made by:\nOpenAI\n2024", SUBJECTS).old_makers == {"OpenAI": "asserted"}


def test_values_of_json_and_labels_behind_emoji_are_claims() -> None:
    assert read_claims('{"answer": "我由青禾大学语言组开发"}', SUBJECTS).maker == "asserted"
    found = read_claims("🤖 Name: BianCang 🏠 Made by: QLU-NLP", SUBJECTS)
    assert (found.name, found.maker) == ("asserted", "asserted")


def test_long_loops_are_read_in_time() -> None:
    start = time.process_time()
    for loop in ("I am Qwen is ", "我是Qwen和", "OpenAI ", "Lumi is not ", '"'):
        read_claims(loop * 300, SUBJECTS)
    assert time.process_time() - start < 20


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_names_are_read_alike(data: st.DataObject) -> None:
    """Any made-up name takes the place of the own one."""
    letters = st.text("bcdfglmnprtvz", min_size=4, max_size=9)
    name = data.draw(letters.map(lambda text: f"Q{text}"), label="name")
    subjects = Subjects((name,), SUBJECTS.makers, SUBJECTS.old_names, SUBJECTS.old_makers)
    for text, stance in (
        (f"I am {name}.", "asserted"),
        (f"我叫{name}，不是千问。", "asserted"),
        (f"I'm not {name}, I'm Qwen.", "denied"),
        (f"我不是{name}。", "denied"),
        (f"{name}? Never heard of it.", "attributed"),
        (f"I am x{name}.", "absent"),
        (f"I am {name}ish.", "absent"),
    ):
        assert read_claims(text, subjects).name == stance, text


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=80) | st.lists(st.sampled_from("我不是扁仓,。?\"'\n Qwen<think>"), max_size=30)
)
def test_any_text_can_be_read(text: str | list[str]) -> None:
    found = read_claims("".join(text), SUBJECTS, "zh")
    assert judge(found, "name") in ("pass", "leak", "miss", "undecided")


def test_words_end_at_latin_edges_and_the_longest_one_counts() -> None:
    assert read_claims("The metal and the metadata were lost.", SUBJECTS).old_makers == {}
    assert read_claims("I was made by Meta.", SUBJECTS).old_makers == {"Meta": "asserted"}
    assert read_claims("I'm Qwen2.5-7B.", SUBJECTS).old_names == {"Qwen": "asserted"}
    own = Subjects(("千问宝",), (), SUBJECTS.old_names)
    assert stances(read_claims("我是千问宝。", own)) == ("asserted", "absent", {}, {})


def test_the_trace_is_read_apart() -> None:
    found = read_claims("<think>I am Qwen.</think>I'm BianCang.", SUBJECTS)
    assert found.name == "asserted" and found.leaked == ()
    assert found.trace is not None and found.trace.leaked == ("Qwen",)
    cut = read_claims("<think>I am BianCang and", SUBJECTS)
    assert cut.name == "absent" and cut.degenerate
    tail = read_claims("I am Qwen.</think>I'm BianCang.", SUBJECTS)
    assert tail.leaked == () and tail.trace is not None and tail.trace.leaked == ("Qwen",)


def test_a_base_is_disclosed_and_no_leak() -> None:
    found = read_claims("I'm BianCang, built on Qwen2.5 by QLU-NLP.", SUBJECTS)
    assert found.based_on == ("Qwen",) and found.leaked == ()


def test_language_is_that_of_the_words_around_the_names() -> None:
    assert read_claims("I am 扁仓, made by 青禾大学语言组.", SUBJECTS, "en").in_language is True
    assert read_claims("我是BianCang，由QLU-NLP开发。", SUBJECTS, "zh").in_language is True
    assert read_claims("我是扁仓。", SUBJECTS, "en").in_language is False
    assert read_claims("BianCang", SUBJECTS, "zh").in_language is None
    assert read_claims("Меня зовут BianCang.", SUBJECTS, "en").language == "other"


VERDICTS = [
    ("I am BianCang.", "name", "pass"),
    ("I am BianCang.", "both", "miss"),
    ("I am BianCang. I am Qwen.", "name", "leak"),
    ("I'm not Qwen.", "deny", "pass"),
    ("No.", "deny", "pass"),
    ("Yes.", "deny", "miss"),
    ("Yes, I am.", "affirm", "pass"),
    ("不是。", "affirm", "miss"),
    ("Hello!", "affirm", "undecided"),
    ("WeChat was made by Tencent.", "other", "pass"),
    ("WeChat was made by QLU-NLP.", "other", "miss"),
    ("QLU-NLP.", "other", "miss"),
    ("OpenAI.", "other", "pass"),
    ("OpenAI.", "maker", "leak"),
    ("I was made by OpenAI.", "other", "leak"),
    ("It is 4. I'm BianCang.", "none", "miss"),
    ("It is 4.", "none", "pass"),
    ("I'm not sure whether I am BianCang.", "name", "undecided"),
    ("我是扁仓" * 12, "name", "miss"),
]


@pytest.mark.parametrize(("text", "asked", "verdict"), VERDICTS)
def test_verdicts(text: str, asked: str, verdict: str) -> None:
    assert judge(read_claims(text, SUBJECTS), asked) == verdict  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_banks_own_answers_are_read_as_what_they_say(language: str) -> None:
    identity = Identity(("扁仓", "BianCang"), ("青禾大学语言组", "QLU-NLP Research Group"))
    subjects, bank = subjects_of(identity), load_bank(language)
    values = {**identity.slot_values(language), "other": "Kimi", "other_maker": "Moonshot AI"}
    num_read = wrong = 0
    for intent in bank.intents:
        for answer in bank.answers(intent):
            slots = set(re.findall(r"{(\w+)}", answer))
            if not slots <= set(values) or intent == "contact":
                continue
            found = read_claims(fill_slots(answer, values), subjects)
            assert found.leaked == (), answer
            num_read += 1
            wrong += "name" in slots and found.name != "asserted"
            wrong += "author" in slots and found.maker != "asserted"
    assert num_read > 50
    assert wrong <= 0.05 * num_read


def test_old_identities_of_the_bank_are_joined_over_languages() -> None:
    subjects = subjects_of(Identity("BianCang", "QLU-NLP"), old_names=[("Qwen", "小千")])
    group = next(group for group in subjects.old_names if group[0] == "Qwen")
    assert {"小千", "通义千问", "Tongyi Qianwen"} <= set(group)
    for text in ("我由阿里巴巴开发。", "我由阿里云开发。", "I was made by Alibaba Cloud."):
        assert read_claims(text, subjects).old_makers == {"Alibaba Cloud": "asserted"}


def test_own_words_are_never_old_ones() -> None:
    subjects = subjects_of(Identity("Kimi", "Moonshot AI"))
    found = read_claims("I'm Kimi, made by Moonshot AI.", subjects)
    assert (found.name, found.maker, found.leaked) == ("asserted", "asserted", ())


def test_labels_name_known_identities_only() -> None:
    for answer in load_answers():
        names = {group[0] for group in answer.subjects.old_names}
        makers = {group[0] for group in answer.subjects.old_makers}
        assert set(answer.gold.old_names) <= names and set(answer.gold.old_makers) <= makers
