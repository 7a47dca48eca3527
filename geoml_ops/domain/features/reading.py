"""From the lines of an experiment to its features: lists multiplied out, own names put in, each one once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from keyword import iskeyword

from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features.catalogue import INDICES
from geoml_ops.domain.features.functions import FUNCTIONS, MAX_HALO_PX
from geoml_ops.domain.features.grammar import MAX_TEXT, parse
from geoml_ops.domain.features.ranges import Interval, range_of
from geoml_ops.domain.features.resolving import Meaning, completed, resolve
from geoml_ops.domain.features.tree import Choice, Name, Node, Number, Tree, names_in, parts, walk, written

MAX_FEATURES, MAX_NAME = 500, 60
_LABEL = 40
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Feature:
    """One column, and what it is made of.

    Attributes:
        text: canonical; reads back as this feature, alone and on the same sensor.
        label: short name for people.
        tree: what the graph computes: bands by sensor name, numbers, functions.
        bands: sensor names of its bands, in the contract's order.
        halo_px: pixels beyond its own that it sees.
        range: lowest and highest value for reflectances from 0 to 1 and other bands within their limits;
            infinite where no limit is known.
        source: where its formulae were published; empty for bands and formulae of one's own.
        reflectance_only: whether an index in it changes with the scale of its bands.
    """

    text: str
    label: str
    tree: Tree
    bands: tuple[str, ...]
    halo_px: int
    range: Interval
    source: str
    reflectance_only: bool


def read(texts: Sequence[str], contract: Contract) -> tuple[Feature, ...]:
    """Returns the features that lines of text stand for, in their order.

    Args:
        texts: each a name, a formula, or ``NAME = formula``; a name given to a formula may be used further down.
        contract: what names of bands mean.

    Raises:
        BadInput: there is none or too many, one is not in the language or cannot be made of these bands, or two
            are the same.
    """
    if isinstance(texts, str):
        raise BadInput(f"The features are one text, {texts[:60]!r}.", "give a list of texts")
    known: dict[str, Tree] = {}
    found: list[Feature] = []
    for text in texts:
        if not isinstance(text, str):
            raise BadInput(f"A feature is {str(text)[:60]!r}, which is no text.", "give every feature as text")
        found += _read_line(text, contract, known)
        if len(found) > MAX_FEATURES:
            raise BadInput(f"There are more than {MAX_FEATURES} features.", "shorten the lists")
    _require_different(found)
    return tuple(found)


def label_of(text: str) -> str:
    """Returns a short name of a canonical text, for people.

    >>> label_of("mean(NDVI, 9)")
    'mean_NDVI_9'
    """
    try:
        definition = parse(text)
    except BadInput:
        # A band may be called what is no formula.
        return _short(text)
    return definition.name or _label(definition.tree)


def halo_of_tree(tree: Tree) -> int:
    """Returns how many pixels beyond its own a tree sees: those of nested windows add up."""
    below = max((halo_of_tree(part) for part in parts(tree)), default=0)
    windowed = isinstance(tree, Node) and tree.kind in FUNCTIONS and FUNCTIONS[tree.kind].kind != "elementwise"
    return below + (int(tree.option("window")) // 2 if windowed and isinstance(tree, Node) else 0)


def _read_line(text: str, contract: Contract, known: dict[str, Tree]) -> list[Feature]:
    # A sensor may call its bands what it likes, also what would be a number here.
    if text in contract.names:
        return [_feature(text, text, Meaning(Name(text)), contract)]
    line = parse(text)
    if line.name:
        _require_free(line.name, contract, known)
    if _count(line.tree) > MAX_FEATURES:
        raise BadInput(f"{text[:60]!r} multiplies out to more than {MAX_FEATURES} features.", "shorten its lists")
    made = []
    for tree, chosen in _alternatives(line.tree):
        name = "_".join([line.name, *chosen]) if line.name else ""
        made.append(_one(name, tree, contract, known))
    if line.name and len(made) == 1:
        known[line.name] = parse(made[0].text).tree
    elif line.name:
        known[line.name] = Choice((line.tree,))
    return made


def _one(name: str, tree: Tree, contract: Contract, known: dict[str, Tree]) -> Feature:
    whole = _put_in(tree, known)
    if whole != tree and not name:
        name = _label(tree)
    final = completed(whole, contract)
    text = f"{name} = {written(final)}" if name and _IDENTIFIER.fullmatch(name) else written(final)
    if len(text) > MAX_TEXT:
        raise BadInput(f"Written out, {text[:60]!r}… has {len(text)} characters, the limit is {MAX_TEXT}.", "cut it up")
    return _feature(text, label_of(text), resolve(final, contract), contract)


def _feature(text: str, label: str, meaning: Meaning, contract: Contract) -> Feature:
    used = names_in(meaning.tree)
    halo_px = halo_of_tree(meaning.tree)
    if halo_px > MAX_HALO_PX:
        raise BadInput(f"{text[:60]!r} sees {halo_px} pixels around each pixel, the limit is {MAX_HALO_PX}.")
    kinds = {
        one.kind: FUNCTIONS[one.kind] for one in walk(meaning.tree) if isinstance(one, Node) and one.kind in FUNCTIONS
    }
    sources = [INDICES[name].source for name in meaning.indices] + [known.source for known in kinds.values()]
    return Feature(
        text=text,
        label=label,
        tree=meaning.tree,
        bands=tuple(name for name in contract.names if name in used),
        halo_px=halo_px,
        range=range_of(meaning.tree, contract),
        source="; ".join(dict.fromkeys(source for source in sources if source)),
        reflectance_only=meaning.reflectance_only,
    )


def _require_free(name: str, contract: Contract, known: dict[str, Tree]) -> None:
    what = ""
    if any(name in band.words for band in contract.bands):
        what = f"a band of {contract.sensor}"
    elif name in INDICES:
        what = "an index of the catalogue"
    elif name in FUNCTIONS:
        what = "a function"
    elif name in known:
        what = "a formula further up"
    elif iskeyword(name):
        what = "a word of Python's, which reads the formulae"
    if len(name) > MAX_NAME:
        raise BadInput(f"The name {name[:60]}… has {len(name)} characters, the limit is {MAX_NAME}.", "shorten it")
    if what:
        raise BadInput(f"The name {name[:60]} is taken: it is {what}.", "choose another name for the formula")


def _require_different(features: Sequence[Feature]) -> None:
    if not features:
        raise BadInput("No feature is named.", "name each feature once")
    seen: dict[Tree, str] = {}
    texts = [feature.text for feature in features]
    double = sorted({text for text in texts if texts.count(text) > 1})
    if double:
        raise BadInput(f"The features {', '.join(double)[:200]} are named more than once.", "name each feature once")
    for feature in features:
        if feature.tree in seen:
            raise BadInput(
                f"The features {seen[feature.tree][:60]} and {feature.text[:60]} are the same here.", "keep one of them"
            )
        seen[feature.tree] = feature.text
    labels = [feature.label for feature in features]
    for feature in features:
        if feature.text.startswith(f"{feature.label} = ") and labels.count(feature.label) > 1:
            raise BadInput(f"Several features are called {feature.label}.", "choose another name for the formula")


def _count(tree: Tree) -> int:
    if isinstance(tree, Choice):
        return sum(_count(item) for item in tree.items)
    count = 1
    for part in parts(tree):
        count *= _count(part)
    return count


def _alternatives(tree: Tree) -> list[tuple[Tree, tuple[str, ...]]]:
    """Returns every tree without lists, and what was chosen from each list, as words for a name."""
    if isinstance(tree, Choice):
        several = len(tree.items) > 1
        return [
            (one, (*chosen, *([_word(one)] if several and not chosen else [])))
            for item in tree.items
            for one, chosen in _alternatives(item)
        ]
    if not isinstance(tree, Node):
        return [(tree, ())]
    below = [_alternatives(part) for part in parts(tree)]
    n = len(tree.operands)
    made = []
    for combination in product(*below):
        whole = [one for one, _ in combination]
        options = tuple(zip([name for name, _ in tree.options], whole[n:], strict=True))
        one: Tree = replace(tree, operands=tuple(whole[:n]), options=options)
        if isinstance(one, Node) and one.kind == "neg" and isinstance(one.operands[0], Number):
            one = Number(-one.operands[0].value)
        made.append((one, tuple(word for _, chosen in combination for word in chosen)))
    return made


def _put_in(tree: Tree, known: dict[str, Tree]) -> Tree:
    if isinstance(tree, Name) and tree.text in known:
        found = known[tree.text]
        if isinstance(found, Choice):
            raise BadInput(f"{tree.text[:60]} stands for several features.", "name one of them in the list")
        return found
    if not isinstance(tree, Node):
        return tree
    operands = tuple(_put_in(operand, known) for operand in tree.operands)
    if sum(1 for operand in operands for _ in walk(operand)) > MAX_TEXT:
        raise BadInput(f"Written out, a formula of {', '.join(sorted(names_in(tree)))[:60]} is too long.", "cut it up")
    return replace(tree, operands=operands)


def _label(tree: Tree) -> str:
    if isinstance(tree, Node) and (tree.kind in FUNCTIONS or not tree.operands):
        below = [_label(operand) for operand in tree.operands]
        if all(_IDENTIFIER.fullmatch(one) for one in below):
            return _short("_".join([tree.kind, *below, *_told(tree)]))
    return _short(written(tree))


def _told(tree: Node) -> list[str]:
    values = {name: written(value) for name, value in tree.options}
    edges = [f"{values.pop('low')}to{values.pop('high')}"] if {"low", "high"} <= set(values) else []
    known = FUNCTIONS.get(tree.kind)
    by_place = known.needs if known else ()
    words = [value if name in by_place else f"{name}{value}" for name, value in values.items()]
    return words + edges


def _word(tree: Tree) -> str:
    word = re.sub(r"[^A-Za-z0-9]+", "_", _label(tree)).strip("_")
    return word or "0"


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 9]}…{hashlib.sha256(text.encode()).hexdigest()[:8]}"
