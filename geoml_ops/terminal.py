"""How the command line talks: nouns to stdout as JSON, words and progress to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

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


def progress(what: str) -> Callable[[int, int], None]:
    """Returns what to call with the work that is done and all of it: one line that is written over, on stderr.

    Where nobody looks (no terminal) there is a line for each tenth.
    """
    began, told, live = time.monotonic(), [-1], sys.stderr.isatty()

    def show_progress(done: int, total: int) -> None:
        share = done / total if total else 0.0
        step = int(share * (1000 if live else 10))
        if step == told[0]:
            return
        told[0] = step
        spent = time.monotonic() - began
        left = f", about {_duration(spent * (1 - share) / share)} left" if 0 < share < 1 else ""
        line = f"{what} {share:4.0%}, {_duration(spent)}{left}"
        end = "\n" if not live or share >= 1 else ""
        print(f"\r{line:60}" if live else line, end=end, file=sys.stderr, flush=True)

    return show_progress


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def settings() -> Settings:
    """Returns this machine's settings, with the addresses of the stack that runs here where none are set."""
    be_quiet()
    found = Settings()
    ports = found.workspace.resolve() / "stack" / "ports.json"
    if not ports.exists():
        return found
    kept = json.loads(ports.read_text())
    addresses = {
        "tracking_uri": kept["mlflow"],
        "service_url": kept["service"],
        "airflow_url": kept["airflow"],
        "evidently_url": kept["evidently"],
    }
    return found.model_copy(
        update={k: f"http://127.0.0.1:{v}" for k, v in addresses.items() if k not in found.model_fields_set}
    )


def places() -> Places:
    """Returns the folders and addresses that steps work with."""
    return settings().places()
