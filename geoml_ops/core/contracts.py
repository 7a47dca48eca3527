"""The nouns of the band and radiometry contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value

Resampling = Literal["none", "nearest", "bilinear"]
CrsClass = Literal["utm", "utm or polar", "projected metres"]


class Radiometry(Value):
    """How digital numbers become values: ``(dn + offset_dn) * scale``, ``nodata`` meaning nothing.

    Attributes:
        scale: value per DN, > 0 (Sentinel-2: reflectance, 1 / 10000).
        offset_dn: DN added before scaling (Sentinel-2 baseline 04.00 and later: -1000).
        nodata: the DN that stands for "not observed", before any offset; None where only NaN does.
        also_nodata: a second one: what a delivered file declares beside the sensor's own; None for none.
    """

    scale: float = Field(gt=0)
    offset_dn: float = 0.0
    nodata: float | None = 0.0
    also_nodata: float | None = None

    @property
    def absent(self) -> tuple[float, ...]:
        """Every DN that stands for "not observed"."""
        return tuple(dn for dn in (self.nodata, self.also_nodata) if dn is not None)

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Nouns are named by their content: those that hold no second number keep the names they always had.
        content: dict[str, Any] = written(self)
        if self.also_nodata is None:
            content.pop("also_nodata", None)
        return content


class Band(Value):
    """One named layer: of a sensor, or a covariate made for a scene.

    Attributes:
        name: the sensor's own name, ``B08``.
        common_name: the STAC ``eo:common_name``, ``nir``; empty where it has none.
        aliases: other names it is delivered under, such as ``B8``.
        gsd_m: ground sampling distance as delivered, in metres.
        centre_nm: central wavelength in nanometres; None where there is none.
        resampling: how the band is brought to the contract's grid when it is delivered coarser.
        valid: lowest and highest value that can be a measurement, in ``unit``.
        unit: of the numbers after scale and offset: ``reflectance``, ``K``, ``m``, ``degree``, ``1`` …
        radiometry: the band's own; None where it is the contract's.
        rescaled: whether the producer's scale changes from scene to scene; then numbers are brought to the
            contract's in floating point, as long as the scales differ by less than a factor of two.
    """

    name: str
    common_name: str = ""
    aliases: tuple[str, ...] = ()
    gsd_m: float = Field(gt=0)
    centre_nm: float | None = Field(None, gt=0)
    resampling: Resampling = "none"
    valid: tuple[float, float] = (-0.2, 2.0)
    unit: str = "reflectance"
    radiometry: Radiometry | None = None
    rescaled: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Every name the band answers to, its own first."""
        return tuple(dict.fromkeys(word for word in (self.name, self.common_name, *self.aliases) if word))


class Contract(Value):
    """What a model, a store and a service agree on about one sensor.

    Attributes:
        sensor: name of the sensor and product level, ``sentinel-2-l1c``.
        bands: in the order in which arrays ``(band, y, x)`` hold them.
        radiometry: the one that every scene is brought to.
        pixel_m: edge of a pixel of the common grid, in metres.
        dtype: type of the delivered numbers.
        crs_class: which coordinate systems scenes are delivered in.
        also: names of layers that files of this sensor may carry and that are not read: quality layers,
            and the bands that :meth:`subset` left out.
    """

    sensor: str
    bands: tuple[Band, ...]
    radiometry: Radiometry
    pixel_m: float = Field(gt=0)
    dtype: str
    crs_class: CrsClass = "utm"
    also: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _every_name_once(self) -> Contract:
        own = [band.name for band in self.bands]
        double = sorted({name for name in own if own.count(name) > 1})
        stolen = sorted(
            {w for b in self.bands for w in (b.common_name, *b.aliases) if w in own and w != b.name}
            | (set(own) & set(self.also))
        )
        if double or stolen:
            raise ValueError(f"several layers are called {', '.join(double or stolen)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Band names in array order."""
        return tuple(band.name for band in self.bands)

    def band(self, name: str) -> Band:
        """Returns a band by its sensor name, its common name or an alias.

        Raises:
            BadInput: no band or several bands have this name.
        """
        found = [b for b in self.bands if name and name in b.words]
        exact = [b for b in found if b.name == name]
        if len(exact or found) != 1:
            raise BadInput(
                f"{self.sensor} has {len(found)} bands called {name[:60]!r}.", f"use one of {', '.join(self.names)}"
            )
        return (exact or found)[0]

    def radiometry_of(self, name: str) -> Radiometry:
        """Returns the radiometry that a band's numbers are brought to; raises as :meth:`band`."""
        return self.band(name).radiometry or self.radiometry

    def joined(self, bands: Sequence[Band]) -> Contract:
        """Returns the contract with more bands at its end, such as the covariates of an experiment.

        Raises:
            BadInput: a name is taken already.
        """
        taken = {word for band in self.bands for word in band.words} | set(self.also)
        double = sorted(band.name for band in bands if band.name in taken)
        if double:
            raise BadInput(
                f"{self.sensor} has bands called {', '.join(double)} already.", "name the covariate otherwise"
            )
        return self.model_copy(update={"bands": (*self.bands, *bands)})

    def order(self, present: Sequence[str]) -> tuple[int, ...]:
        """Returns, for each band of the contract, its position among ``present``: names, never positions, decide.

        A layer counts under its sensor name, its common name or an alias. Layers that the sensor is known
        to have and that are not read (``also``) may be there.

        Raises:
            BadInput: a band is missing, a layer has no name, or a name is unknown, ambiguous or there twice.
        """
        found: dict[str, list[int]] = {}
        unknown, unnamed, beside = [], [], []
        for position, word in enumerate(present):
            bands = {b.name for b in self.bands if word and word in b.words}
            bands = {word} if word in self.names else bands
            if len(bands) == 1:
                found.setdefault(bands.pop(), []).append(position)
            elif word in self.also:
                beside.append(word)
            elif word:
                unknown.append(word[:60])
            else:
                unnamed.append(str(position + 1))
        wrong = {
            "missing": [name for name in self.names if name not in found],
            "twice": [n for n in self.names if len(found.get(n, ())) > 1]
            + sorted({w for w in beside if beside.count(w) > 1}),
            "not known": unknown,
            "without a name: layer": unnamed,
        }
        said = [f"{what} {', '.join(names)}" for what, names in wrong.items() if names]
        if said:
            raise BadInput(
                f"The bands do not fit {self.sensor}: {'; '.join(said)}; "
                f"found {', '.join(repr(word[:60]) for word in present[:40]) or 'none'}.",
                f"name every band, in any order: {', '.join(self.names)}",
            )
        return tuple(found[name][0] for name in self.names)

    def subset(self, names: Sequence[str]) -> Contract:
        """Returns the same contract for fewer bands, kept in the contract's order; the others may still be there."""
        wanted = {self.band(name).name for name in names}
        left_out = [word for band in self.bands if band.name not in wanted for word in band.words]
        kept = tuple(band for band in self.bands if band.name in wanted)
        taken = {word for band in kept for word in band.words}
        also = tuple(dict.fromkeys(word for word in (*left_out, *self.also) if word not in taken))
        return self.model_copy(update={"bands": kept, "also": also})
