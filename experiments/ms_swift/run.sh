#!/usr/bin/env bash
# Trains an identity into selfcog's embedded model with ms-swift's own command line, and scores the
# adapters with `selfcog eval`. The results are left in OUTPUT/results.md; see README.md.
set -euo pipefail

usage() {
  cat <<'TEXT'
experiments/ms_swift/run.sh [flags]

  --swift_venv DIR    virtual environment that ms-swift is installed in   [../swift-venv]
  --selfcog_venv DIR  virtual environment that selfcog is installed in    [.venv]
  --data DIR          folder with the rows (see README.md)                [../shared/data]
  --model DIR         the model to train                                  [src/selfcog/model/embedded]
  --output DIR        adapters, logs, scorecards, results.md              [output/ms_swift]
  --runs "NAME …"     recipe, adapted, recipe_mixed, adapted_mixed        [recipe adapted]
  --suite NAME        quick or full                                       [quick]
  --readme            also put the results into README.md

Paths that do not begin with / count from the repository's root. A run that is done over replaces
its folder in OUTPUT.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
swift_venv=../swift-venv selfcog_venv=.venv data=../shared/data model=src/selfcog/model/embedded
output=output/ms_swift runs="recipe adapted" suite=quick readme=""
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --readme) readme=$here/README.md; shift; continue ;;
    --swift_venv | --selfcog_venv | --data | --model | --output | --runs | --suite) ;;
    *) echo "unknown flag $1; --help lists the known ones" >&2; exit 2 ;;
  esac
  [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 2; }
  declare "${1#--}=$2"
  shift 2
done

identity_rows=$data/ms_swift_self_cognition.jsonl
general=("$data/alpaca_zh_demo.json#500" "$data/alpaca_en_demo.json#500")
name=(扁仓 BianCang) author=(扁仓研究组 "BianCang Research Group")

# name: learning rate, epochs, rows
settings_of() {
  case $1 in
    recipe) echo 1e-4 1 identity ;;
    adapted) echo 2e-3 3 identity ;;
    recipe_mixed) echo 1e-4 1 mixed ;;
    adapted_mixed) echo 2e-3 3 mixed ;;
    *) echo "unknown run $1; known: recipe, adapted, recipe_mixed, adapted_mixed" >&2; exit 2 ;;
  esac
}

need() { [ -e "$1" ] || { echo "not found: $1; give another with $2 (README.md says what)" >&2; exit 2; }; }
need "$swift_venv/bin/swift" --swift_venv
need "$selfcog_venv/bin/selfcog" --selfcog_venv
need "$identity_rows" --data
need "$model/config.json" --model
for run in $runs; do
  settings=$(settings_of "$run")
  if [[ $settings == *mixed ]]; then
    for rows in "${general[@]}"; do need "${rows%#*}" --data; done
  fi
done

mkdir -p "$output"
output=$(cd "$output" && pwd)
# Nothing is fetched, and no cache outside OUTPUT is written. One thread: the matrices are small.
export HF_HUB_OFFLINE=1 HF_HOME=$output/cache/hf MODELSCOPE_CACHE=$output/cache/modelscope
export SELFCOG_CACHE=$output/cache/selfcog CUDA_VISIBLE_DEVICES="" TOKENIZERS_PARALLELISM=false
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# ms-swift fills in {{NAME}} and {{AUTHOR}} only in its registered data set. A local *folder* of the
# same name counts as that data set, a local file does not.
mkdir -p "$output/self-cognition"
cp "$identity_rows" "$output/self-cognition/rows.jsonl"
identity=$output/self-cognition#500
"$swift_venv/bin/python" "$here/check_rows.py" "$identity" "$output/rows.json" \
  --model_name "${name[@]}" --model_author "${author[@]}" >"$output/rows.log" 2>&1 ||
  { tail -n 20 "$output/rows.log" >&2; echo "the rows cannot be used: $output/rows.log" >&2; exit 1; }

for run in $runs; do
  read -r rate epochs rows <<<"$(settings_of "$run")"
  datasets=("$identity")
  [ "$rows" = identity ] || datasets=("${general[@]}" "$identity")
  rm -rf "${output:?}/$run"
  mkdir -p "$output/$run"
  echo "== $run: learning rate $rate, $epochs epochs, rows: $rows"
  # The settings of ms-swift's quick start, but for what README.md lists.
  "$swift_venv/bin/swift" sft \
    --model "$model" --model_type qwen2 --template chatml --check_model false \
    --tuner_type lora --lora_rank 8 --lora_alpha 32 --target_modules all-linear \
    --dataset "${datasets[@]}" --model_name "${name[@]}" --model_author "${author[@]}" \
    --torch_dtype float32 --max_length 2048 \
    --num_train_epochs "$epochs" --learning_rate "$rate" --warmup_ratio 0.05 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 16 \
    --gradient_checkpointing false --dataloader_num_workers 0 \
    --save_steps 50 --save_total_limit 2 --logging_steps 5 \
    --output_dir "$output/$run/train" --add_version false \
    >"$output/$run/train.log" 2>&1 ||
    { tail -n 20 "$output/$run/train.log" >&2; echo "training failed: $output/$run/train.log" >&2; exit 1; }
  adapter=$(ls -d "$output/$run/train"/checkpoint-* | sort -V | tail -n 1)
  "$selfcog_venv/bin/selfcog" eval --model "$model" --adapters "$adapter" \
    --model_name "${name[@]}" --model_author "${author[@]}" --suite "$suite" \
    --num_threads "$OMP_NUM_THREADS" --output_dir "$output/$run/scorecard" \
    >"$output/$run/score.log" 2>&1 ||
    { tail -n 20 "$output/$run/score.log" >&2; echo "scoring failed: $output/$run/score.log" >&2; exit 1; }
done

# shellcheck disable=SC2086  # several names
"$selfcog_venv/bin/python" "$here/results.py" "$output" $runs ${readme:+--readme "$readme"}
