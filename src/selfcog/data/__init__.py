"""Where rows come from: sources, formats, checks, mixing and the report about them.

Nothing heavy is imported: pyarrow, datasets and modelscope only when a source needs them.
"""

from selfcog.data.load import LoadedData, LoadedQuestions, load_dataset, load_questions
from selfcog.data.mix import Selection, mix, sample, select, split_dev
from selfcog.data.read import Source, parse_source, read_rows
from selfcog.data.report import count_tokens, data_report, summary_lines
from selfcog.data.shares import Shares, apply_shares, find_shares

__all__ = [
    "LoadedData",
    "LoadedQuestions",
    "Selection",
    "Shares",
    "Source",
    "apply_shares",
    "count_tokens",
    "data_report",
    "find_shares",
    "load_dataset",
    "load_questions",
    "mix",
    "parse_source",
    "read_rows",
    "sample",
    "select",
    "split_dev",
    "summary_lines",
]
