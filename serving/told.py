"""What serves at one moment, and what is said of it: golden tiles, the last candidate's shadow, who was refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from geoml_ops.domain.swap import Outcome
from geoml_ops.steps.answering import Model
from geoml_ops.steps.refusals import Refusal


@dataclass(frozen=True)
class State:
    """What serves at one moment; replaced as a whole, so nobody ever sees half of a change.

    Attributes:
        model: what answers; None when nothing can.
        asked: when the registry last answered; None when it never did.
        trouble: why the registry's champion is not what serves; empty when it is.
        shadow: how the last candidate differed from what served then; None before the first.
        refused: the release that may not serve here; None where there is none.
    """

    model: Model | None = None
    asked: datetime | None = None
    trouble: str = ""
    shadow: dict[str, Any] | None = None
    refused: Refusal | None = None


def words_of(state: State) -> dict[str, Any]:
    """Returns what /readyz says: which model answers, whether it is the registry's champion, and why not."""
    release = state.model.release if state.model else None
    return {
        "ready": release is not None,
        "model": release.model if release else None,
        "number": release.number if release else None,
        "following": not state.trouble,
        "registry_answered": state.asked.isoformat() if state.asked else None,
        "message": state.trouble or "The champion of the registry answers.",
        "refused": state.refused.release.number if state.refused else None,
    }


def told_of(state: State) -> dict[str, Any]:
    """Returns golden tiles of the model that serves, the last candidate's shadow, and the refused release."""
    model, refused = state.model, state.refused
    return {
        "golden": None if model is None else golden_row(model.asked, model.provider),
        "shadow": state.shadow,
        "refusal": None if refused is None else {**vars(refused.release), "reason": refused.reason},
    }


def golden_row(outcome: Outcome | None, provider: str) -> dict[str, Any]:
    """Returns what a machine made of a bundle's golden tiles, with a sentence."""
    if outcome is None:
        return {"asked": False, "sentence": "Its bundle holds no golden tiles: nothing golden was asked."}
    return {
        "asked": True,
        "provider": provider,
        **asdict(outcome),
        "sentence": f"{outcome.n_same} of {outcome.n_tiles} golden tiles gave the expected classes to the byte; "
        f"probabilities differ by at most {outcome.worst:.2g} on {outcome.n_pixels} pixels.",
    }
