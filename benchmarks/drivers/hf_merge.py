"""A merge with peft: load the base and the adapter, ``merge_and_unload``, save the whole model."""

from __future__ import annotations

import argparse

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(args.model), args.adapter
    )
    model.merge_and_unload().save_pretrained(args.output)
    AutoTokenizer.from_pretrained(args.model).save_pretrained(args.output)


if __name__ == "__main__":
    main()
