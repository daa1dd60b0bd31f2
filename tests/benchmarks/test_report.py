"""The tables of the benchmark, and the table of the profiler."""

from __future__ import annotations

from benchmarks.bars import Bar
from benchmarks.contestants import OURS, Installed
from benchmarks.measure import Reading
from benchmarks.profile_step import OTHER, OUTSIDE, Operator, kind_of, kind_table, operator_table
from benchmarks.report import bar_table, document, hardware, markdown, part_table, part_tables
from benchmarks.series import Series


def series(part: str, peer: str, setting: str, *readings: Reading) -> Series:
    return Series(part, "S", peer, setting, list(readings))


def test_a_table_is_markdown() -> None:
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_rows_compare_selfcog_with_each_of_the_others() -> None:
    ours = series("train", OURS, "default", Reading({"tokens_per_cpu_s": 500, "peak_rss_gb": 1.5}))
    theirs = series("train", "hf", "batch 1", Reading({"tokens_per_cpu_s": 250, "peak_rss_gb": 3}))
    failed = series("train", "hf", "batch 4", Reading(status="out of memory", message="/some/file"))
    head, first, second, third = part_table([ours, theirs, failed])
    assert head[-1] == "selfcog / this"
    assert first == ["selfcog, default", "500", "1.50", "–", ""]
    assert second == ["HF Trainer + peft, batch 1", "250", "3.00", "–", "2.00"]
    # The message may name files of the machine; it is for the terminal.
    assert third == ["HF Trainer + peft, batch 4", "out of memory", "", "", ""]


def test_help_is_compared_with_help() -> None:
    found = [
        series("quick", OURS, "help", Reading({"cpu_s": 0.1})),
        series("quick", OURS, "data error", Reading({"cpu_s": 0.2})),
        series("quick", "swift", "data error", Reading({"cpu_s": 2.0})),
    ]
    assert [row[-1] for row in part_table(found)[1:]] == ["", "", "0.10"]


def test_a_comparison_of_files_is_no_row() -> None:
    merge = series("merge", OURS, "merge", Reading({"cpu_s": 3.0}))
    same = series("merge", OURS, "against peft's result", Reading({"tensors": 2, "differing": 0}))
    [heading, table] = part_tables([merge, same])
    assert heading == "### Merging an adapter (S)"
    assert "against" not in table


def test_bars_that_were_not_measured_are_neither_met_nor_missed() -> None:
    table = bar_table([Bar("a", "≤ 1", "2", False), Bar("b", "≤ 1", "not measured", None)])
    assert table.splitlines()[2:] == ["| a | ≤ 1 | 2 | **no** |", "| b | ≤ 1 | not measured | – |"]


def test_the_document_names_versions_and_what_is_missing() -> None:
    installed = Installed(
        versions={OURS: {"selfcog": "1.0", "torch": "2.0"}}, missing={"trl": "not installed"}
    )
    one = series("start", OURS, "default", Reading({"first_step_cpu_s": 4.0}))
    text = document([one], [], installed, hardware())
    assert "| selfcog | selfcog 1.0, torch 2.0 |" in text
    assert "| TRL | not installed |" in text
    assert "| cores | " in text


def test_operators_are_summed_by_kind() -> None:
    operators = [
        Operator("aten::mm", 10, 2.0),
        Operator("aten::addmm", 1, 1.0),
        Operator("aten::_scaled_dot_product_flash_attention_for_cpu", 1, 0.5),
        Operator("aten::copy_", 4, 0.25),
    ]
    assert kind_table(operators, 4.0) == [
        ["kind", "s", "share"],
        ["matrix products", "3.000", "75.0%"],
        ["attention", "0.500", "12.5%"],
        ["casts and copies", "0.250", "6.2%"],
        [OUTSIDE, "0.250", "6.2%"],
        ["wall time", "4.000", ""],
    ]
    assert operator_table(operators, 4.0)[1] == ["aten::mm", "10", "2.000", "50.0%"]
    assert kind_of("aten::_log_softmax") == "softmax and loss"
    assert kind_of("aten::unheard_of") == OTHER
