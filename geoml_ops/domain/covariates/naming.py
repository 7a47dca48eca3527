"""Names of products that are made once for each thing that a covariate reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates.recipe import Product

_DEFINED = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)")


def label_of(text: str) -> str:
    """Returns the word by which bands call a feature or a delivery: its own name, or its text without signs.

    >>> label_of("B08"), label_of("mean(NDVI, 9)"), label_of("MYI = nir / red")
    ('B08', 'mean_NDVI_9', 'MYI')
    """
    defined = _DEFINED.match(text)
    return defined.group(1) if defined else re.sub(r"\W+", "_", text.strip()).strip("_")


def labels(of: Sequence[str]) -> dict[str, str]:
    """Returns label to text.

    Raises:
        BadInput: two texts have the same label, or one has none.
    """
    found: dict[str, str] = {}
    for text in of:
        label = label_of(text)
        if not label or label in found:
            other = f"{found[label][:60]!r} and " if label in found else ""
            raise BadInput(
                f"{other}{text[:60]!r} would name the same bands {label[:60]!r}.", "define one under a name: A = …"
            )
        found[label] = text
    return found


def per_input(of: Sequence[str], statistics: Mapping[str, Product]) -> dict[str, Product]:
    """Returns the products ``<label>_<statistic>`` of everything in ``of``; where it is one, the bare name will do.

    Raises:
        BadInput: as :func:`labels`.
    """
    named = {f"{label}_{name}": product for label in labels(of) for name, product in statistics.items()}
    return {**named, **(statistics if len(of) == 1 else {})}


def asked(products: Sequence[str], of: Sequence[str], statistics: Mapping[str, Product]) -> dict[str, tuple[str, str]]:
    """Returns, for each product that :func:`per_input` knows, the text it reads and its statistic."""
    known = {f"{label}_{name}": (text, name) for label, text in labels(of).items() for name in statistics}
    if len(of) == 1:
        known.update({name: (of[0], name) for name in statistics})
    return {product: known[product] for product in products if product in known}
