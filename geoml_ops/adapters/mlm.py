"""STAC items of models, by the Machine Learning Model extension (MLM 1.4), checked without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pystac
from jsonschema import Draft7Validator
from pystac.extensions.classification import Classification
from pystac.extensions.mlm import (
    AssetGeneralMLMExtension,
    Hyperparameters,
    InputStructure,
    MLMExtension,
    ModelBand,
    ModelInput,
    ModelOutput,
    ResultStructure,
    TaskType,
)
from pystac.extensions.raster import DataType
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from geoml_ops.core.bands import Band, Contract
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Bundle, Evaluation
from geoml_ops.core.words import plain, plain_names

_TEXT = {"type": "string", "minLength": 1}
_TASKS = {"type": "array", "uniqueItems": True, "items": {"enum": [task.value for task in TaskType]}}


def _objects(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    item = {"type": "object", "required": required, "properties": properties}
    return {"type": "array", "minItems": 1, "items": item}


def _structure() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["shape", "dim_order", "data_type"],
        "properties": {
            "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": -1}},
            "dim_order": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"type": "string", "pattern": "^[a-z-_]+$"},
            },
            "data_type": {"enum": [kind.value for kind in DataType]},
        },
    }


# pystac-ext-mlm 1.4 ships no schema and the published one lies on the network: these are its rules for
# the fields that a bundle's item has, and none other with the prefix is let through.
_INPUT = _objects(
    ["name", "bands", "input"],
    {"name": _TEXT, "bands": {"type": "array", "items": {"anyOf": [_TEXT, {"type": "object", "required": ["name"]}]}},
     "input": _structure(), "description": _TEXT, "value_scaling": {"type": "null"}},
)  # fmt: skip
_OUTPUT = _objects(
    ["name", "tasks", "result"],
    {
        "name": _TEXT,
        "tasks": _TASKS,
        "result": _structure(),
        "description": _TEXT,
        "classification:classes": _objects(
            ["value"],
            {"value": {"type": "integer"}, "title": _TEXT, "name": {"type": "string", "pattern": "^[0-9A-Za-z-_]+$"},
             "color_hint": {"type": "string", "pattern": "^([0-9A-Fa-f]{6})$"}},
        ),
    },
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["stac_extensions", "properties", "assets"],
    "properties": {
        "stac_extensions": {"type": "array", "contains": {"const": MLMExtension.get_schema_uri()}},
        "properties": {
            "required": ["mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"],
            "properties": {
                "mlm:name": {"type": "string", "pattern": r"^[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]$"},
                "mlm:architecture": _TEXT,
                "mlm:tasks": _TASKS,
                "mlm:framework": {"type": "string", "pattern": r"^(?=[^\s._\-]).*[^\s._\-]$"},
                "mlm:framework_version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
                "mlm:memory_size": {"type": "integer", "minimum": 0},
                "mlm:pretrained": {"const": False},
                "mlm:pretrained_source": {"type": "null"},
                "mlm:accelerator": {"enum": ["amd64", "cuda", None]},
                "mlm:accelerator_constrained": {"type": "boolean"},
                "mlm:input": _INPUT,
                "mlm:output": _OUTPUT,
                "mlm:hyperparameters": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^[0-9a-zA-Z_.-]+$"},
                },
            },
            "patternProperties": {"^(?!mlm:)": {}},
            "additionalProperties": False,
            "dependencies": {"mlm:pretrained": ["mlm:pretrained_source"]},
        },
        "assets": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "if": {"properties": {"roles": {"contains": {"const": "mlm:model"}}}, "required": ["roles"]},
                "then": {"required": ["mlm:artifact_type", "bands"], "properties": {"mlm:artifact_type": _TEXT}},
            },
        },
    },
}


def model_item(
    bundle: Bundle, evaluation: Evaluation, contract: Contract, footprint: dict[str, Any], times: list[datetime]
) -> dict[str, Any]:
    """Returns a STAC 1.1 item of a bundle; its asset is the graph beside it.

    Args:
        bundle: what to describe.
        evaluation: where its recipe and its scores come from.
        contract: the bands that the graph reads, in its order.
        footprint: GeoJSON polygon of the ground it learned from, longitude and latitude.
        times: acquisition times of the scenes it learned from, at least one.

    Raises:
        Refused: the item breaks the STAC or MLM schema.
    """
    corners = footprint["coordinates"][0]
    west, south = (min(c[axis] for c in corners) for axis in (0, 1))
    east, north = (max(c[axis] for c in corners) for axis in (0, 1))
    item = pystac.Item(
        id=bundle.id,
        geometry=footprint,
        bbox=[west, south, east, north],
        datetime=None,
        start_datetime=min(times).astimezone(UTC),
        end_datetime=max(times).astimezone(UTC),
        properties={
            "title": f"Land cover from {bundle.sensor}: {', '.join(bundle.classes)}",
            "geoml:evaluation": bundle.evaluation,
            "geoml:version": bundle.version,
            "geoml:scores": {name: score.model_dump() for name, score in sorted(evaluation.scores.items())},
            "geoml:estimand": evaluation.estimand,
            **_beside(bundle),
        },
    )
    asset = pystac.Asset(
        href=bundle.file.path,
        title="ONNX graph: features and classifier in one",
        media_type="application/octet-stream; framework=onnx",
        roles=["mlm:model"],
        extra_fields={"bands": [_band(band, contract) for band in contract.bands],
                      "file:checksum": f"1220{bundle.file.sha256}", "file:size": bundle.file.size},
    )  # fmt: skip
    item.add_asset("model", asset)
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=f"{bundle.sensor} {plain(evaluation.family)}".strip(),
        architecture=str(evaluation.params.get("family", evaluation.family)).replace("_", " "),
        framework="ONNX",
        framework_version="1.21.0",
        tasks=[TaskType.SEMANTIC_SEGMENTATION],
        input=[_input(bundle, contract)],
        output=_outputs(bundle),
        memory_size=bundle.file.size,
        pretrained=False,
        accelerator_constrained=False,
        hyperparameters=Hyperparameters.create(**evaluation.params) if evaluation.params else None,
    )
    item.properties["mlm:pretrained_source"] = None
    AssetGeneralMLMExtension.ext(asset).apply(artifact_type="onnx")
    item.stac_extensions += [
        "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
        "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
        "https://stac-extensions.github.io/file/v2.1.0/schema.json",
        "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    ]
    content: dict[str, Any] = item.to_dict(include_self_link=False)
    check_model_item(content)
    return content


def check_model_item(content: dict[str, Any]) -> None:
    """Holds an item against the STAC core schemas that pystac carries and :data:`SCHEMA`.

    Raises:
        Refused: with the first three complaints.
    """
    schemas = get_local_schema_cache()
    registry: Registry[Any] = Registry().with_resources(
        [(uri, Resource.from_contents(schema)) for uri, schema in schemas.items()]
    )
    core = next(schema for uri, schema in schemas.items() if uri.endswith("/item.json"))
    complaints = [
        f"{'.'.join(map(str, c.absolute_path)) or 'item'}: {c.message[:160]}"
        for schema in (core, SCHEMA)
        for c in Draft7Validator(schema, registry=registry).iter_errors(content)
    ]
    named = {str(b["name"]) for asset in content.get("assets", {}).values() for b in asset.get("bands", [])}
    for source in content.get("properties", {}).get("mlm:input", []):
        unknown = [b for b in source.get("bands", []) if (b["name"] if isinstance(b, dict) else b) not in named]
        complaints += [f"mlm:input names bands that no asset describes: {unknown}"] * bool(unknown)
    if complaints:
        raise Refused(f"The STAC item of {content.get('id')!r} is not valid: {'; '.join(complaints[:3])}.")


def _beside(bundle: Bundle) -> dict[str, Any]:
    """Returns what answers come with beside the class, as the bundle's noun has it."""
    told = {"geoml:applicability": bundle.applicability, "geoml:conformal": bundle.conformal}
    known = {name: value.model_dump(mode="json") for name, value in told.items() if value is not None}
    return {"geoml:legend": bundle.legend, **known}


def _band(band: Band, contract: Contract) -> dict[str, Any]:
    """Returns what a band is called and what its numbers mean, in the words of STAC 1.1, EO 2.0 and raster 2.0."""
    rule = contract.radiometry_of(band.name)
    said = {
        "name": band.name,
        "unit": band.unit,
        "nodata": rule.nodata,
        "eo:common_name": band.common_name or None,
        "eo:center_wavelength": None if band.centre_nm is None else band.centre_nm / 1000,
        "raster:scale": rule.scale,
        "raster:offset": rule.offset_dn * rule.scale,
        "geoml:valid": list(band.valid),
    }
    return {key: value for key, value in said.items() if value is not None}


def _input(bundle: Bundle, contract: Contract) -> ModelInput:
    rule, own = contract.radiometry, [band for band in contract.bands if band.radiometry]
    apart = "".join(
        f" {band.name}: (dn {r.offset_dn:+g}) * {r.scale:g} {band.unit}." for band in own if (r := band.radiometry)
    )
    return ModelInput.create(
        name="dn",
        bands=[ModelBand.create(name=name) for name in bundle.bands],
        input=InputStructure.create(
            shape=[-1, len(bundle.bands), -1, -1],
            dim_order=["batch", "bands", "height", "width"],
            data_type=DataType.FLOAT32,
        ),
        description=(
            f"Digital numbers in the radiometry (dn {rule.offset_dn:+g}) * {rule.scale:g}, NaN where not observed, "
            f"pixels of {bundle.pixel_m:g} m. The graph itself brings them to {contract.bands[0].unit}.{apart}"
        ),
    )


def _outputs(bundle: Bundle) -> list[ModelOutput]:
    told = zip(plain_names(bundle.classes), bundle.classes, bundle.colours, strict=True)
    classes = [
        Classification.create(value=code, name=name, title=title, color_hint=colour.removeprefix("#"))
        for code, (name, title, colour) in enumerate(told)
    ]

    def output(
        name: str, channels: int, kind: DataType, words: str, legend: list[Classification] | None = None
    ) -> ModelOutput:
        return ModelOutput.create(
            name=name,
            tasks=[TaskType.SEMANTIC_SEGMENTATION],
            result=ResultStructure.create(
                shape=[-1, channels, -1, -1], dim_order=["batch", "class", "height", "width"], data_type=kind
            ),
            description=words,
            classes=legend,
        )

    yes_no = [Classification.create(value=0, name="no_answer"), Classification.create(value=1, name="answer")]
    return [
        output("probability", len(classes), DataType.FLOAT32, "Probability of each class, 0 for no answer.", classes),
        output("valid", 1, DataType.UINT8, "1 where every feature exists, otherwise 0.", yes_no),
        *(output(name, 1, DataType.FLOAT32, words) for name, words in _nearness(bundle).items()),
    ]


def _nearness(bundle: Bundle) -> dict[str, str]:
    """Returns what the graph says of where it may be asked, by name of the output; empty where it says nothing."""
    area = bundle.applicability
    if area is None:
        return {}
    return {
        "dissimilarity": (
            f"Dissimilarity index to the nearest of {area.n_references} references in weighted feature space (Meyer "
            f"and Pebesma 2021), NaN where there is no answer. Above {area.threshold:g} the model was never tried: "
            f"{area.definition}."
        ),
        "density": (
            "Training samples that are less dissimilar than the threshold (local point density, Schumacher et al. "
            "2025), NaN where there is no answer."
        ),
    }
