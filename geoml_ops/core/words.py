"""Names that people gave, as machines take them: letters, digits, ``-`` and ``_``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_OTHERS = re.compile(r"[^0-9A-Za-z_-]+")


def plain(word: str) -> str:
    """Returns a name in plain letters: accents dropped, whatever else is between them ``_``; empty if none is left."""
    letters = unicodedata.normalize("NFKD", word.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _OTHERS.sub("_", letters).strip("_")


def plain_names(words: Sequence[str]) -> tuple[str, ...]:
    """Returns a plain name of its own for each of several different names; those that are plain keep theirs.

    Where two would become one, or nothing is left, a number is added: ``class_3``.
    """
    taken = {word for word in words if word == plain(word)}
    found = []
    for place, word in enumerate(words):
        name = stem = plain(word)
        number = place
        while name != word and (not name or name in taken):
            name, number = f"{stem or 'class'}_{number}", number + 1
        taken.add(name)
        found.append(name)
    return tuple(found)
