"""``python -m recipes.embedded``: makes (or scores) the embedded model. See --help."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recipes.embedded",
        description="Makes the embedded model from nothing (corpus, tokenizer, training, "
        "export), or scores it.",
        epilog="A file OUT/decay-now starts the final decay at once. The run is deterministic "
        "for given --tokens, seed and identity bank; --minutes depends on the machine.",
    )
    parser.add_argument("--minutes", type=float, help="wall-clock budget of the training")
    parser.add_argument(
        "--tokens", type=int, help="token budget of the training (default 12,000,000)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("output/embedded"),
        help="folder of log, checkpoints and export",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--eval-minutes", type=float, default=6.0, help="minutes between two quick scores"
    )
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="only write OUT/checkpoint.pt as a model folder"
    )
    parser.add_argument("--score", type=Path, metavar="MODEL", help="only score this model folder")
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    if args.score is not None:
        from recipes.embedded.score import score_model

        score_model(args.score, args.out)
    elif args.export is not None:
        from recipes.embedded.train import export, make_model

        data = torch.load(args.out / "checkpoint.pt", weights_only=False)
        model = make_model(data["model"]["model.embed_tokens.weight"].shape[0], args.seed)
        model.load_state_dict(data["model"])
        export(model, args.out / "tokenizer", args.export)
    else:
        from recipes.embedded.train import train

        tokens = args.tokens if args.minutes or args.tokens else 12_000_000
        train(args.out, args.minutes, tokens, args.seed, args.resume, args.eval_minutes)


if __name__ == "__main__":
    main()
