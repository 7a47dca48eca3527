"""Configuration files: YAML in, validated and frozen values out; unknown keys are errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no {kind.__name__.lower()} file {path}.") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not YAML: {str(error)[:300]}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "name a file") from None
    return validated(plain_yaml(text, str(path)), kind, str(path))


def validated(content: Any, kind: type[V], name: str) -> V:
    """Returns plain values as a validated, frozen one.

    Args:
        content: what YAML or a command line gave.
        kind: what it should be.
        name: of where it came from, for sentences.

    Raises:
        BadInput: a key is unknown, missing or out of range.
    """
    try:
        return kind.model_validate_json(json.dumps(content, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise BadInput(f"{name} holds keys or numbers that are none: {str(error)[:200]}.") from None
        found = error.errors()[:5]
        facts = "; ".join(map(_fact, found))
        unknown = any(e["type"] == "extra_forbidden" and len(e["loc"]) == 1 for e in found)
        remedy = f"use {', '.join(field.alias or key for key, field in kind.model_fields.items())}" if unknown else ""
        called = kind.__name__.lower()
        verdict = "cannot be used" if called.endswith("options") else f"is not a valid {called}"
        raise BadInput(f"{name} {verdict}: {facts}.", remedy) from None


def _fact(error: Any) -> str:
    """Returns one of pydantic's findings as ``where: what``; what a rule of ours says stands as it is."""
    where = ".".join(map(str, error["loc"]))[:120]
    says = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{where}: {says}" if where else says


def from_words(pairs: Mapping[str, str], kind: type[V], name: str) -> V:
    """Returns ``key: value`` words of a command line as a validated value; numbers are read as YAML reads them.

    Raises:
        BadInput: as :func:`validated`, or a word is not a plain value.
    """
    return validated({key: plain_yaml(str(word), key) for key, word in pairs.items()}, kind, name)


def plain_yaml(text: str, name: str) -> Any:
    """Returns the content of YAML that a stranger wrote, as plain values.

    Raises:
        BadInput: it is not YAML, names a key twice, or uses aliases: a few lines of them can stand for gigabytes.
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise BadInput(f"{name} uses YAML aliases.", "write every value out")
        twice = _key_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        if twice:
            raise BadInput(f"{name} names {twice[:60]!r} twice.", "keep one of them")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not YAML: {type(error).__name__}: {str(error)[:200]}.") from None


def _key_twice(node: Any) -> str:
    """Returns a key that a mapping has twice, however it is spelled; empty where none has. YAML keeps the last."""
    if isinstance(node, yaml.MappingNode):
        build = yaml.constructor.SafeConstructor()
        seen: set[str] = set()
        for key, value in node.value:
            said = str(build.construct_object(key, deep=True))
            if said in seen:
                return said
            seen.add(said)
            inside = _key_twice(value)
            if inside:
                return inside
    elif isinstance(node, yaml.SequenceNode):
        return next((inside for inside in map(_key_twice, node.value) if inside), "")
    return ""


def read_experiment(path: Path) -> Experiment:
    """Returns the experiment a file describes; raises as :func:`read_yaml`."""
    return read_yaml(path, Experiment)


def read_policy(path: Path) -> Policy:
    """Returns the monitoring policy a file describes; raises as :func:`read_yaml`."""
    return read_yaml(path, Policy)
