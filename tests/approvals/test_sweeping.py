"""A row that cannot be handled stops no other row of its sweep."""

from __future__ import annotations

import pytest

from approvals.sweeping import handled


def test_a_row_that_fails_is_logged_and_the_others_are_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []

    def share(row: int) -> bool:
        seen.append(row)
        return 12 / row > 3

    assert [handled(share, row, "The row %s failed.") for row in (2, 0, 6)] == [True, False, False]
    assert seen == [2, 0, 6]
    (record,) = caplog.records
    assert record.getMessage() == "The row 0 failed."
    assert record.exc_info is not None
