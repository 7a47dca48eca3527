"""From names to bands: what a formula means on one sensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from geoml_ops.core.bands import Band, Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features.catalogue import CONSTANTS, INDICES, LEFT_OUT, LETTERS, RADAR, THERMAL, WAVELENGTH
from geoml_ops.domain.features.degrees import degree
from geoml_ops.domain.features.functions import FUNCTIONS
from geoml_ops.domain.features.grammar import nearest, parse
from geoml_ops.domain.features.ranges import range_of
from geoml_ops.domain.features.simplifying import simplified, windowed
from geoml_ops.domain.features.tree import Name, Node, Number, Tree, names_in, walk, written

MAX_NODES = 4000


@dataclass(frozen=True)
class Meaning:
    """What a formula of one feature means.

    Attributes:
        tree: of bands, numbers and functions only; what the graph computes.
        indices: names of the catalogue's indices in it, each once.
        reflectance_only: whether one of them changes with the scale of its bands.
    """

    tree: Tree
    indices: tuple[str, ...] = ()
    reflectance_only: bool = False


def resolve(tree: Tree, contract: Contract) -> Meaning:
    """Returns what a formula without lists means on a sensor.

    Raises:
        BadInput: a name is unknown, a band is missing or of another unit, or a number cannot be used.
    """
    used: dict[str, bool] = {}
    found = _Scope(contract, used).of(tree)
    if not any(isinstance(one, Name) for one in walk(found)):
        raise BadInput(f"{written(tree)[:60]!r} has no band in it.", f"use bands ({', '.join(contract.names)})")
    if sum(1 for _ in walk(found)) > MAX_NODES:
        raise BadInput(f"{written(tree)[:60]!r} grows beyond {MAX_NODES} operations.", "cut it up")
    return Meaning(found, tuple(used), any(used.values()))


def completed(tree: Tree, contract: Contract) -> Tree:
    """Returns a formula that says all that is frozen with it: numbers computed, edges of levels where none are given.

    Raises:
        BadInput: as :func:`resolve`, or the operand of a texture has no known range.
    """
    if not isinstance(tree, Node):
        return tree
    node = replace(
        tree,
        operands=tuple(completed(operand, contract) for operand in tree.operands),
        options=_Scope(contract, {}).options_of(tree),
    )
    known = FUNCTIONS.get(node.kind)
    if not known or known.kind != "texture":
        return node
    told: dict[str, Tree] = dict(node.options)
    if "low" not in told or "high" not in told:
        low, high = range_of(resolve(node.operands[0], contract).tree, contract)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInput(
                f"{written(node.operands[0])[:60]!r} has no known lowest and highest value, which the levels of "
                f"{node.kind} lie between.",
                "give low and high",
            )
        told = {"low": Number(float(f"{low:.6g}")), "high": Number(float(f"{high:.6g}")), **told}
    plain = {name: Number(value) for name, value in known.may.items() if value is not None}
    kept = tuple((name, told[name]) for name in known.numbers if name in told and told[name] != plain.get(name))
    return replace(node, options=kept)


def _constants(index: str, told: Mapping[str, float]) -> Mapping[str, float]:
    return {**CONSTANTS, **INDICES[index].constants, **told}


@dataclass(frozen=True)
class _Scope:
    """What names mean: bands and indices for whoever writes a feature, letters and constants inside an index.

    Attributes:
        contract: of the sensor.
        used: names of the indices that were met, filled while trees are resolved; whether they change with the
            scale of their bands.
        index: whose formula is read; empty outside.
        constants: of that index.
        bands: letter to band, filled while its formula is read.
    """

    contract: Contract
    used: dict[str, bool]
    index: str = ""
    constants: Mapping[str, float] = field(default_factory=dict)
    bands: dict[str, Band] = field(default_factory=dict)

    def of(self, tree: Tree) -> Tree:
        if isinstance(tree, Number):
            return tree
        if isinstance(tree, Name):
            return self._letter(tree) if self.index else self._name(tree)
        assert isinstance(tree, Node)
        operands = tuple(self.of(operand) for operand in tree.operands)
        options = self.options_of(tree)
        if tree.kind in FUNCTIONS and FUNCTIONS[tree.kind].kind != "elementwise":
            return windowed(tree, operands[0], dict(options))
        if not operands:
            return self._index(tree.kind, tree.at, {name: value.value for name, value in options})
        return simplified(replace(tree, operands=operands, options=options), tree)

    def options_of(self, tree: Node) -> tuple[tuple[str, Number], ...]:
        """Returns the numbers that a function is told, computed."""
        return tuple((name, self._number(tree, name, self.of(value))) for name, value in tree.options)

    def _number(self, tree: Node, name: str, value: Tree) -> Number:
        if not isinstance(value, Number):
            raise BadInput(f"{name} of {tree.kind[:60]} (character {tree.at}) is no number.", "write it as a number")
        return value

    def _name(self, name: Name) -> Tree:
        if any(name.text in band.words for band in self.contract.bands):
            return Name(self.contract.band(name.text).name)
        return self._index(name.text, name.at, {})

    def _index(self, name: str, at: int, told: Mapping[str, float]) -> Tree:
        if name not in INDICES:
            raise self._unknown(name, at)
        formula = parse(INDICES[name].formula).tree
        free = names_in(formula) & set(CONSTANTS)
        if not set(told) <= free:
            odd = ", ".join(sorted(set(told) - free))
            raise BadInput(
                f"{name} has no constant {odd[:60]} (character {at}).",
                f"it has {', '.join(sorted(free))}" if free else f"write {name} alone",
            )
        scope = _Scope(self.contract, self.used, name, _constants(name, told))
        found = scope.of(formula)
        changes = degree(found, scope.degree_of) != 0.0
        scope.require_units(changes)
        optical = any(letter not in THERMAL | RADAR for letter in scope.bands)
        self.used[name] = (changes and optical) or self.used.get(name, False)
        return found

    def _unknown(self, name: str, at: int) -> BadInput:
        words = [word for band in self.contract.bands for word in band.words]
        fact = f"There is no feature {name[:60]!r} for {self.contract.sensor} (character {at or 1})."
        if name in LEFT_OUT:
            return BadInput(fact, f"write a formula of your own; {name} is left out, for {LEFT_OUT[name]}")
        close = nearest(name, [*words, *INDICES])
        bands = f"use bands ({', '.join(self.contract.names)}) or one of {len(INDICES)} indices, such as NDVI"
        return BadInput(fact, f"did you mean {close}? Else {bands}" if close else bands)

    def _letter(self, name: Name) -> Tree:
        letter = name.text
        if letter in self.constants:
            return Number(self.constants[letter])
        if letter.startswith(WAVELENGTH):
            band = self._band(letter.removeprefix(WAVELENGTH))
            if band.centre_nm is None:
                raise BadInput(f"{self.index} needs the central wavelength of {band.name}, which is not known.")
            return Number(band.centre_nm)
        self.bands[letter] = self._band(letter)
        return Name(self.bands[letter].name)

    def _band(self, letter: str) -> Band:
        if letter not in LETTERS:
            raise BadInput(f"The formula of {self.index} has a name that means nothing: {letter[:60]!r}.")
        for word in LETTERS[letter]:
            if any(word in band.words for band in self.contract.bands):
                return self.contract.band(word)
        raise BadInput(
            f"{self.index} needs the band {LETTERS[letter][0]}, which {self.contract.sensor} does not have.",
            f"use indices of {', '.join(self.contract.names)}",
        )

    def degree_of(self, band: str) -> float:
        """Returns 0 for thermal bands, whose kelvins no radiometry of the others scales, else 1."""
        return 0.0 if any(letter in THERMAL and one.name == band for letter, one in self.bands.items()) else 1.0

    def require_units(self, changes: bool) -> None:
        """Passes an index of bands in the unit that its formula was published for.

        Args:
            changes: whether it does with the scale of its bands.

        Raises:
            BadInput: thermal bands are not in kelvin, radar is in decibel, or an index that changes with the
                scale of its bands is asked of something else than reflectance.
        """
        optical = {one.unit: one.name for letter, one in self.bands.items() if letter not in THERMAL | RADAR}
        for letter, band in self.bands.items():
            if letter in THERMAL and band.unit != "K":
                raise self._wrong_unit(band.name, band.unit, "kelvin (K)", "is of temperatures")
            if letter in RADAR and "db" in band.unit.lower():
                raise self._wrong_unit(band.name, band.unit, "linear power", "adds and divides powers")
        if set(optical) <= {"reflectance"}:
            return
        if changes:
            unit, name = next((unit, name) for unit, name in optical.items() if unit != "reflectance")
            raise self._wrong_unit(name, unit, "reflectance", "changes with the scale of its bands")
        if len(optical) > 1:
            units = ", ".join(f"{name} in {unit}" for unit, name in optical.items())
            raise BadInput(f"{self.index} needs bands of one unit, and has {units}.", "write the formula yourself")

    def _wrong_unit(self, band: str, unit: str, wanted: str, why: str) -> BadInput:
        return BadInput(
            f"{self.index} {why}: it needs {wanted}, and {band} of {self.contract.sensor} is in {unit[:60]!r}.",
            "deliver the product that has it, or write a formula for these numbers yourself",
        )
