"""Count what ms-swift makes of the identity rows, before anything is trained on them.

Runs in ms-swift's environment and loads the rows through ms-swift, as `swift sft` does. Stops when
a placeholder was left in or no row names the model: ms-swift would train on such rows silently.

    python check_rows.py 'DIR/self-cognition#500' OUT.json --model_name ZH EN --model_author ZH EN
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from swift.dataset import load_dataset

PACKAGES = ("ms-swift", "torch", "transformers", "peft", "datasets", "modelscope")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model_name", nargs=2, required=True)
    parser.add_argument("--model_author", nargs=2, required=True)
    args = parser.parse_args()

    rows, _ = load_dataset(
        [args.dataset],
        seed=42,
        shuffle=True,
        load_from_cache_file=False,
        model_name=args.model_name,
        model_author=args.model_author,
    )
    texts = [[turn["content"] for turn in row["messages"]] for row in rows]
    answers = [turns[-1] for turns in texts]
    names, authors = args.model_name, args.model_author
    has_name = [says_name(answer, names, authors) for answer in answers]
    has_author = [any(author in answer for author in authors) for answer in answers]
    found = {
        "num_rows": len(answers),
        "num_different_rows": len({tuple(turns) for turns in texts}),
        "num_placeholders": sum(
            mark in text for turns in texts for text in turns for mark in ("{{NAME}}", "{{AUTHOR}}")
        ),
        "num_with_name": sum(has_name),
        "num_with_author": sum(has_author),
        "num_with_neither": sum(
            not (one or other) for one, other in zip(has_name, has_author, strict=True)
        ),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }
    args.out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if found["num_placeholders"] or not found["num_with_name"]:
        raise SystemExit(f"ms-swift did not fill in name and author: {found}")


def says_name(answer: str, names: list[str], authors: list[str]) -> bool:
    """Whether a name stands in the answer, other than as a part of the maker's."""
    for author in authors:
        answer = answer.replace(author, "")
    return any(name in answer for name in names)


if __name__ == "__main__":
    main()
