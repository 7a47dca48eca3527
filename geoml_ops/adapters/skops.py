"""Fitted scikit-learn models on disk without pickle: reading one builds only the types listed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import skops.io

from geoml_ops.core.errors import Refused
from geoml_ops.platform.files import whole_file

TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")


def save(model: Any, path: Path) -> None:
    """Writes a fitted model (``.skops``), whole or absent."""
    with whole_file(path) as part:
        skops.io.dump(model, part)


def load(path: Path) -> Any:
    """Returns a model that :func:`save` wrote.

    Raises:
        Refused: the file names a type that no model of this platform has.
    """
    strange = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))
    if strange:
        raise Refused(f"{path.name} holds {', '.join(strange)}, which no model of this platform has.", "train again")
    return skops.io.load(path, trusted=list(TRUSTED))
