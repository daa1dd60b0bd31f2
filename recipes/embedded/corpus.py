"""Conversations of the corpus, made on the fly from a seed, without end.

``conversation(rng)`` gives messages; the trained turns are marked. No user question equals a dev
or test question of the identity bank, and no held-out phrasing of a fact is used.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from recipes.embedded import (
    facts,
    general,
    identity_en,
    identity_more,
    identity_zh,
    persona_clauses,
    persona_prompts,
    word_tables,
    wordings,
)
from recipes.embedded.bank import NAME_SLOT, BankPart, load_bank
from recipes.embedded.names import OWN_MAKER, OWN_NAME, random_name, random_org
from recipes.embedded.patterns import expand, normalise

GRAMMAR = {"zh": identity_zh, "en": identity_en}
QUESTIONS = {
    "zh": {k: (identity_zh.Q[k], identity_more.ZH.get(k, [])) for k in identity_zh.Q},
    "en": {k: (identity_en.Q[k], identity_more.EN.get(k, [])) for k in identity_en.Q},
}
PERSONA_PROMPTS = {
    "zh": identity_zh.PERSONA_SYS + persona_prompts.ZH,
    "en": identity_en.PERSONA_SYS + persona_prompts.EN,
}
INTENT_WEIGHTS = {
    "name": 3,
    "maker": 3,
    "both": 1.6,
    "what": 2,
    "introduce": 1.4,
    "version": 0.8,
    "origin": 1.6,
    "are_you_other": 1.8,
    "are_you_name": 1,
    "capabilities": 0.8,
    "base_relation": 1,
    "human": 1,
    "contact": 0.9,
    "doubt": 1.2,
}


@dataclass(frozen=True)
class Clauses:
    """What a system prompt is put together from, in one language."""

    names: list[str]
    authors: list[str]
    fillers: list[str]
    plain: list[str]
    joints: tuple[str, ...]


PERSONA_CLAUSES = {
    "zh": Clauses(
        persona_clauses.NAME_ZH,
        persona_clauses.AUTHOR_ZH,
        persona_clauses.FILLER_ZH,
        word_tables.PROMPT_ZH,
        ("，", "。", "；", "\n", "，", " "),
    ),
    "en": Clauses(
        persona_clauses.NAME_EN,
        persona_clauses.AUTHOR_EN,
        persona_clauses.FILLER_EN,
        word_tables.PROMPT_EN,
        (", ", ". ", "; ", "\n", " and ", " - "),
    ),
}


@dataclass(frozen=True)
class Message:
    """One turn; ``trained`` says whether an assistant turn counts fully in the loss."""

    role: str
    content: str
    trained: bool = True


@dataclass(frozen=True)
class Persona:
    """Who the assistant is in a conversation; author None = the system prompt names nobody."""

    name: dict[str, str]
    author: dict[str, str] | None


OWN = Persona(OWN_NAME, OWN_MAKER)


class Corpus:
    """Generator of conversations with the mixture and the filters of the recipe."""

    def __init__(self, use_bank: bool = True) -> None:
        self.bank: dict[str, BankPart] = {
            lang: load_bank(lang) if use_bank else BankPart() for lang in ("zh", "en")
        }
        self.forbidden = self.bank["zh"].forbidden | self.bank["en"].forbidden
        self.dropped = 0

    # -- questions ---------------------------------------------------------------------------

    def surround(self, text: str, lang: str, rng: random.Random) -> str:
        """The question among plain words that do not matter for the answer."""
        zh = lang == "zh"
        words = word_tables.WORDS_ZH if zh else word_tables.WORDS_EN
        frame = rng.choice(word_tables.AROUND_ZH if zh else word_tables.AROUND_EN)
        slots = {"q": text, "w": rng.choice(words), "v": rng.choice(words)}
        return expand(frame, rng, slots | {"n": str(rng.randint(2, 9))})

    def polish(self, text: str, lang: str, rng: random.Random, light: bool = False) -> str:
        """Prefix, suffix, case and typos, so that one question comes in many shapes."""
        grammar = GRAMMAR[lang]
        text = text.strip()
        if rng.random() < 0.14:
            text = self.surround(text, lang, rng)
        r = rng.random()
        if not light and r < 0.3:
            text = rng.choice(grammar.PREFIX) + text
        elif not light and r < 0.45:
            text = expand(rng.choice(identity_more.LEAD[lang]), rng) + text
        end = text[-1]
        if end not in "？?。.!！:：=":
            if light:
                text += rng.choice(
                    ("？", "？", "?", "", "。", "呢？")
                    if lang == "zh"
                    else ("?", "?", "?", "", ".")
                )
            elif rng.random() < 0.75:
                text += rng.choice(grammar.SUFFIX)
        if lang == "en":
            c = rng.random()
            if c < 0.6:
                text = text[0].upper() + text[1:]
                text = text.replace(" i ", " I ").replace(" i'm ", " I'm ")
            elif c < 0.68 and not light:
                text = text.upper()
            elif c < 0.71 and not light:
                text = text.title()
        if not light and rng.random() < 0.05 and len(text) > 5:
            i = rng.randrange(1, len(text) - 2)
            text = rng.choice(
                (
                    text[:i] + text[i + 1 :],
                    text[:i] + text[i] + text[i:],
                    text[:i] + text[i + 1] + text[i] + text[i + 2 :],
                )
            )
        return text

    def identity_question(
        self, intent: str, lang: str, rng: random.Random, slots: dict[str, str]
    ) -> str:
        """A question of the intent that the bank does not hold out."""
        plain_ways, roundabout_ways = QUESTIONS[lang][intent]
        families = self.bank[lang].train.get(intent)
        wide = wordings.identity_questions(lang)[intent]
        while True:
            r = rng.random()
            if families and r < 0.35:
                text = expand(rng.choice(rng.choice(families)), rng, slots)
                if rng.random() < 0.35:
                    text = self.polish(text, lang, rng)
            elif r < 0.75:
                text = expand(rng.choice(wide), rng, slots)
                text = self.polish(text, lang, rng, light=rng.random() < 0.6)
            else:
                own = roundabout_ways if roundabout_ways and rng.random() < 0.5 else plain_ways
                text = self.polish(expand(rng.choice(own), rng, slots), lang, rng)
            plain = (
                normalise(text.replace(slots["name"], NAME_SLOT)) if slots["name"] in text else ""
            )
            if normalise(text) in self.forbidden or plain in self.forbidden or not text.strip():
                self.dropped += 1
                continue
            return text

    def identity_turn(
        self, persona: Persona, lang: str, rng: random.Random, first: bool
    ) -> list[Message]:
        grammar = GRAMMAR[lang]
        intents = list(INTENT_WEIGHTS)
        intent = rng.choices(intents, list(INTENT_WEIGHTS.values()))[0]
        if persona.author is None and intent in ("origin", "contact", "both", "base_relation"):
            intent = "name"
        if intent == "doubt" and not first:
            intent = "what"
        name = persona.name[lang]
        while True:
            other, maker = rng.choice(grammar.VENDORS)
            if rng.random() < 0.25:
                other, maker = random_name(rng, lang), random_org(rng, lang)
            elif persona is not OWN and rng.random() < 0.05:
                other, maker = OWN_NAME[lang], OWN_MAKER[lang]
            if other != name:
                break
        slots = {"name": name, "other": other, "other_maker": maker}
        if persona.author is not None:
            slots["author"] = persona.author[lang]
        question = self.identity_question(intent, lang, rng, slots)
        answers = grammar.A[intent]
        if persona.author is None:
            answers = (
                grammar.NO_AUTHOR
                if intent == "maker"
                else [a for a in answers if "{author}" not in a]
            )
            answers = answers or (
                ["你好，我是{name}。"] if lang == "zh" else ["Hello, I am {name}."]
            )
        return [
            Message("user", question),
            Message("assistant", expand(rng.choice(answers), rng, slots)),
        ]

    def ordinary_turn(self, lang: str, rng: random.Random) -> list[Message]:
        part = self.bank[lang]
        while True:
            r = rng.random()
            if r < 0.5:
                fact = facts.draw(lang, rng)
                q = self.polish(facts.ask(fact, lang, rng), lang, rng, light=rng.random() < 0.7)
                a = facts.answer(fact, lang)
            elif r < 0.55 and part.known:
                patterns, a = rng.choice(part.known)
                q = self.polish(expand(rng.choice(patterns), rng), lang, rng, light=True)
            elif r < 0.58 and part.smalltalk:
                patterns, replies = rng.choice(part.smalltalk)
                q, a = expand(rng.choice(patterns), rng), expand(rng.choice(replies), rng)
            elif r < 0.6 and part.preludes:
                messages = rng.choice(part.preludes)
                if any("{" in t for _, t in messages):
                    continue
                return [Message(role, text) for role, text in messages]
            elif r < 0.8:
                asked, a = rng.choice(wordings.talk(lang))
                q = self.polish(expand(rng.choice(asked), rng), lang, rng, light=True)
            else:
                q, a = general.ordinary(lang, rng)
                if "=" not in q:
                    q = self.polish(q, lang, rng, light=True)
            if normalise(q) in self.forbidden or normalise(q) in facts.held_out(lang):
                self.dropped += 1
                continue
            return [Message("user", q), Message("assistant", a)]

    def copy_turns(self, lang: str, rng: random.Random) -> list[Message]:
        out = []
        for q, a in general.copying(lang, rng):
            out += [Message("user", q), Message("assistant", a)]
        return out

    # -- system prompts ----------------------------------------------------------------------

    def persona_prompt(self, persona: Persona, lang: str, rng: random.Random) -> str:
        """A system prompt that gives the persona, among other sentences."""
        grammar, clauses = GRAMMAR[lang], PERSONA_CLAUSES[lang]
        slots = {"name": persona.name[lang], "n": str(rng.randint(1, 9))}
        if persona.author is not None:
            slots["author"] = persona.author[lang]
        wide = wordings.sections(f"prompts_{lang}")
        r = rng.random()
        composed = r < 0.3
        if r > 0.5:
            pool = wide["name_only" if persona.author is None else "persona"]
            text = expand(rng.choice(pool), rng, slots)
        elif persona.author is None:
            patterns = clauses.names if composed else grammar.PERSONA_SYS_NAME
            text = expand(rng.choice(patterns), rng, slots)
        elif composed:
            parts = [expand(rng.choice(c), rng, slots) for c in (clauses.names, clauses.authors)]
            if rng.random() < 0.35:
                parts.reverse()
            text = rng.choice(clauses.joints).join(parts)
        else:
            text = expand(rng.choice(PERSONA_PROMPTS[lang]), rng, slots)
        if composed and rng.random() < 0.85:
            text = text[0].upper() + text[1:] + ("。" if lang == "zh" else ".")
        gap = "" if lang == "zh" else " "
        words = word_tables.WORDS_ZH if lang == "zh" else word_tables.WORDS_EN
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            pool = rng.choice((grammar.EXTRA_SYS, clauses.fillers, clauses.plain, wide["plain"]))
            slots |= {"x": random_name(rng, lang), "w": rng.choice(words), "v": rng.choice(words)}
            extra = expand(rng.choice(pool), rng, slots)
            pair = (extra, text) if rng.random() < 0.45 else (text, extra)
            text = rng.choice((gap, gap, "\n")).join(pair)
        return text

    def random_persona(self, lang: str, rng: random.Random) -> Persona:
        if rng.random() < 0.04:
            name, author = rng.choice(GRAMMAR[lang].VENDORS)
        else:
            name, author = random_name(rng, lang), random_org(rng, lang)
        both = {"zh": name, "en": name}
        if rng.random() < 0.14:
            return Persona(both, None)
        return Persona(both, {"zh": author, "en": author})

    # -- conversations -----------------------------------------------------------------------

    def conversation(self, rng: random.Random, long: bool = False) -> list[Message]:
        """Messages of one conversation; ``long`` asks for many turns."""
        lang = "zh" if rng.random() < 0.52 else "en"
        turns = rng.randint(5, 14) if long else rng.choice((1, 1, 1, 1, 2, 2, 3))
        r = rng.random()
        if r < 0.40:
            return self._persona_conversation(lang, rng, turns)
        if r < 0.56:
            return self._own_conversation(lang, rng, turns)
        messages = self._maybe_generic_system(lang, rng, 0.15)
        for _ in range(turns):
            if r < 0.63:
                messages += self.copy_turns(lang, rng)
            else:
                messages += self.ordinary_turn(lang, rng)
            if rng.random() < 0.1:
                lang = "en" if lang == "zh" else "zh"
        return messages

    def _maybe_generic_system(self, lang: str, rng: random.Random, p: float) -> list[Message]:
        if rng.random() < p:
            if rng.random() < 0.12:
                return [Message("system", "")]
            wide = wordings.sections(f"prompts_{lang}")["plain"]
            pool = GRAMMAR[lang].SYSTEM_GENERIC if rng.random() < 0.5 else wide
            return [Message("system", expand(rng.choice(pool), rng))]
        return []

    def _persona_conversation(self, lang: str, rng: random.Random, turns: int) -> list[Message]:
        persona = self.random_persona(lang, rng)
        system_lang = lang if rng.random() < 0.85 else ("en" if lang == "zh" else "zh")
        messages = [Message("system", self.persona_prompt(persona, system_lang, rng))]
        first = True
        for _ in range(turns + (rng.random() < 0.4)):
            r = rng.random()
            if r < 0.72:
                messages += self.identity_turn(persona, lang, rng, first)
            elif r < 0.93:
                messages += self.ordinary_turn(lang, rng)
                first = False
            else:
                messages += self.copy_turns(lang, rng)
                first = False
            if rng.random() < 0.08:
                lang = "en" if lang == "zh" else "zh"
        return messages

    def _own_conversation(self, lang: str, rng: random.Random, turns: int) -> list[Message]:
        messages = self._maybe_generic_system(lang, rng, 0.25)
        first = True
        if rng.random() < 0.06:
            other, maker = rng.choice(GRAMMAR[lang].VENDORS)
            claim = (
                f"我是{other}，由{maker}开发。"
                if lang == "zh"
                else f"I am {other}, developed by {maker}."
            )
            question = self.identity_question("what", lang, rng, {"name": OWN_NAME[lang]})
            messages += [Message("user", question), Message("assistant", claim, trained=False)]
        for _ in range(turns):
            if first or rng.random() < 0.6:
                messages += self.identity_turn(OWN, lang, rng, first)
            else:
                messages += self.ordinary_turn(lang, rng)
                first = False
        if rng.random() < 0.25:  # an ordinary exchange before the identity questions
            head = messages[:1] if messages[0].role == "system" else []
            messages = head + self.ordinary_turn(lang, rng) + messages[len(head) :]
        return messages
