"""``python -m benchmarks``: selfcog beside every peer that is installed, in one invocation.

    python -m benchmarks --only train start --models S --peer swift=envs/swift/bin/python

Every contestant runs in processes of its own, taking turns (A B A B …), one at a time. Prints
tables and, last, one JSON line; ``--out docs/benchmarks.md`` writes the tables there. Models, rows,
logs and results are kept in ``--output``. Use a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bars import check_bars
from benchmarks.contestants import OURS, PEERS, find_installed
from benchmarks.models import SHAPES, SkipBenchmark, find_tokenizer
from benchmarks.parts import PARTS, Bench
from benchmarks.report import document, hardware
from benchmarks.series import Series, from_json


def main() -> int:
    args = read_arguments()
    output: Path = args.output.resolve()
    try:
        find_tokenizer()
    except SkipBenchmark as skip:
        print(skip)
        return 0
    installed = find_installed(dict(args.peer), output / "envs")
    for name, reason in installed.missing.items():
        print(f"{PEERS[name].title}: {reason}")
    if OURS not in installed.pythons:
        print("selfcog itself is not installed here; make setup installs it", file=sys.stderr)
        return 1
    models = [name for name in SHAPES if name in args.models]
    # In a process of its own: torch would stay in this one's memory, which everyone is measured in.
    build = [sys.executable, "-m", "benchmarks.models", "--output", str(output)]
    subprocess.run([*build, "--models", *models], check=True)

    bench = Bench(output, installed, args.repeats, args.steps, say)
    load_before, started = os.getloadavg()[0], time.time()
    series: list[Series] = []
    for part in PARTS:
        if part in args.only:
            say(f"== {part}")
            series += bench.run_part(part, models)
    apart = read_earlier(args.add, {(one.part, one.model) for one in series})
    series = sorted([*series, *apart], key=lambda one: (PARTS.index(one.part), one.model != "S"))
    bars = check_bars(series)
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        **hardware(),
        "load before": f"{load_before:.1f}",
        "repeats": str(args.repeats),
        "took": f"{(time.time() - started) / 60:.0f} min",
    }
    if apart:
        facts["taken from an earlier run"] = ", ".join(
            dict.fromkeys(f"{one.part} {one.model}" for one in apart)
        )
    text = document(series, bars, installed, facts)
    print(text)
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    result = {
        "facts": facts,
        "versions": installed.versions,
        "missing": installed.missing,
        "series": [one.to_json() for one in series],
        "bars": [bar.to_json() for bar in bars],
    }
    line = json.dumps(result, ensure_ascii=False)
    (output / "results.json").write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def read_arguments() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument(
        "--models", nargs="+", choices=SHAPES, default=["S", "M"], help="T is for trying this out"
    )
    parser.add_argument(
        "--peer",
        action="append",
        type=read_peer,
        default=[],
        metavar="NAME=PYTHON",
        help=f"where a peer is installed; NAME is one of {', '.join(PEERS)}",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, help="optimiser steps of a training; default: few")
    parser.add_argument(
        "--add",
        type=Path,
        nargs="+",
        default=[],
        metavar="RESULTS",
        help="results.json of earlier invocations, whose other parts are shown as well",
    )
    parser.add_argument("--output", type=Path, default=Path("output/bench"))
    parser.add_argument("--out", type=Path, help="Markdown file for the tables")
    return parser.parse_args()


def read_peer(text: str) -> tuple[str, str]:
    """``NAME=PYTHON``; the interpreter keeps its own path, or its environment would be lost."""
    name, equals, python = text.partition("=")
    if not equals or name not in PEERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=PYTHON with one of {list(PEERS)}")
    return name, os.path.abspath(python)


def read_earlier(files: Sequence[Path], measured: set[tuple[str, str]]) -> list[Series]:
    """What earlier invocations found, without the (part, model) that were measured now."""
    found: dict[tuple[str, str], list[Series]] = {}
    for path in files:
        series = [from_json(one) for one in json.loads(path.read_text("utf-8"))["series"]]
        found |= {(one.part, one.model): [] for one in series}
        for one in series:
            found[one.part, one.model].append(one)
    return [one for key, series in found.items() if key not in measured for one in series]


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
