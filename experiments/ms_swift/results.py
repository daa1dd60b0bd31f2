"""Write the results of run.sh as Markdown, from the scorecards and ms-swift's own log.

    python results.py OUTPUT RUN … [--readme README.md]

Leaves OUTPUT/results.md; with --readme also replaces what stands between the two marks there.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

from selfcog.evaluate.scorecard import FamilyScore, Scorecard
from selfcog.evaluate.stats import Rate
from selfcog.evaluate.wording import families_of

BEGIN, END = "<!-- results: written by run.sh -->", "<!-- end of results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--readme", type=Path)
    args = parser.parse_args()

    text = render(args.output, args.runs)
    (args.output / "results.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    if args.readme is not None:
        page = args.readme.read_text(encoding="utf-8")
        before, mark, rest = page.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (mark and end):
            raise SystemExit(f"{args.readme} lacks the marks {BEGIN} and {END}; put them back")
        args.readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def render(output: Path, runs: list[str]) -> str:
    """The whole block: how it was made, training, scores."""
    rows = _read(output / "rows.json")
    cards = [Scorecard.from_json(_read(output / run / "scorecard/scorecard.json")) for run in runs]
    by = cards[0].provenance
    versions = ", ".join(f"{name} {number}" for name, number in rows["versions"].items())
    return "\n".join(
        [
            f"Made on {date.today().isoformat()}. Trained with {versions}; scored with selfcog "
            f"{by['selfcog']} (torch {by['torch']}, transformers {by['transformers']}), "
            f"{cards[0].size} suite {by['suite_hash']}, greedy answers, no system prompt but where "
            f"a question has one, {by['dtype']} on {by['device']}.",
            "",
            f"Identity rows as ms-swift loaded them: {rows['num_rows']}, of which "
            f"{rows['num_different_rows']} different; the name stands in {rows['num_with_name']} "
            f"answers, the maker in {rows['num_with_author']}, neither in "
            f"{rows['num_with_neither']}; placeholders left: {rows['num_placeholders']}.",
            "",
            *_table(
                ["run", "rows", "steps", "learning rate", "epochs", "loss, first → last", "time"],
                [_training(output / run / "train", run) for run in runs],
            ),
            "",
            *_table(["", "base", *runs], _scores(cards)),
        ]
    )


def _training(folder: Path, run: str) -> list[str]:
    lines = (folder / "logging.jsonl").read_text(encoding="utf-8").splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    losses = [float(event["loss"]) for event in events if "loss" in event]
    (end,) = (event for event in events if "train_runtime" in event)
    settings = _read(folder / "args.json")
    num_epochs = float(settings["num_train_epochs"])
    num_rows = sum(int(one.rpartition("#")[2]) for one in settings["dataset"])
    return [
        run,
        str(num_rows),
        str(end["global_step/max_steps"]).partition("/")[0],
        f"{float(settings['learning_rate']):g}",
        f"{num_epochs:g}",
        f"{losses[0]:.2f} → {losses[-1]:.2f}",
        f"{float(end['train_runtime']):.0f} s",
    ]


def _scores(cards: list[Scorecard]) -> list[list[str]]:
    first = cards[0]
    lines = []
    for family, scores in families_of(first):
        for score in scores:
            if score.language != "all" and family not in ("generalisation", "locality"):
                continue
            found = [card.family(family, score.language) for card in cards]
            label = family if score.language == "all" else f"{family}, {score.language}"
            lines.append([label, _rate(score.base), *map(_tuned, found)])
    lines.append(["*questions with an old name*", "", *(str(card.pool.leaks) for card in cards)])
    lines.append(["*over-claims*", "", *(str(card.overclaims) for card in cards)])
    for place, drift in enumerate(first.drift):
        cells = [
            f"{card.drift[place].mean_kl:.3f}, {100 * card.drift[place].same_top:.1f} % "
            f"(n = {card.drift[place].num_tokens})"
            for card in cards
        ]
        lines.append([f"*drift, {drift.source}: KL, same likeliest token*", "", *cells])
    lines.append(["*gates failed*", "", *map(_gates, cards)])
    return lines


def _tuned(score: FamilyScore | None) -> str:
    return _rate(None if score is None else score.tuned)


def _rate(rate: Rate | None) -> str:
    return "–" if rate is None else str(rate)


def _gates(card: Scorecard) -> str:
    num_failed = sum(gate.passed is False for gate in card.gates)
    return f"{num_failed} of {len(card.gates)}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
