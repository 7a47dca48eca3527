"""How the command line talks: nouns to stdout as JSON, words and progress to stderr."""

from __future__ import annotations

import json
import sys

from geoml_ops.core.noun import Noun
from geoml_ops.settings import Settings, be_quiet
from geoml_ops.steps.places import Places


def say(line: str) -> None:
    """Writes a line for people to stderr."""
    print(line, file=sys.stderr, flush=True)


def show(*nouns: Noun) -> None:
    """Writes nouns to stdout, one JSON object per line, each with its id."""
    for noun in nouns:
        print(json.dumps({"id": noun.id, "kind": noun.kind, **noun.as_json()}, ensure_ascii=False))


def settings() -> Settings:
    """Returns this machine's settings, with the addresses of the stack that runs here where none are set."""
    be_quiet()
    found = Settings()
    ports = found.workspace.resolve() / "stack" / "ports.json"
    if not ports.exists():
        return found
    kept = json.loads(ports.read_text())
    addresses = {"tracking_uri": kept["mlflow"], "service_url": kept["service"]}
    return found.model_copy(
        update={k: f"http://127.0.0.1:{v}" for k, v in addresses.items() if k not in found.model_fields_set}
    )


def places() -> Places:
    """Returns the folders and addresses that steps work with."""
    return settings().places()
