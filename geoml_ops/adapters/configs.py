"""Configuration files: YAML in, validated and frozen values out; unknown keys are errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.grid import Value
from geoml_ops.core.policy import Policy

V = TypeVar("V", bound=Value)


def read_yaml(path: Path, kind: type[V]) -> V:
    """Returns the validated content of a YAML file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is not YAML, or a key is unknown, missing or out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return kind.model_validate_json(json.dumps(content, default=str))
    except FileNotFoundError:
        raise NotFound(f"There is no {kind.__name__.lower()} file {path}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not YAML: {str(error)[:300]}") from None
    except ValidationError as error:
        facts = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:5])
        raise BadInput(f"{path} is not a valid {kind.__name__.lower()}: {facts}.") from None


def plain_yaml(text: str, name: str) -> Any:
    """Returns the content of YAML that a stranger wrote, as plain values.

    Raises:
        BadInput: it is not YAML, or uses aliases: a few lines of them can stand for gigabytes.
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise BadInput(f"{name} uses YAML aliases.", "write every value out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not YAML: {type(error).__name__}: {str(error)[:200]}.") from None


def read_experiment(path: Path) -> Experiment:
    """Returns the experiment a file describes; raises as :func:`read_yaml`."""
    return read_yaml(path, Experiment)


def read_policy(path: Path) -> Policy:
    """Returns the monitoring policy a file describes; raises as :func:`read_yaml`."""
    return read_yaml(path, Policy)
