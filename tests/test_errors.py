"""One line out of whatever another library raises."""

from __future__ import annotations

import pytest

from selfcog.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotImplementedError(), "NotImplementedError"),
        (ValueError("\n  \n"), "ValueError"),
        (RuntimeError("\nsize mismatch\n  at layer 3"), "size mismatch"),
    ],
    ids=["says nothing", "blank", "several lines"],
)
def test_the_first_line_of_an_error_or_its_kind(error: Exception, line: str) -> None:
    assert first_line(error) == line
