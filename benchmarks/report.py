"""The tables of a run: one a part, the bars, and what it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bars import Bar
from benchmarks.contestants import PEERS, Installed
from benchmarks.measure import total_memory
from benchmarks.series import Series, ratio

Table = list[list[str]]


@dataclass(frozen=True, slots=True)
class Columns:
    """What a part's table shows: (value, heading, digits), and the value whose ratio is taken."""

    title: str
    shown: tuple[tuple[str, str, int], ...]
    ratio_of: str


COLUMNS = {
    "train": Columns(
        "Training, one thread",
        (
            ("tokens_per_cpu_s", "tokens a CPU s", 0),
            ("peak_rss_gb", "peak RSS, GB", 2),
            ("first_step_cpu_s", "start → first step, CPU s", 1),
        ),
        "tokens_per_cpu_s",
    ),
    "start": Columns(
        "From the start to the first step",
        (
            ("first_step_cpu_s", "CPU s", 2),
            ("first_step_wall_s", "wall s", 1),
            ("lookups", "names looked up", 0),
        ),
        "first_step_cpu_s",
    ),
    "quick": Columns("Help and errors", (("cpu_s", "CPU s", 2), ("wall_s", "wall s", 2)), "cpu_s"),
    "merge": Columns(
        "Merging an adapter",
        (
            ("cpu_s", "CPU s", 1),
            ("wall_s", "wall s", 1),
            ("peak_anon_gb", "anonymous memory, GB", 2),
            ("peak_rss_gb", "peak RSS, GB", 2),
        ),
        "cpu_s",
    ),
    "token": Columns(
        "From the start to the first token, base and adapter",
        (("cpu_s", "CPU s", 1), ("wall_s", "wall s", 1), ("peak_rss_gb", "peak RSS, GB", 2)),
        "cpu_s",
    ),
    "generate": Columns(
        "Answers to 64 prompts, base and unmerged adapter, one thread",
        (
            ("tokens_per_cpu_s", "new tokens a CPU s", 1),
            ("generation_cpu_s", "CPU s", 1),
            ("peak_rss_gb", "peak RSS, GB", 2),
            ("same", "same answers", 0),
        ),
        "tokens_per_cpu_s",
    ),
    "demo": Columns(
        "The demo's training part, all cores",
        (
            ("loop_wall_s", "wall s", 1),
            ("loop_cpu_s", "CPU s", 1),
            ("peak_rss_gb", "peak RSS, GB", 2),
        ),
        "loop_wall_s",
    ),
}


def markdown(rows: Table) -> str:
    """A table whose first row is its head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])


def part_table(series: Sequence[Series]) -> Table:
    """The table of one part and model. The last column is selfcog's value over the row's, from
    pairs of the same round: more than 1 is more, whether that is good or bad."""
    columns = COLUMNS[series[0].part]
    rows = [["", *(heading for _, heading, _ in columns.shown), "selfcog / this"]]
    for one in series:
        if not any(one.values(name) for name, _, _ in columns.shown):
            status = one.trouble.status if one.trouble else "–"
            rows.append([one.label, status, *[""] * len(columns.shown)])
            continue
        cells = []
        for name, _, digits in columns.shown:
            spread = one.spread(name)
            cells.append("–" if spread is None else spread.text(digits))
        ours = counterpart(one, series)
        found = None if ours is None else ratio(ours, one, columns.ratio_of)
        rows.append([one.label, *cells, "" if found is None else found.text()])
    return rows


def counterpart(one: Series, series: Sequence[Series]) -> Series | None:
    """What of ours a row is compared with: the same command, else our first; None for that."""
    ours = [other for other in series if other.is_ours]
    same = [other for other in ours if other.setting == one.setting]
    chosen = (same if one.part == "quick" else ours) or [one]
    return None if chosen[0] is one else chosen[0]


def part_tables(series: Sequence[Series]) -> list[str]:
    """A heading and a table for every part and model, in the order in which they were run."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        groups.setdefault((one.part, one.model), []).append(one)
    texts = []
    for (part, model), members in groups.items():
        shown = [one for one in members if "differing" not in one.readings[0].values]
        title = f"{COLUMNS[part].title} ({model})"
        texts += [f"### {title}", markdown(part_table(shown))]
    return texts


def bar_table(bars: Sequence[Bar]) -> str:
    words = {True: "yes", False: "**no**", None: "–"}
    rows = [[bar.what, bar.bar, bar.found, words[bar.is_met]] for bar in bars]
    return markdown([["what", "bar", "found", "met"], *rows])


def hardware() -> dict[str, str]:
    """What the numbers depend on, without the machine's name."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in info.splitlines())
    }
    flags = set(fields.get("flags", "").split())
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return {
        "processor": fields.get("model name", platform.processor() or "unknown"),
        "cores": str(os.cpu_count()),
        "instructions": " ".join(known) or "none of AVX2, AVX-512, AMX",
        "memory": f"{total_memory() / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def document(
    series: Sequence[Series],
    bars: Sequence[Bar],
    installed: Installed,
    facts: dict[str, str],
) -> str:
    """The whole report as Markdown. ``facts``: when, how long, how often, on what."""
    versions = [
        [PEERS[name].title, ", ".join(f"{key} {value}" for key, value in found.items())]
        for name, found in installed.versions.items()
    ]
    versions += [[PEERS[name].title, reason] for name, reason in installed.missing.items()]
    parts = [
        "# Benchmarks",
        "Made by `make bench`; `python -m benchmarks --help` says what can be chosen, and "
        "`benchmarks/peers.md` how the others are installed.",
        "Models of random weights, one thread, LoRA of rank 8 on all linear layers, the same rows "
        "and steps for everyone. Tokens are those of the rows, without padding. Numbers are "
        "minimum / median / maximum of runs that took turns, a single number where a setting was "
        "left after the first round because another of its kind was faster. CPU seconds count "
        "all threads.",
        "## Bars",
        bar_table(bars),
        "## Readings",
        *part_tables(series),
        "## Measured on",
        markdown([["", ""], *([name, value] for name, value in facts.items())]),
        markdown([["contestant", "versions"], *versions]),
    ]
    return "\n\n".join(parts) + "\n"
