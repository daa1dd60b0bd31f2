"""What no trainer on torch, transformers and peft can start faster than: imports and loading.

Ends as the probe does, at the moment at which a training could begin.
"""

from __future__ import annotations

import argparse
import os
import time

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rank", type=int, required=True)
    args = parser.parse_args()
    AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model)
    config = LoraConfig(task_type="CAUSAL_LM", r=args.rank, target_modules="all-linear")
    get_peft_model(model, config).train()
    print(time.process_time(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
