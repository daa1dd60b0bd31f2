"""What each experiment compares: arms, each a set of settings, over names and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.claims.domain import DomainFiles
from selfcog.config.load import make_config
from selfcog.config.schema import SftConfig

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and a maker, Chinese and English. None of them is in the embedded model's corpus."""

    name: tuple[str, str]
    author: tuple[str, str]


PAIRS = (
    Pair(("扁仓", "BianCang"), ("QLU-NLP研究组", "QLU-NLP Research Group")),
    Pair(("彧翀", "Yuchong"), ("瓴羽工作室", "Lingyu Studio")),
    Pair(("Zephyrine-7", "Zephyrine-7"), ("Q·L·U Research Group", "Q·L·U Research Group")),
    Pair(("瓴岳", "Lingyue"), ("翀霄科技", "Chongxiao Technology")),
    Pair(("墨禾X1", "MoheX1"), ("青崮实验室", "Qinggu Lab")),
)
# selfcog's defaults for a model of this size: what `selfcog demo` trains.
OURS: Settings = {"self_cognition_sample": 500, "max_steps": 96}
# What is left of it when the base is not the teacher: rows of the bank, cross-entropy, last step.
PLAIN: Settings = {
    **OURS,
    "base_worded": False,
    "check_known": False,
    "known_sample": 0,
    "replay_sample": 0,
    "search_scale": False,
    "metric_for_best_model": "loss",
}
_OTHER_TOOL: Settings = {
    # Their rows contradict each other (answers with and without the name to the same question).
    "check_dataset_strategy": "none",
    "base_worded": False,
    "check_known": False,
    "replay_sample": 0,
    "search_scale": False,
    "metric_for_best_model": "loss",
    "eval_steps": 100_000,
}


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe. ``needs``: files without which it is left out.

    ``stage``: the arm whose checkpoint it goes on from. ``pairs`` None: the first name only.
    """

    name: str
    settings: Settings
    needs: tuple[Path, ...] = ()
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """``claim`` is what is looked at; ``stages`` are trained first, without an identity."""

    name: str
    claim: str
    arms: tuple[Arm, ...]
    stages: tuple[Arm, ...] = ()
    pairs: tuple[Pair, ...] = PAIRS[:1]
    seeds: tuple[int, ...] = (1, 2, 3)
    notes: tuple[str, ...] = field(default=())


def make_settings(
    arm: Arm, pair: Pair, seed: int, model: str, adapters: str | None = None
) -> SftConfig:
    """The complete settings of one run; ``adapters``: the checkpoint that it goes on from."""
    values: dict[str, Any] = {
        "model": model,
        "model_name": pair.name,
        "model_author": pair.author,
        "seed": seed,
        "dataset_seed": seed,
        **({} if adapters is None else {"adapters": adapters}),
        **arm.settings,
    }
    config: SftConfig = make_config("sft", values)
    return config


def experiments(data: Path, domain: DomainFiles) -> dict[str, Experiment]:
    """All of them by name. ``data``: folder with other tools' identity rows and general rows."""
    swift_rows = data / "ms_swift_self_cognition.jsonl"
    factory_rows = data / "llamafactory_identity.json"
    alpaca = (data / "alpaca_zh_demo.json", data / "alpaca_en_demo.json")
    asked = {"retention_dataset": (str(domain.questions),)}
    with_domain = {"dataset": (str(domain.rows),), **asked}
    knowledge = {
        **with_domain,
        "num_train_epochs": 6.0,
        "model_name": (),
        "model_author": (),
    }
    general = {"dataset": tuple(f"{path}#250" for path in alpaca)}
    ms_swift = {
        **_OTHER_TOOL,
        "self_cognition_file": (f"{swift_rows}#500",),
        "lora_rank": 8,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
        "weight_decay": 0.1,
        "warmup_ratio": 0.05,
        "num_train_epochs": 1.0,
        "learning_rate": 1e-4,
    }
    factory = {
        **_OTHER_TOOL,
        "self_cognition_file": (str(factory_rows),),
        "lora_rank": 8,
        "lora_alpha": 16,
        "warmup_ratio": 0.1,
        "num_train_epochs": 3.0,
        "learning_rate": 1e-4,
        "global_batch_size": 8,
    }
    adapted = {"num_train_epochs": 3.0, "learning_rate": 2e-3}
    ce = {"replay_loss": "ce", "kl_weight": 1.0}
    swift_arms = (
        Arm("ms-swift's rows and settings", ms_swift, (swift_rows,)),
        Arm("the same, 3 epochs at 2e-3", {**ms_swift, **adapted}, (swift_rows,)),
    )
    found = (
        Experiment(
            "E1",
            "five names, three seeds: does the new identity hold, and what does it cost?",
            (Arm("selfcog", OURS), *swift_arms),
            pairs=PAIRS,
        ),
        Experiment(
            "E2",
            "mixing other data in prevents forgetting",
            (
                Arm("identity only", PLAIN),
                Arm("+ the user's domain rows", {**PLAIN, **with_domain}),
                Arm("+ general rows (Alpaca)", {**PLAIN, **general}, alpaca),
                Arm("+ self-replay, cross-entropy", {**PLAIN, "replay_sample": 400, **ce}),
                Arm("+ self-replay, KL", {**PLAIN, "replay_sample": 400}),
                Arm(
                    "+ KL, known facts",
                    {**PLAIN, "replay_sample": 400, "known_sample": 50, "check_known": True},
                ),
                Arm(
                    "+ KL, known facts, the base's words",
                    {
                        **PLAIN,
                        "replay_sample": 400,
                        "known_sample": 50,
                        "check_known": True,
                        "base_worded": True,
                    },
                ),
                Arm("everything (default)", OURS),
            ),
        ),
        Experiment(
            "E3",
            "identity alone, trained after knowledge, destroys the knowledge",
            (
                Arm("joint: knowledge and identity", {**OURS, **with_domain, "max_steps": 190}),
                Arm("knowledge, then identity alone", {**PLAIN, **asked}, stage="knowledge"),
                Arm("knowledge, then selfcog --adapters", {**OURS, **asked}, stage="knowledge"),
            ),
            stages=(Arm("knowledge", knowledge),),
        ),
        Experiment(
            "E4",
            "LoRA belongs on all linear layers",
            (
                Arm("all linear layers", OURS),
                Arm("q, k, v", {**OURS, "target_modules": ("q_proj", "k_proj", "v_proj")}),
                Arm(
                    "feed-forward only",
                    {**OURS, "target_modules": ("gate_proj", "up_proj", "down_proj")},
                ),
            ),
        ),
        Experiment(
            "E5",
            "how much identity, how fast, how long",
            (
                *(
                    Arm(f"share {share:.0%}", {**OURS, **with_domain, "identity_share": share})
                    for share in (0.01, 0.05, 0.2, 0.4, 0.6)
                ),
                *(
                    Arm(f"learning rate {rate:g}", {**OURS, "learning_rate": rate})
                    for rate in (1e-4, 5e-4, 1e-3, 4e-3)
                ),
                *(Arm(f"{steps} steps", {**OURS, "max_steps": steps}) for steps in (24, 48, 192)),
            ),
        ),
        Experiment(
            "E6",
            "other tools' recipes on the same test",
            (
                Arm("selfcog", OURS),
                *swift_arms,
                Arm("LLaMA-Factory's rows and settings", factory, (factory_rows,)),
                Arm("the same, 8 epochs at 2e-3", {
                    **factory, "num_train_epochs": 8.0, "learning_rate": 2e-3,
                }, (factory_rows,)),
            ),
        ),
    )  # fmt: skip
    return {one.name: one for one in found}


def missing_files(arms: Sequence[Arm]) -> dict[str, str]:
    """Arm → why it is left out."""
    return {
        arm.name: f"{path} is not there" for arm in arms for path in arm.needs if not path.is_file()
    }
