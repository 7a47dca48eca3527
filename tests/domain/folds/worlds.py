"""Ground whose truth is known: what belongs together, how far it reaches, and that nothing else can be learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.folds import Samples

TABLE = "table-0123456789abcdef"
SPATIAL = ("block", "buffered", "buffered_loo", "location", "time", "location_time", "kmeans", "environment")
K_FOLD = tuple(method for method in SPATIAL if method != "buffered_loo")


def made(
    ground: NDArray[np.float64],
    *,
    code: NDArray[np.int64] | None = None,
    polygon: NDArray[np.int64] | None = None,
    anchors: NDArray[np.float64] | None = None,
    pixel_m: float = 10.0,
    projected: bool = True,
    **columns: NDArray[np.generic],
) -> Samples:
    """Samples at these places; each a polygon of its own, two classes in turn, unless said otherwise."""
    n = len(ground)
    anchors = ground if anchors is None else anchors
    return Samples(
        "EPSG:32633" if projected else "EPSG:4326",
        projected,
        pixel_m,
        *ground.T.astype(np.float64),
        *anchors.T.astype(np.float64),
        np.arange(n) if polygon is None else polygon,
        np.arange(n) % 2 if code is None else code,
        **columns,  # type: ignore[arg-type]
    )


def field(seed: int, n_polygons: int = 120, per_polygon: int = 12, extent_m: float = 12_000.0, k: int = 3) -> Samples:
    """Small polygons whose classes have nothing to do with where they are; six scenes on three days."""
    rng = np.random.default_rng(seed)
    anchors = rng.uniform(0, extent_m, (n_polygons, 2)) + np.array([300_000.0, 5_800_000.0])
    polygon = np.repeat(np.arange(n_polygons), per_polygon)
    ground = anchors[polygon] + rng.uniform(-60, 60, (len(polygon), 2))
    scene = rng.permutation(n_polygons)[polygon] % 6
    return made(
        ground,
        code=rng.integers(0, k, n_polygons)[polygon],
        polygon=polygon,
        anchors=anchors[polygon],
        scene=scene,
        day=19_000 + scene // 2,
        features=np.column_stack([np.sin(ground / 3000), ground[:, 0] / 1000]).astype(np.float32),
    )


def globe(seed: int, n_polygons: int = 60, per_polygon: int = 4, degrees: float = 1.0) -> Samples:
    """The same in longitude and latitude, astride the antimeridian and far north."""
    rng = np.random.default_rng(seed)
    anchors = np.array([180.0, 70.0]) + rng.uniform(-degrees, degrees, (n_polygons, 2))
    polygon = np.repeat(np.arange(n_polygons), per_polygon)
    ground = anchors[polygon] + rng.uniform(-1e-3, 1e-3, (len(polygon), 2))
    for places in (ground, anchors):
        places[:, 0] = (places[:, 0] + 180) % 360 - 180
    scene = polygon % 6
    return made(
        ground,
        code=rng.integers(0, 3, n_polygons)[polygon],
        polygon=polygon,
        anchors=anchors[polygon],
        projected=False,
        scene=scene,
        day=scene // 2,
        features=rng.normal(size=(len(ground), 3)).astype(np.float32),
    )


PATCH_M = 1000.0
PATCH_REACH_M = PATCH_M * float(np.sqrt(2))
"""Two places farther apart than this lie in different patches."""


def patchwork(seed: int, n_polygons: int = 420, per_polygon: int = 4, k: int = 4) -> Samples:
    """Square patches of a kilometre, each of one class drawn at random: whoever is farther than a patch knows nothing.

    An honest accuracy is ``1 / k``. Polygons lie in patches, several to a patch here and there; their
    samples within 40 m; features follow the ground, so that alike is near.
    """
    rng, side = np.random.default_rng(seed), 24
    classes = rng.integers(0, k, (side, side))
    patch = rng.integers(0, side, (n_polygons, 2))
    anchors = np.array([300_000.0, 5_800_000.0]) + patch * PATCH_M + rng.uniform(60, PATCH_M - 60, (n_polygons, 2))
    polygon = np.repeat(np.arange(n_polygons), per_polygon)
    ground = anchors[polygon] + rng.uniform(-40, 40, (len(polygon), 2))
    scene = rng.integers(0, 12, n_polygons)[polygon]
    return made(
        ground,
        code=classes[patch[:, 0], patch[:, 1]][polygon],
        polygon=polygon,
        anchors=anchors[polygon],
        scene=scene,
        day=scene // 2,
        features=np.sin((ground - ground.min(axis=0)) / 4000).astype(np.float32),
    )


def great_circle_m(one: Samples, other: Samples) -> NDArray[np.float64]:
    """Distances along the globe between two samplings, ``(n, m)``, by the haversine formula."""
    lon1, lat1 = np.radians(one.easting)[:, None], np.radians(one.northing)[:, None]
    lon2, lat2 = np.radians(other.easting)[None], np.radians(other.northing)[None]
    half = np.sin((lat1 - lat2) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon1 - lon2) / 2) ** 2
    return np.asarray(2 * 6_371_008.8 * np.arcsin(np.sqrt(half)))
