"""Lists the indices of the installed spyndex that the catalogue lacks or writes otherwise, as lines to paste.

``python infra/indices.py`` says nothing when the catalogue is complete. Formulae are facts; those of spyndex
(Awesome Spectral Indices, D. Montero et al., MIT licence) are rewritten in the language of features, kernels
written out, and constants set as each publication has them.
"""

from __future__ import annotations

import re
import sys

import spyndex

from geoml_ops.domain.features.catalogue import INDICES, LEFT_OUT, Index
from geoml_ops.domain.features.grammar import parse
from geoml_ops.domain.features.tree import written

#: The soil line of Huete's family is half covered; the catalogue of spyndex has one L for all.
HALF_COVERED = ("GSAVI", "IBI", "MNLI", "NBUI", "SARVI", "SAVI", "SAVIT", "SNDTI")
CONSTANTS: dict[str, dict[str, float]] = {
    **{name: {"L": 0.5} for name in HALF_COVERED},
    # Wang et al. 2017; the index of Zeng et al. 2022 is built on it.
    "NDPI": {"alpha": 0.74},
    "sNIRvNDPI": {"alpha": 0.74},
    # There only against division by zero, where an index has no value.
    "WCI1": {"epsilon": 0.0},
    "WCI2": {"epsilon": 0.0},
}


def kernel(match: re.Match[str]) -> str:
    """Returns the RBF kernel of two bands, sigma being their mean (Camps-Valls et al. 2021)."""
    a, b = match.group(1), match.group(2)
    return "1.0" if a == b else f"exp(-(({a} - {b}) / ({a} + {b})) ** 2 * 2)"


def formula_of(name: str) -> str:
    """Returns the formula of an index of spyndex in the language of features."""
    text = re.sub(r"\bk([NRGBL])([NRGBL])\b", kernel, spyndex.indices[name].formula)
    return written(parse(text).tree)


def entry_of(name: str) -> Index:
    """Returns what the catalogue should say of an index of spyndex."""
    found = spyndex.indices[name]
    source = found.reference.removeprefix("https://doi.org/").removeprefix("http://dx.doi.org/")
    return Index(formula_of(name), source, CONSTANTS.get(name, {}), found.application_domain)


def line_of(name: str, index: Index, width: int = 120) -> str:
    """Returns the line of the catalogue that says so, cut where it is too long."""
    more = f", {dict(index.constants)}" if index.constants else ""
    line = f'    "{name}": Index("{index.formula}", "{index.source}"{more}),'
    if len(line) <= width:
        return line
    parts, rest = [], index.formula
    while len(rest) > width - 20:
        cut = rest.rfind(" ", 0, width - 20) + 1
        parts.append(rest[:cut])
        rest = rest[cut:]
    text = "\n".join(f'        "{part}"' for part in [*parts, rest])
    body = [f"{text},", f'        "{index.source}",', *([f"        {dict(index.constants)},"] if more else [])]
    return "\n".join([f'    "{name}": Index(', *body, "    ),"])


def main() -> None:
    """Prints what is missing."""
    for name in spyndex.indices:
        if name not in LEFT_OUT and INDICES.get(name) != entry_of(name):
            sys.stdout.write(f"{line_of(name, entry_of(name))}\n")


if __name__ == "__main__":
    main()
