"""A rule is data: one condition on a table of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

About = Literal["row count", "columns", "not null", "in set", "between", "matches", "equal set"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One condition on a table of facts.

    Attributes:
        name: of the check.
        about: the kind of condition.
        passed: sentence when it holds.
        failed: sentence when it does not; ``{found}`` stands for the rows or values that break it.
        column: the column it speaks of; empty for the table itself.
        key: the column that names a row in ``{found}``.
        low: least value, or least number of rows.
        high: greatest value, or greatest number of rows.
        allowed: the values of a set, or the names of the columns.
        pattern: a regular expression for whole values.
        mostly: share of rows (0 to 1) that must fulfil it.
        blocking: whether the delivery is refused when it fails.
    """

    name: str
    about: About
    passed: str
    failed: str
    column: str = ""
    key: str = ""
    low: float | None = None
    high: float | None = None
    allowed: tuple[Any, ...] = ()
    pattern: str = ""
    mostly: float = 1.0
    blocking: bool = True


def whole(columns: Sequence[str], judged: Sequence[str], key: str, n_rows: int | None, rows: str) -> tuple[Rule, ...]:
    """Schema, row count and nulls of judged columns: without them an empty table passes every other rule."""
    exact = n_rows is not None
    return (
        Rule(
            name=f"{rows}: facts complete",
            about="columns",
            allowed=tuple(columns),
            passed="Every fact was measured.",
            failed="Facts are missing or unexpected: {found}.",
        ),
        Rule(
            name=f"{rows}: counted",
            about="row count",
            low=n_rows if exact else 1,
            high=n_rows,
            passed=f"There are {n_rows} {rows}." if exact else f"There are {rows}.",
            failed=f"There are {{found}} {rows}, not {n_rows}." if exact else f"There are no {rows} in the delivery.",
        ),
        *(
            Rule(
                name=f"{rows}: {column} known",
                about="not null",
                column=column,
                key=key,
                passed=f"{column} is known for all {rows}.",
                failed=f"{column} is not known for {{found}}.",
            )
            for column in judged
        ),
    )
