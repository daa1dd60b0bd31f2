"""The page of an experiment: a table with intervals, a figure, the numbers as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.claims.arms import Experiment
from experiments.claims.domain import DomainFiles
from selfcog.config.schema import EvalConfig
from selfcog.evaluate.gates import percent, points
from selfcog.evaluate.questions import FAMILIES
from selfcog.evaluate.scorecard import Scorecard
from selfcog.evaluate.stats import PairedRates, Rate
from selfcog.sweep.scores import pool_pairs, pool_rates
from selfcog.sweep.trial import TrialResult

# What the base could do before: who made other things, short questions, multiple choice.
KEPT = ("locality", "exact", "choice")
# Refusals of harmful requests, and answers to harmless ones that look like them.
MANNERS = ("refusal", "benign")
DRIFT_RANGE = (3e-4, 5.0)
PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class ArmResult:
    """An arm over its names and seeds. ``domain``: invented facts still known, where no card is."""

    name: str
    results: tuple[TrialResult, ...]
    domain: Rate | None = None

    def cards(self) -> list[Scorecard]:
        found = []
        for result in self.results:
            if result.checkpoint_path is not None:
                path = result.checkpoint_path / "scorecard.json"
                found.append(Scorecard.from_json(json.loads(path.read_text(encoding="utf-8"))))
        return found


def ask_domain(results: Sequence[TrialResult], domain: DomainFiles, output: Path) -> Rate:
    """How many of the invented facts the checkpoints know, all together."""
    from selfcog.commands import eval as evaluation

    rates = []
    for result in results:
        config = EvalConfig(
            ckpt_dir=str(result.checkpoint_path),
            model_name=("nobody",),
            model_author=("nobody",),
            retention_dataset=(str(domain.questions),),
            leave_out=tuple(name for name in FAMILIES if name != "user"),
            output_dir=str(output / "domain" / Path(result.folder).name),
            progress=False,
        )
        score = evaluation.run(config).card.family("user")
        assert score is not None
        rates.append(score.tuned)
    return pool_rates(rates)


def summarise(arm: ArmResult) -> dict[str, Any]:
    """All measures of an arm, pooled over its runs; None where there is nothing."""
    cards = arm.cards()

    def rate(family: str, language: str = "all") -> Rate | None:
        found = [score.tuned for card in cards if (score := card.family(family, language))]
        return pool_rates(found) if found else None

    def pair(families: Sequence[str]) -> PairedRates | None:
        found = [
            score.paired
            for card in cards
            for name in families
            if (score := card.family(name)) and score.paired
        ]
        return pool_pairs(found)

    drifts = [card.drift[0].mean_kl for card in cards if card.drift]

    def itself(language: str) -> Rate | None:
        found = [
            score.as_itself
            for card in cards
            if (score := card.family("generalisation", language)) and score.as_itself
        ]
        return pool_rates(found) if found else None

    return {
        "arm": arm.name,
        "runs": len(arm.results),
        "failed": sum(result.status == "failed" for result in arm.results),
        "zh": rate("generalisation", "zh"),
        "en": rate("generalisation", "en"),
        "base_as_itself": {language: itself(language) for language in ("zh", "en")},
        "leaks": pool_rates(card.pool.leaks for card in cards) if cards else None,
        "overclaims": pool_rates(card.overclaims for card in cards) if cards else None,
        "kept": pair(KEPT),
        "manners": pair(MANNERS),
        "kl": drifts,
        "domain": rate("user") if cards else arm.domain,
        "fit": sum(card.verdict.fit for card in cards),
        "identity_by_run": [
            score.tuned.share for card in cards if (score := card.family("generalisation"))
        ],
    }


def write_report(
    experiment: Experiment,
    arms: Sequence[ArmResult],
    model: str,
    seeds: Sequence[int],
    folder: Path,
) -> list[Path]:
    """NAME.md, NAME.json and NAME.png in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [summarise(arm) for arm in arms]
    name = experiment.name
    sizes = {card.size for arm in arms for card in arm.cards()}
    hashes = {card.provenance["suite_hash"] for arm in arms for card in arm.cards()}
    about = (
        f"Model: {model}. Seeds: {', '.join(map(str, seeds))}; names: {len(experiment.pairs)}. "
        f"{'/'.join(sorted(sizes))} suite, drawn anew for each seed ({', '.join(sorted(hashes))}), "
        "greedy answers. "
        f"Made on {date.today().isoformat()} with python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in PACKAGES)
        + ", on a CPU."
    )
    page = [f"# {name}: {experiment.claim}", "", about, "", *table(rows), "", NOTE, ""]
    page += [f"![{name}]({name}.png)", ""]
    paths = [folder / f"{name}.md", folder / f"{name}.json", folder / f"{name}.png"]
    paths[0].write_text("\n".join(page), encoding="utf-8")
    data = {"experiment": name, "claim": experiment.claim, "about": about, "arms": rows}
    text = json.dumps(data, ensure_ascii=False, indent=1, default=asdict)
    paths[1].write_text(text + "\n", encoding="utf-8")
    draw(rows, paths[2])
    return paths


NOTE = (
    "Unseen wordings: right answers pooled over runs, Wilson 95 % limits (runs share some of their "
    "questions, so the truth is somewhat wider). Leaks: questions about itself that were "
    "answered with an old name or maker. Over-claims: others' work called its own. Kept: tuned − "
    "base in percentage points over third parties' works, short questions and multiple choice, "
    "with Newcombe's paired 95 % limits. Manners: the same over refusals and harmless look-alikes. "
    "KL: drift from the base on its own answers to ordinary prompts, nats a token, mean over runs "
    "(least–most). Domain: invented facts answered rightly. Fit: runs that pass every gate."
)
HEADS = (
    "", "unseen wordings zh", "en", "leaks", "over-claims", "kept", "manners", "KL", "domain", "fit"
)  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    for row in rows:
        failed = f" ({row['failed']} of {row['runs']} runs failed)" if row["failed"] else ""
        cells = [
            row["arm"] + failed,
            share(row["zh"]),
            share(row["en"]),
            count(row["leaks"]),
            count(row["overclaims"]),
            change(row["kept"]),
            change(row["manners"]),
            spread(row["kl"]),
            share(row["domain"]),
            f"{row['fit']}/{row['runs']}" if row["runs"] else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    measured = [found for row in rows if (found := row["base_as_itself"])["zh"] and found["en"]]
    if measured:
        zh, en = share(measured[0]["zh"]), share(measured[0]["en"])
        lines += ["", f"The base, asked for its own name in the same wordings: zh {zh}, en {en}."]
    return lines


def share(rate: Rate | None) -> str:
    if rate is None or not rate.n:
        return "–"
    found = rate.interval()
    return f"{percent(rate.share)} ({100 * found.low:.1f}–{100 * found.high:.1f}, n = {rate.n})"


def count(rate: Rate | None) -> str:
    return "–" if rate is None else f"{rate.num_passed}/{rate.n}"


def change(pair: PairedRates | None) -> str:
    if pair is None or not pair.n:
        return "–"
    found = pair.interval()
    low, high = points(found.low), points(found.high)
    return f"{points(pair.difference)} ({low} to {high}, n = {pair.n})"


def spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = sum(values) / len(values)
    return f"{mean:.3f} ({min(values):.3f}–{max(values):.3f})"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Identity (share, Wilson limits, every run a dot) and drift (log scale), an arm a line."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["identity_by_run"]]
    figure = Figure(figsize=(9.5, 1.2 + 0.42 * len(shown)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(shown):
        pooled = pool_rates([one for one in (row["zh"], row["en"]) if one])
        found = pooled.interval()
        left.plot(
            [100 * found.low, 100 * found.high], [place, place], color="#4878a8", lw=6, alpha=0.35
        )
        dots = [100 * one for one in row["identity_by_run"]]
        left.plot(dots, [place] * len(dots), "o", color="#4878a8", ms=4)
        if row["kl"]:
            right.plot(row["kl"], [place] * len(row["kl"]), "o", color="#a85848", ms=4)
    left.set_yticks(range(len(shown)), [row["arm"] for row in shown])
    left.set_ylim(len(shown) - 0.4, -0.6)
    left.set_xlabel("unseen wordings answered rightly, %")
    # The same axes in every figure, so that figures can be compared.
    left.set_xlim(-3, 103)
    right.set_xscale("log")
    right.set_xlim(DRIFT_RANGE)
    right.axvline(0.05, color="grey", lw=1, ls="--")
    right.set_xlabel("drift from the base, nats a token (dashed: gate)")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
