"""What ``sft`` measures: a few dev questions while it trains, and the scorecard at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from selfcog.commands.rows import make_identity
from selfcog.config.schema import EvalConfig, SftConfig
from selfcog.identity import Identity

if TYPE_CHECKING:
    from selfcog.evaluate.speakers import LocalSpeaker
    from selfcog.tokens.render import Renderer

# Ready: the share of right dev answers, this many evaluations running, with drift below the gate.
READY_SHARE, READY_TIMES = 0.98, 2
# Ordinary prompts a language on which drift is watched during training.
WATCHED = 40
MAX_NEW_TOKENS = 48
SUITE_LANGUAGES: tuple[Literal["zh", "en"], ...] = ("zh", "en")


def teaches_identity(config: SftConfig) -> bool:
    """Whether there is a name to ask for, and rows that teach it."""
    settings = config.identity
    rows = settings.self_cognition_sample > 0 or bool(settings.self_cognition_file)
    return rows and bool(settings.model_name) and bool(settings.model_author)


def asks_questions(config: SftConfig) -> bool:
    """Whether the model is asked anything at all, in training and after it."""
    return teaches_identity(config) and config.score.scorecard != "none"


def choose_metric(config: SftConfig) -> str:
    """What "auto" means for --metric_for_best_model."""
    metric = config.output.metric_for_best_model
    if metric != "auto":
        return metric
    return "identity" if asks_questions(config) else "loss"


@dataclass
class DevEvaluator:
    """Called by the training loop as (model, step): metrics "identity" and "kl".

    ``identity``: share of the bank's dev questions (never trained, and not those of the scorecard)
    that are answered rightly. ``kl``: drift from the base in nats a token on its own answers to
    ordinary prompts that are not replayed; only with an adapter, which can be switched off.
    ``old_names``: what the base calls itself.
    """

    identity: Identity
    renderer: Renderer
    languages: tuple[str, ...]
    has_base: bool
    batch_size: int = 64
    old_names: tuple[str, ...] = ()
    _base_texts: list[tuple[list[int], list[int]]] = field(default_factory=list)

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        from selfcog.evaluate.likelihood import measure_drift
        from selfcog.evaluate.measure import Examiner
        from selfcog.evaluate.questions import build_suite
        from selfcog.evaluate.speakers import Decoding, LocalSpeaker

        suite = build_suite(self.identity, "dev", languages=self.languages)
        examiner = Examiner(self.identity, suite, None, Decoding(MAX_NEW_TOKENS))
        # No cache: the same question has another answer after every step.
        tuned = LocalSpeaker(model, self.renderer, "tuned", batch_size=self.batch_size)
        answers = examiner.ask(tuned, suite.questions, "dev")
        marks = examiner.mark_all(tuned, suite.questions, answers, examiner.subjects())
        metrics = {"identity": sum(one.passed for one in marks.values()) / len(marks)}
        if self.has_base:
            base = LocalSpeaker(model, self.renderer, "base", "base", self.batch_size)
            self._base_texts = self._base_texts or self._ask_base(base)
            drift = measure_drift(base, tuned, self._base_texts, "dev")
            if drift is not None:
                metrics["kl"] = drift.mean_kl
        return metrics

    def _ask_base(self, base: LocalSpeaker) -> list[tuple[list[int], list[int]]]:
        """Ordinary prompts that are never replayed, with the base's answers; without those in
        which it says who it is, which shall change."""
        from selfcog.evaluate.claims import subjects_of
        from selfcog.evaluate.marking import presents_itself
        from selfcog.evaluate.speakers import Ask, Decoding
        from selfcog.teacher.prompts import builtin_prompts

        prompts = builtin_prompts(self.languages, 0, "dev")[: WATCHED * len(self.languages)]
        asks = [Ask(prompt.messages) for prompt in prompts]
        subjects = subjects_of(self.identity, old_names=[self.old_names] if self.old_names else ())
        encode = self.renderer.tokenizer.encode
        return [
            (self.renderer.prompt_ids(ask.messages), encode(one.text, add_special_tokens=False))
            for ask, one in zip(asks, base.answer(asks, Decoding(MAX_NEW_TOKENS)), strict=True)
            if not presents_itself(one.text, subjects)
        ]


@dataclass
class Readiness:
    """Says when a training may stop: dev questions answered twice running, drift in bounds."""

    times: int = 0

    def __call__(self, metrics: Mapping[str, float]) -> bool:
        from selfcog.evaluate.gates import MOST_KL

        ready = metrics.get("identity", 0.0) >= READY_SHARE and metrics.get("kl", 0.0) <= MOST_KL
        self.times = self.times + 1 if ready else 0
        return self.times >= READY_TIMES


def check_card(config: SftConfig) -> None:
    """Raises ConfigError or DataError for a card that could not be made; loads nothing heavy."""
    from selfcog.commands.eval import read_user_data
    from selfcog.evaluate.questions import check_families

    make_identity(config.identity)
    check_families(config.score.leave_out)
    read_user_data(EvalConfig(model="-", retention_dataset=config.score.retention_dataset))


def make_dev_evaluator(
    config: SftConfig, renderer: Renderer, old_names: tuple[str, ...] = ()
) -> DevEvaluator:
    return DevEvaluator(
        make_identity(config.identity),
        renderer,
        config.identity.languages,
        has_base=config.adapter.tuner_type != "full",
        old_names=old_names,
    )


def final_config(config: SftConfig, checkpoint: Path) -> EvalConfig:
    """The settings of the card at the end: the checkpoint as it lies on disk is what is measured.

    A fully trained model is compared with the base that it was trained from.
    """
    assert config.score.scorecard != "none"
    return EvalConfig(
        ckpt_dir=str(checkpoint),
        suite=config.score.scorecard,
        model_name=config.identity.model_name,
        model_author=config.identity.model_author,
        aliases=config.identity.aliases,
        languages=tuple(one for one in SUITE_LANGUAGES if one in config.identity.languages)
        or SUITE_LANGUAGES,
        leave_out=config.score.leave_out,
        retention_dataset=config.score.retention_dataset,
        dataset=(*config.data.dataset, *config.identity.self_cognition_file),
        columns=config.data.columns,
        enable_thinking=config.data.enable_thinking,
        trust_remote_code=config.model.trust_remote_code,
        attn_impl=config.model.attn_impl,
        seed=config.train.seed,
        progress=config.output.progress,
    )
