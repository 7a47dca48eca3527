"""Who is let through: audited folds, and finished models on ground that neither has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.folds import Samples
from geoml_ops.domain.gate import Apart, admit, apart, rule
from tests.domain.gate.pairs import AUDIT, PLAN, from_gains, spread


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rules": FoldRules(method="random"), "estimand": "optimism baseline"}, "takes no such score"),
        ({"estimand": "optimism baseline"}, "takes no such score"),
        ({"rules": FoldRules(method="random")}, "takes no such score"),
        ({"audit": None}, "never audited"),
        ({"audit": AUDIT.model_copy(update={"passed": False, "n_shared_polygons": 7})}, "share 7 polygons"),
        (
            {"audit": AUDIT.model_copy(update={"passed": False, "objections": ("Fold 2 shares 3 chips.",)})},
            "failed: Fold 2 shares 3 chips",
        ),
        ({"audit": AUDIT.model_copy(update={"objections": ("Fold 1 lies.",)})}, "Fold 1 lies"),
    ],
)
def test_a_plan_that_proves_nothing_is_refused(change: dict[str, object], words: str) -> None:
    admit(PLAN)
    with pytest.raises(Refused, match=words):
        admit(PLAN.model_copy(update=change))


def test_folds_from_elsewhere_are_let_through_by_their_audit_alone() -> None:
    admit(AUDIT)
    with pytest.raises(Refused, match="share 7 polygons"):
        admit(AUDIT.model_copy(update={"passed": False, "n_shared_polygons": 7}))
    ruling = rule(AUDIT, from_gains(spread(5, 3)), GateRules(), estimand="this map")
    assert (ruling.mode, ruling.estimand, ruling.outcome) == ("recipes", "this map", "PROMOTE")


def points(easting: list[float], crs: str = "EPSG:32633", projected: bool = True) -> Samples:
    n = len(easting)
    east, north = np.array(easting, dtype=float), np.full(n, 40.0 if not projected else 5_800_000.0)
    return Samples(crs, projected, 10.0, east, north, east, north, np.arange(n), np.arange(n) % 2)


def test_ground_within_reach_of_what_either_model_learned_from_is_refused() -> None:
    asked, first, second = points([0.0, 1000.0, 2000.0]), points([-500.0]), points([2300.0, 9000.0])
    new = apart(asked, [first, second], buffer_m=200.0)
    assert new == Apart(n_samples=3, n_near=0, n_shared_polygons=0, least_distance_m=300.0, buffer_m=200.0)
    admit(new)
    near = apart(asked, [first, second], buffer_m=290.0, halo_px=1)
    assert near.n_near == 1, "windows of a pixel on either side eat 20 m of the 300"
    with pytest.raises(Refused, match=r"1 lie within 290 m .* the nearest 300 m away"):
        admit(near)


def test_the_same_pixel_is_seen_even_without_a_buffer() -> None:
    asked = points([0.0, 1000.0])
    assert apart(asked, [points([1000.0])], buffer_m=0.0).n_near == 1
    assert apart(asked, [points([1010.0])], buffer_m=0.0).n_near == 0


def test_shared_polygons_and_no_samples_are_refused() -> None:
    new = apart(points([0.0]), [points([5000.0])], buffer_m=100.0, n_shared_polygons=2)
    with pytest.raises(Refused, match="2 polygons are shared"):
        admit(new)
    with pytest.raises(Refused, match="Of 0 samples"):
        admit(apart(points([]), [points([5000.0])], buffer_m=100.0))


def test_distances_in_degrees_follow_the_great_circle() -> None:
    asked, learned = points([10.0], "EPSG:4326", False), points([10.1], "EPSG:4326", False)
    found = apart(asked, [learned], buffer_m=8000.0)
    assert found.least_distance_m == pytest.approx(6_371_008.8 * np.radians(0.1) * np.cos(np.radians(40)), rel=1e-4)
    assert (found.n_near, apart(asked, [learned], buffer_m=9000.0).n_near) == (0, 1)


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        ([], "learned from no samples"),
        ([points([])], "learned from no samples"),
        ([points([5.0]), points([])], "learned from no samples"),
        ([replace(points([5.0]), crs="EPSG:32632")], "a model learned in EPSG:32632"),
        ([points([float("nan")])], "no coordinates"),
    ],
)
def test_what_cannot_be_compared(learned: list[Samples], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        apart(points([0.0]), learned, buffer_m=100.0)
