"""Legends: what the codes of labels stand for, as data; and what a field or a raster holds, as class names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import LegendEntry
from geoml_ops.domain.delivery.said import NamedCode

MOST_ENTRIES = 10_000
MOST_NAMED = 8
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_COLOUR = re.compile(r"#?[0-9A-Fa-f]{6}")


def legend_of(rows: Iterable[tuple[Any, Any, Any]], source: str) -> tuple[LegendEntry, ...]:
    """Returns a legend by rising code.

    Args:
        rows: code, name and colour of each entry; the colour may be empty.
        source: where they stand, for sentences.

    Raises:
        BadInput: a code is no whole number or stands there twice, a name is empty or stands for two codes, a colour
            is none, or there are no entries or too many.
    """
    found: dict[int, LegendEntry] = {}
    names: dict[str, int] = {}
    for raw, name, colour in rows:
        code, said = whole(raw), str(name if name is not None else "").strip()
        if code is None:
            raise BadInput(f"{source} names a code {str(raw)[:60]!r}, which is no whole number.", "write 1, 2, 3")
        if not said or len(said) > 120:
            raise BadInput(f"{source} has {'no name' if not said else 'too long a name'} for code {code}.", "name it")
        if code in found:
            raise BadInput(
                f"{source} names code {code} twice: {found[code].name[:60]!r} and {said[:60]!r}.", "keep one of them"
            )
        if said in names:
            raise BadInput(
                f"{source} calls both {names[said]} and {code} {said[:60]!r}.",
                "give every code a name of its own; the experiment's classes bring names together",
            )
        found[code] = LegendEntry(code=code, name=said, colour=_colour(colour, code, source))
        names[said] = code
        if len(found) > MOST_ENTRIES:
            raise BadInput(f"{source} has more than {MOST_ENTRIES} entries.", "name classes, not objects")
    if not found:
        raise BadInput(f"{source} is empty.", "name at least one code")
    return tuple(found[code] for code in sorted(found))


def legend_rows(content: Any, source: str) -> list[tuple[Any, Any, Any]]:
    """Returns code, name and colour of each entry of plain values: a mapping from codes, or a list of entries.

    Raises:
        BadInput: it is neither, or an entry is of another form.
    """
    if isinstance(content, Mapping):
        return [(code, *_named(entry, code, source)) for code, entry in content.items()]
    if isinstance(content, list):
        wrong = [
            entry for entry in content if not isinstance(entry, Mapping) or set(entry) - _PARTS or "code" not in entry
        ]
        if not wrong:
            return [(entry["code"], entry.get("name"), entry.get("colour")) for entry in content]
        raise BadInput(f"{source} holds {str(wrong[0])[:60]!r}.", "write code, name and colour for every entry")
    raise BadInput(f"{source} is no legend.", "write code: name, one per line")


_PARTS = {"code", "name", "colour"}


def _named(entry: Any, code: Any, source: str) -> tuple[Any, Any]:
    if isinstance(entry, NamedCode):
        return entry.name, entry.colour
    if isinstance(entry, Mapping):
        if set(entry) - (_PARTS - {"code"}):
            raise BadInput(
                f"{source} says {str(sorted(map(str, entry)))[:60]} of code {str(code)[:20]}.", "say name and colour"
            )
        return entry.get("name"), entry.get("colour")
    return entry, None


def _colour(colour: Any, code: int, source: str) -> str:
    said = str(colour if colour is not None else "").strip()
    if not said:
        return ""
    if not _COLOUR.fullmatch(said):
        raise BadInput(f"{source} gives code {code} the colour {said[:40]!r}.", "write #rrggbb")
    return "#" + said.lstrip("#").lower()


def whole(value: Any) -> int | None:
    """Returns the whole number that a value is or spells, or None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 62 else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) and abs(value) < 1 << 53 else None
    text = str(value).strip()
    return int(text) if _WHOLE.fullmatch(text) else None


def named(values: Sequence[Any], legend: Sequence[LegendEntry], field: str) -> list[str | None]:
    """Returns the class name of each value of a field that holds codes; None where it holds nothing.

    Raises:
        BadInput: values that are no codes of the legend; the sentence names them and counts them.
    """
    names = {entry.code: entry.name for entry in legend}
    codes = [None if _nothing(value) else whole(value) for value in values]
    strange = Counter(
        str(value)[:40] if code is None else str(code)
        for value, code in zip(values, codes, strict=True)
        if not _nothing(value) and code not in names
    )
    if strange:
        raise BadInput(
            f"{field[:60]} holds what the legend does not name: {counts_in_words(strange)}.",
            "name these codes in the legend",
        )
    return [None if code is None else names[code] for code in codes]


def plain_labels(values: Sequence[Any]) -> list[str | None]:
    """Returns the values of a field as class names; None where it holds nothing."""
    return [None if _nothing(value) else _spelled(value) for value in values]


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value)


def _spelled(value: Any) -> str:
    # A field of whole numbers with gaps arrives as floats.
    return str(int(value)) if isinstance(value, float) and whole(value) is not None else str(value)


def counts_in_words(counts: Mapping[str, int], what: str = "") -> str:
    """Returns names with their counts, the most frequent first, the first few of them."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{name} ({count:,}{what})" for name, count in ordered[:MOST_NAMED])
    return said + (f" and {len(ordered) - MOST_NAMED:,} more" if len(ordered) > MOST_NAMED else "")
