"""From the start of a process to the first token of base + adapter: transformers and peft."""

from __future__ import annotations

import argparse

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--question", required=True)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(args.model), args.adapter
    ).eval()
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": args.question}], tokenize=False, add_generation_prompt=True
    )
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=1, do_sample=False)
    print(tokenizer.decode(output[0, inputs.input_ids.shape[1] :]))


if __name__ == "__main__":
    main()
