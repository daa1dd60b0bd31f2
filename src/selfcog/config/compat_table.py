"""The rows of compat.py. Sources: ms-swift's arguments.py at 1.6.1, 1.7.0 and 4.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SFT = ("sft",)
INFER = ("infer",)
EXPORT = ("export",)
USE = ("infer", "export")
ALL = ("sft", "infer", "export")


@dataclass(frozen=True, slots=True)
class Alias:
    """One flag of ms-swift.

    new: our leaf, or None where the flag has no meaning here.
    values: their value (lower case) → ours; None: the same as leaving the flag out.
    refusal: if given, values that are not in ``values`` are an error with this text.
    notice: one line shown when the flag is used; a flag without meaning and without a notice is
        summed up in one line with the others.
    is_list: ``new`` takes several values, so that none at all is a value too.
    is_comma_list: their values may also be separated by commas.
    """

    old: str
    new: str | None
    verbs: tuple[str, ...] = ALL
    values: Mapping[str, str | None] = field(default_factory=dict)
    refusal: str = ""
    notice: str = ""
    is_list: bool = False
    is_comma_list: bool = False


def _no_effect(verbs: tuple[str, ...], *names: str, notice: str = "") -> list[Alias]:
    return [Alias(name, None, verbs, notice=notice) for name in names]


def _only(
    verbs: tuple[str, ...], names: tuple[str, ...], accepted: tuple[str, ...], refusal: str
) -> list[Alias]:
    """Flags whose accepted values are what happens here anyway."""
    values = {text: text for text in accepted}
    return [Alias(name, None, verbs, values, refusal) for name in names]


OFF = ("false", "0", "0.0", "no", "none", "null", "", "[]")
DTYPES = {
    "auto": "auto",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
    "float32": "float32",
}
TARGETS = {
    "all": "all-linear",
    "auto": "default",
    "default": "default",
    "embedding": "embedding",
    "all-embedding": "embedding",
}
DEEPSPEED = {"": None, "none": None, "default-zero2": "zero2", "default-zero3": "zero3"}
# transformers also names the rule by which it finds the layers.
FSDP = {
    "": None,
    "none": None,
    "false": None,
    "true": "full_shard",
    "fsdp2": "full_shard",
    "full_shard auto_wrap": "full_shard",
    "shard_grad_op auto_wrap": "shard_grad_op",
}
OWN_TEMPLATE = "conversations are written with the checkpoint's own chat template"
NOT_YET = "not supported yet; leave it out"

MODEL = [
    Alias("model_id_or_path", "model"),
    Alias("model_cache_dir", "model"),
    Alias("model_revision", "model_revision", values={"master": None}),
    Alias("dtype", "torch_dtype", values=DTYPES),
    Alias("torch_dtype", "torch_dtype", values=DTYPES),
    Alias(
        "use_flash_attn",
        "attn_impl",
        (*SFT, *INFER),
        {"true": "flash_attention_2", "false": None, "auto": None, "none": None},
    ),
    Alias("attn_impl", "attn_impl", (*SFT, *INFER), {"flash_attn": "flash_attention_2"}),
    Alias("model_type", "model_type", SFT, notice="recorded; the checkpoint says what it is"),
    *_no_effect(USE, "model_type", notice="the checkpoint says what it is"),
    Alias("template_type", "template", SFT, {"auto": None}, notice=OWN_TEMPLATE),
    Alias("template", "template", SFT, {"auto": None}, notice=OWN_TEMPLATE),
    *_no_effect(USE, "template_type", "template", notice=OWN_TEMPLATE),
    *_no_effect(ALL, "use_hf", notice="write hf:: or ms:: before an id to say where it comes from"),
    *_no_effect(
        ALL,
        "check_model_is_latest",
        "check_model",
        "ignore_args_error",
        "device_map",
        "local_repo_path",
        "gpu_memory_fraction",
        "logging_dir",
        "model_layer_cls_name",
        "template_backend",
        "use_swift_lora",
    ),
    Alias("quantization_bit", "quant_bits", SFT, {"0": None, "": None, "none": None}),
    Alias("quant_bits", "quant_bits", SFT, {"0": None, "": None, "none": None}),
    Alias("quant_method", "quant_method", SFT, {"": None, "none": None}),
    *_only(SFT, ("bnb_4bit_quant_type",), ("nf4",), "only nf4 is supported"),
    *_only(SFT, ("bnb_4bit_use_double_quant",), ("true", "1"), "scales are quantised as well"),
    *_only(
        SFT,
        ("bnb_4bit_comp_dtype", "bnb_4bit_compute_dtype"),
        ("auto", "none", ""),
        "products are computed in --torch_dtype; give that instead",
    ),
    *_only(
        USE,
        ("quantization_bit", "quant_bits", "quant_method"),
        OFF,
        "quantised weights are not supported yet; use the unquantised checkpoint",
    ),
    *_only(ALL, ("rope_scaling", "max_memory"), OFF, NOT_YET),
    *_only(ALL, ("task_type",), ("causal_lm", "none"), "only causal_lm is supported"),
    *_only(ALL, ("use_chat_template",), ("true", "1"), "selfcog always uses the chat template"),
    *_only(ALL, ("num_beams",), ("1",), "beam search is not supported; leave it out"),
    *_only(
        ALL,
        ("custom_register_path", "external_plugins", "custom_dataset_info"),
        OFF,
        "Python plug-ins are not supported; leave it out",
    ),
    *_only(ALL, ("push_to_hub",), OFF, "uploading is not supported yet; leave it out"),
    *_no_effect(
        ALL, "hub_model_id", "hub_private_repo", "push_hub_strategy", "hub_strategy", "hub_token"
    ),
]

DATA = [
    Alias("custom_train_dataset_path", "dataset", SFT, is_list=True),
    Alias("custom_val_dataset_path", "val_dataset", (*SFT, *INFER), is_list=True),
    Alias("dataset_test_ratio", "split_dataset_ratio", SFT),
    Alias("data_seed", "dataset_seed", SFT),
    Alias(
        "truncation_strategy",
        "truncation_strategy",
        SFT,
        {"truncation_left": "left", "truncation_right": "right"},
    ),
    Alias("strict", "check_dataset_strategy", SFT, {"true": "error", "false": None}),
    Alias("show_dataset_sample", "val_dataset_sample", INFER, {"-1": None}),
    Alias("val_dataset_sample", "val_dataset_sample", (*SFT, *INFER), {"-1": None}),
    Alias(
        "dataset",
        None,
        INFER,
        refusal="infer trains nothing; give files of questions with --val_dataset",
    ),
    *_no_effect(
        INFER,
        "load_dataset_config",
        "load_data_args",
        notice="a run's rows are not restored; name files of questions with --val_dataset",
    ),
    *_only(
        SFT,
        ("train_dataset_mix_ratio", "use_loss_scale", "streaming", "predict_with_generate"),
        OFF,
        NOT_YET,
    ),
    *_only(SFT, ("loss_scale",), ("default",), "only default is supported: answers are trained"),
    *_no_effect(
        SFT,
        "lazy_tokenize",
        "preprocess_num_proc",
        "dataset_num_proc",
        "load_from_cache_file",
        "dataset_shuffle",
        "val_dataset_shuffle",
        "download_mode",
        "remove_unused_columns",
        "train_dataset_mix_ds",
        "padding_free",
        "padding_side",
        "group_by_length",
        "split_batches",
        "add_non_thinking_prefix",
        "agent_template",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "dataloader_drop_last",
    ),
]

ADAPTER = [
    Alias("sft_type", "tuner_type", SFT),
    Alias("train_type", "tuner_type", SFT),
    Alias("tuner_type", "tuner_type", SFT),
    Alias("lora_dropout_p", "lora_dropout", SFT),
    Alias("lora_target_modules", "target_modules", SFT, TARGETS, is_list=True, is_comma_list=True),
    Alias("target_modules", "target_modules", SFT, TARGETS, is_list=True, is_comma_list=True),
    Alias("lora_modules_to_save", "modules_to_save", SFT, is_list=True, is_comma_list=True),
    *_no_effect(SFT, "tuner_backend"),
    *_no_effect(USE, "sft_type", "train_type", "tuner_type", "tuner_backend"),
    *_no_effect(SFT, "lora_dtype"),
    *_only(SFT, ("lora_bias_trainable", "lora_bias"), OFF, "biases are not trained; leave it out"),
    *_only(
        SFT,
        (
            "lora_lr_ratio",
            "lorap_lr_ratio",
            "use_galore",
            "target_regex",
            "freeze_parameters",
            "freeze_parameters_ratio",
            "additional_trainable_parameters",
            "trainable_parameters",
        ),
        OFF,
        NOT_YET,
    ),
]

TRAIN = [
    Alias("batch_size", "per_device_train_batch_size", SFT),
    Alias("eval_batch_size", "per_device_eval_batch_size", SFT),
    Alias("lr_scheduler_type", "lr_scheduler_type", SFT, {"constant_with_warmup": "constant"}),
    Alias("packing_length", "tokens_per_batch", SFT),
    Alias("deepspeed_config_path", "deepspeed", SFT, DEEPSPEED),
    Alias("deepspeed", "deepspeed", SFT, DEEPSPEED),
    Alias("fsdp", "fsdp", SFT, FSDP),
    *_only(
        SFT,
        ("optim",),
        ("adamw_torch", "adamw_torch_fused", "adamw"),
        "the optimiser is AdamW; leave it out",
    ),
    *_only(SFT, ("neftune_noise_alpha", "neftune_alpha", "label_smoothing_factor"), OFF, NOT_YET),
    *_only(SFT, ("sequence_parallel_size", "deepspeed_autotp_size"), ("1", "0", "none"), NOT_YET),
    *_no_effect(
        SFT,
        "neftune_backend",
        "ddp_find_unused_parameters",
        "ddp_broadcast_buffers",
        "ddp_timeout",
        "test_oom_error",
        "use_liger_kernel",
        "use_logits_to_keep",
        "average_tokens_across_devices",
        "full_determinism",
        "bf16",
        "fp16",
        "gradient_checkpointing_kwargs",
        "vit_gradient_checkpointing",
    ),
    # Only meaningful with --predict_with_generate, which is refused.
    *_no_effect(
        SFT,
        "do_sample",
        "max_new_tokens",
        "temperature",
        "top_p",
        "top_k",
        "repetition_penalty",
        "stream",
    ),
]

OUTPUT = [
    Alias("add_output_dir_suffix", "add_version", SFT),
    Alias("disable_tqdm", "progress", SFT, {"true": "false", "false": "true"}),
    Alias("only_save_model", "save_only_model", SFT),
    Alias("report_to", "report_to", SFT, {"none": None, "all": "tensorboard"}, is_list=True),
    Alias(
        "metric_for_best_model",
        "metric_for_best_model",
        SFT,
        {"eval_loss": "loss", "eval_token_acc": "token_accuracy", "token_acc": "token_accuracy"},
    ),
    *_only(
        SFT,
        ("evaluation_strategy", "eval_strategy"),
        ("steps",),
        "only steps is supported; --eval_steps N sets how often, --split_dataset_ratio 0 "
        "turns evaluation off",
    ),
    *_only(
        SFT,
        ("save_strategy",),
        ("steps",),
        "only steps is supported; --save_steps N sets how often",
    ),
    *_only(
        ALL,
        ("save_safetensors", "safe_serialization"),
        ("true", "1"),
        "weights are always safetensors; leave it out",
    ),
    Alias("ckpt_dir", "adapters", SFT),
    *_only(SFT, ("resume_only_model",), OFF, "use --adapters to start from an adapter's weights"),
    *_no_effect(
        SFT,
        "acc_strategy",
        "acc_steps",
        "greater_is_better",
        "logging_first_step",
        "save_on_each_node",
        "create_checkpoint_symlink",
        "include_num_input_tokens_seen",
        "logging_strategy",
    ),
]

INFERENCE = [
    Alias("load_args_from_ckpt_dir", "load_args", INFER),
    Alias(
        "do_sample",
        "temperature",
        INFER,
        {"false": "0", "0": "0", "no": "0", "true": None, "1": None, "yes": None},
        refusal="give true or false",
    ),
    Alias(
        "merge_lora_and_save",
        "merge_lora",
        INFER,
        {"false": None},
        notice="merged in memory only; selfcog export --merge_lora true writes a folder",
    ),
    *_only(
        INFER,
        ("infer_backend",),
        ("auto", "pt", "transformers"),
        "only pt (transformers) is supported; a merged folder can be served by other programs",
    ),
    *_no_effect(
        INFER,
        "eval_human",
        notice="a chat starts unless --query or --val_dataset asks the questions",
    ),
    *_no_effect(INFER, "save_result", notice="what is said is always saved; see --result_path"),
    *_no_effect(
        INFER,
        "verbose",
        "overwrite_generation_config",
        "max_length",
        "dataset_seed",
        "dataset_test_ratio",
        "stop_words",
        "gpu_memory_utilization",
        "tensor_parallel_size",
        "max_model_len",
        "vllm_gpu_memory_utilization",
        "vllm_max_model_len",
        "truncation_strategy",
        "check_dataset_strategy",
        "self_cognition_sample",
        "model_name",
        "model_author",
        "metric",
    ),
]

EXPORTING = [
    Alias("merge_lora_and_save", "merge_lora", EXPORT),
    *_no_effect(
        EXPORT,
        "load_args_from_ckpt_dir",
        "load_args",
        "load_dataset_config",
        "load_data_args",
        "merge_device_map",
        "quant_device_map",
        "quant_n_samples",
        "quant_seqlen",
        "dataset",
        "custom_val_dataset_path",
        "custom_train_dataset_path",
        "max_length",
        "eval_human",
    ),
    *_only(EXPORT, ("to_ollama", "to_mcore", "to_hf", "to_peft_format"), OFF, NOT_YET),
]

ROWS: tuple[Alias, ...] = (
    *MODEL,
    *DATA,
    *ADAPTER,
    *TRAIN,
    *OUTPUT,
    *INFERENCE,
    *EXPORTING,
)
