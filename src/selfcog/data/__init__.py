"""Where rows come from: sources, formats, checks, mixing and the report about them.

Nothing heavy is imported: pyarrow, datasets and modelscope only when a source needs them.
"""

from selfcog.data.load import LoadedData, LoadedQuestions, load_dataset, load_questions
from selfcog.data.mix import Selection, mix, sample, select, split_dev
from selfcog.data.read import Source, parse_source, read_rows
from selfcog.data.report import data_report, summary_lines

__all__ = [
    "LoadedData",
    "LoadedQuestions",
    "Selection",
    "Source",
    "data_report",
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
