"""Features once more, in plain numpy and by brute force: what the graph is held against.

Nothing of the product computes here. Texts are evaluated by Python itself on layers of float32 that know two rules:
a quotient does not exist where its denominator vanishes, and what is infinite does not exist. Windows are looked
at one by one. Only for texts that tests wrote themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract

F32 = NDArray[np.float32]


class Layer:
    """Float32 numbers of every pixel, and in which power reflectance stands in them (None: in no single one)."""

    def __init__(self, values: F32, power: float | None) -> None:
        self.values = np.where(np.isfinite(values), values, np.float32(np.nan)).astype(np.float32)
        self.power = power

    def _with(self, other: Layer | float, work: Callable[..., F32], power: Callable[..., float | None]) -> Layer:
        other = other if isinstance(other, Layer) else Layer(np.float32(other), None if other == 0 else 0.0)
        known = power(self.power, other.power) if None not in (self.power, other.power) else None
        with np.errstate(all="ignore"):
            return Layer(work(self.values, other.values), known)

    def __add__(self, other: Layer | float) -> Layer:
        return self._with(other, lambda a, b: a + b, lambda p, q: p if p == q else None)

    def __sub__(self, other: Layer | float) -> Layer:
        return self._with(other, lambda a, b: a - b, lambda p, q: p if p == q else None)

    def __rsub__(self, other: float) -> Layer:
        return self._with(other, lambda a, b: b - a, lambda p, q: p if p == q else None)

    def __mul__(self, other: Layer | float) -> Layer:
        return self._with(other, lambda a, b: a * b, lambda p, q: p + q)

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Layer | float) -> Layer:
        if not isinstance(other, Layer):
            return self._with(other, lambda a, b: a / b, lambda p, _: p)
        least = np.float32(1e-6**other.power if other.power and other.power > 0 else 1e-6)
        return self._with(
            other, lambda a, b: np.where(np.abs(b) < least, np.float32(np.nan), a / b), lambda p, q: p - q
        )

    def __rtruediv__(self, other: float) -> Layer:
        return Layer(np.full_like(self.values, other), 0.0) / self

    def __neg__(self) -> Layer:
        return Layer(-self.values, self.power)

    def __pow__(self, exponent: float) -> Layer:
        if exponent < 0:
            return 1.0 / self**-exponent
        power = None if self.power is None else self.power * exponent
        with np.errstate(all="ignore"):
            if exponent == 0.5:
                return Layer(np.sqrt(self.values), power)
            if exponent == int(exponent) and exponent <= 8:
                return Layer(_multiplied(self.values, int(exponent)), power)
            return Layer(np.power(self.values, np.float32(exponent)), power)

    def through(self, work: Callable[[F32], F32], power: float | None = None) -> Layer:
        """Returns a function of the numbers."""
        with np.errstate(all="ignore"):
            return Layer(work(self.values).astype(np.float32), power)


def _multiplied(x: F32, n: int) -> F32:
    if n == 1:
        return x
    half = _multiplied(x, n // 2)
    return x * (half * half) if n % 2 else half * half


INDICES: dict[str, Callable[[Callable[[str], Layer]], Layer]] = {
    "NDVI": lambda b: (b("nir") - b("red")) / (b("nir") + b("red")),
    "GNDVI": lambda b: (b("nir") - b("green")) / (b("nir") + b("green")),
    "NDREI": lambda b: (b("nir") - b("rededge071")) / (b("nir") + b("rededge071")),
    "NDWI": lambda b: (b("green") - b("nir")) / (b("green") + b("nir")),
    "MNDWI": lambda b: (b("green") - b("swir16")) / (b("green") + b("swir16")),
    "NDMI": lambda b: (b("nir") - b("swir16")) / (b("nir") + b("swir16")),
    "NDBI": lambda b: (b("swir16") - b("nir")) / (b("swir16") + b("nir")),
    "NBR": lambda b: (b("nir") - b("swir22")) / (b("nir") + b("swir22")),
    "NBR2": lambda b: (b("swir16") - b("swir22")) / (b("swir16") + b("swir22")),
    "SAVI": lambda b: 1.5 * (b("nir") - b("red")) / (b("nir") + b("red") + 0.5),
    "EVI": lambda b: 2.5 * (b("nir") - b("red")) / (b("nir") + 6.0 * b("red") - 7.5 * b("blue") + 1.0),
    "EVI2": lambda b: 2.5 * (b("nir") - b("red")) / (b("nir") + 2.4 * b("red") + 1.0),
    "BI": lambda b: (
        ((b("swir16") + b("red")) - (b("nir") + b("blue"))) / ((b("swir16") + b("red")) + (b("nir") + b("blue")))
    ),
    "MSAVI": lambda b: (
        0.5 * (2.0 * b("nir") + 1.0 - ((2.0 * b("nir") + 1.0) ** 2 - 8.0 * (b("nir") - b("red"))) ** 0.5)
    ),
}


def features(dn: F32, texts: Sequence[str], contract: Contract) -> F32:
    """Returns float32 ``(feature, y, x)``, NaN where one does not exist.

    Args:
        dn: float32 ``(band, y, x)`` in the radiometry and order of the contract, NaN where not observed.
        texts: canonical, without lists.
        contract: of all these bands.
    """
    layers: dict[str, Layer] = {}
    for number, band in enumerate(contract.bands):
        rule = contract.radiometry_of(band.name)
        numbers = (dn[number].astype(np.float32) + np.float32(rule.offset_dn)) * np.float32(rule.scale)
        layers |= dict.fromkeys(band.words, Layer(numbers, 1.0))
    return np.stack([_column(text, layers) for text in texts]).astype(np.float32)


def _column(text: str, layers: dict[str, Layer]) -> F32:
    if text in layers:
        return layers[text].values
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    near = "nir" if "nir" in layers else "nir08"
    index = {
        name: make(lambda word: layers[near if word == "nir" else word])
        for name, make in INDICES.items()
        if name in words
    }
    formula = re.sub(r"^\s*[A-Za-z_]\w*\s*=(?!=)", "", text)
    return eval(formula, {"__builtins__": {}}, {**FUNCTIONS, **index, **layers}).values


def _window(work: Callable[[NDArray[np.float64]], float], keeps_power: bool) -> Callable[[Layer, int], Layer]:
    def windowed(layer: Layer, window: int) -> Layer:
        return Layer(_each(layer.values, window, work), layer.power if keeps_power else None)

    return windowed


def _each(values: F32, window: int, work: Callable[[NDArray[np.float64]], float]) -> F32:
    """Returns what ``work`` says of each window, NaN beyond the edge, where the middle is observed."""
    reach = window // 2
    edged = np.pad(values.astype(np.float64), reach, constant_values=np.nan)
    out = np.full(values.shape, np.nan, dtype=np.float32)
    for row, col in np.argwhere(np.isfinite(values)):
        out[row, col] = work(edged[row : row + window, col : col + window])
    return out


def _seen(window: NDArray[np.float64]) -> NDArray[np.float64]:
    return window[np.isfinite(window)]


def _texture(statistic: str) -> Callable[..., Layer]:
    def textured(layer: Layer, window: int, *, low: float, high: float, levels: int = 16, distance: int = 1) -> Layer:
        def work(seen: NDArray[np.float64]) -> float:
            level = np.clip(np.floor((seen - low) * levels / (high - low)), 0, levels - 1)
            slant = round(distance * 0.5**0.5)
            steps = [(0, distance), (slant, slant), (distance, 0), (slant, -slant)]
            found = [_of_matrix(matrix, statistic) for step in steps if (matrix := _matrix(level, step, levels)).any()]
            return float(np.mean(found)) if found else np.nan

        return Layer(_each(layer.values, window, work), 0.0 if layer.power == 0 else None)

    return textured


def _matrix(level: NDArray[np.float64], step: tuple[int, int], levels: int) -> NDArray[np.float64]:
    counts = np.zeros((levels, levels))
    for row in range(level.shape[0]):
        for col in range(level.shape[1]):
            to = row + step[0], col + step[1]
            if 0 <= to[0] < level.shape[0] and 0 <= to[1] < level.shape[1]:
                pair = level[row, col], level[to]
                if np.isfinite(pair).all():
                    counts[int(pair[0]), int(pair[1])] += 1
                    counts[int(pair[1]), int(pair[0])] += 1
    return counts / max(counts.sum(), 1)


def _of_matrix(p: NDArray[np.float64], statistic: str) -> float:
    i, j = np.indices(p.shape)
    if statistic == "correlation":
        mean_i, mean_j = (i * p).sum(), (j * p).sum()
        spread = np.sqrt((p * (i - mean_i) ** 2).sum() * (p * (j - mean_j) ** 2).sum())
        return 1.0 if spread < 1e-12 else float((p * (i - mean_i) * (j - mean_j)).sum() / spread)
    if statistic == "entropy":
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())
    said = {
        "contrast": (p * (i - j) ** 2).sum(),
        "dissimilarity": (p * np.abs(i - j)).sum(),
        "homogeneity": (p / (1 + (i - j) ** 2)).sum(),
        "asm": (p**2).sum(),
        "energy": np.sqrt((p**2).sum()),
    }
    return float(said[statistic])


FUNCTIONS: dict[str, Callable[..., Layer]] = {
    "abs": lambda x: x.through(np.abs, x.power),
    "sqrt": lambda x: x**0.5,
    "exp": lambda x: x.through(np.exp, 0.0 if x.power == 0 else None),
    "log": lambda x: x.through(np.log, 0.0 if x.power == 0 else None),
    "tanh": lambda x: x.through(np.tanh, 0.0 if x.power == 0 else None),
    "minimum": lambda x, y: _lifted(x, y)._with(y, np.minimum, lambda p, q: p if p == q else None),
    "maximum": lambda x, y: _lifted(x, y)._with(y, np.maximum, lambda p, q: p if p == q else None),
    "clip": lambda x, low, high: x.through(
        lambda v: np.clip(v, np.float32(low), np.float32(high)), 0.0 if x.power == 0 else None
    ),
    "mean": _window(lambda w: float(_seen(w).mean()), keeps_power=True),
    "std": _window(lambda w: float(_seen(w).std()), keeps_power=True),
    "min": _window(lambda w: float(_seen(w).min()), keeps_power=True),
    "max": _window(lambda w: float(_seen(w).max()), keeps_power=True),
    "range": _window(lambda w: float(np.float32(_seen(w).max()) - np.float32(_seen(w).min())), keeps_power=True),
    **{
        f"glcm_{name}": _texture(name)
        for name in ("contrast", "dissimilarity", "homogeneity", "correlation", "energy", "asm", "entropy")
    },
}


def _lifted(x: Layer | float, y: Layer | float) -> Layer:
    if isinstance(x, Layer):
        return x
    assert isinstance(y, Layer)
    return Layer(np.full_like(y.values, x), 0.0)
