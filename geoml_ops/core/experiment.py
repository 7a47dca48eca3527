"""What a training is asked to do: one validated file, versioned with every run."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import digest
from geoml_ops.core.grid import Value


class MapClass(Value):
    """One class of the map: the label names it collects and the colour it is drawn in."""

    labels: tuple[str, ...] = Field(min_length=1)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")


class Sampling(Value):
    """How polygons become samples."""

    per_polygon: int = Field(60, ge=1)
    seed: int = 0


class Folds(Value):
    """How samples are kept apart: blocks on the ground, whole polygons, an empty strip between."""

    block_m: float = Field(2000.0, gt=0)
    buffer_m: float = Field(100.0, ge=0)
    n_folds: int = Field(5, ge=2)
    seed: int = 0


class GateRules(Value):
    """What a challenger must show. ``margin`` is in units of the metric, fixed beforehand."""

    metric: str = "overall_accuracy"
    margin: float = Field(0.01, ge=0)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    least_blocks: int = Field(10, ge=2)


class Experiment(Value):
    """A training's whole configuration; class codes are positions in ``classes``, from 0."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    sensor: str
    features: tuple[str, ...] = Field(min_length=1)
    classes: dict[str, MapClass] = Field(min_length=2)
    ignored_labels: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    folds: Folds = Folds()
    families: dict[str, dict[str, float | int | str]] = Field(min_length=1)
    gate: GateRules = GateRules()

    @field_validator("families")
    @classmethod
    def _known_shape(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {name: dict(params or {}) for name, params in value.items()}

    @model_validator(mode="after")
    def _one_class_per_label(self) -> Experiment:
        seen: dict[str, str] = {}
        for name, entry in self.classes.items():
            for label in entry.labels:
                if label in seen:
                    raise ValueError(f"label {label!r} belongs to both {seen[label]!r} and {name!r}")
                seen[label] = name
        return self

    @property
    def id(self) -> str:
        """``experiment-<16 hex digits>``, from the content; the order of classes counts, it gives the codes."""
        return f"experiment-{digest([self.model_dump(mode='json'), list(self.classes)])[:16]}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in code order."""
        return tuple(self.classes)

    def code_of(self, label: str) -> int | None:
        """Returns the class code of a label, or None where the experiment leaves the label out.

        Raises:
            BadInput: the experiment neither maps nor ignores this label.
        """
        for code, entry in enumerate(self.classes.values()):
            if label in entry.labels:
                return code
        if label in self.ignored_labels:
            return None
        raise BadInput(
            f"The label {label[:60]!r} belongs to no class of experiment {self.name!r}.",
            "list it under a class or under ignored_labels",
        )
