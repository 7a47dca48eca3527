"""Features of a version's pixels: the feature graph, on the bands of scenes and of the covariates made for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import Contract
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Covariate, Scene, Version
from geoml_ops.domain.covariates.registry import RECIPES
from geoml_ops.domain.features import bands_needed, expanded, halo_of
from geoml_ops.steps.covariates import contract_with, make_covariates, options_of
from geoml_ops.steps.imagery import Imagery, imagery
from geoml_ops.steps.places import Places
from geoml_ops.steps.reads import reach_of

READ_PX = 256


class FeatureSource:
    """Computes features anywhere in a version; the graph is the one that serves.

    Attributes:
        features: one text per feature, lists written out.
        contract: the bands they are made of, of the sensor and of covariates.
        whole: every band of the sensor and of the experiment's covariates.
        halo_px: pixels around a pixel that its features look at.
        content: the graph's bytes.
    """

    def __init__(
        self, places: Places, version: Version, experiment: Experiment, features: Sequence[str] | None = None
    ) -> None:
        """Reads what the features need.

        Args:
            places: where things are.
            version: whose scenes are asked.
            experiment: its sensor and covariates.
            features: texts; those of the experiment when None.

        Raises:
            BadInput: a feature or a covariate is unknown or makes no sense on this sensor.
        """
        self._places, self._version, self._experiment = places, version, experiment
        self.whole = contract_with(places, experiment.sensor, experiment.covariates)
        self.features = expanded(experiment.features if features is None else features, self.whole)
        self.contract = self.whole.subset(bands_needed(self.features, self.whole))
        self.halo_px = halo_of(self.features, self.whole)
        self.content = feature_graph(self.features, self.whole)
        self._graph = Graph(self.content)
        self._opened: dict[str, Imagery] = {}
        self._made: dict[str, tuple[Covariate, ...]] = {}

    def covariates(self, scene: Scene) -> tuple[Covariate, ...]:
        """Returns the covariates of a scene whose bands the features read, made now where they were not."""
        if not set(self.contract.names) - set(contract_with(self._places, self._experiment.sensor, {}).names):
            return ()
        if scene.id not in self._made:
            made = make_covariates(self._places, self._version, self._experiment, scene)
            read = (c for c in made if set(self.contract.names) & {band.name for band in c.bands})
            self._made[scene.id] = tuple(read)
        return self._made[scene.id]

    def imagery(self, scene: Scene) -> Imagery:
        """Returns the bands of a scene; raises as :func:`geoml_ops.steps.imagery.imagery`."""
        if scene.id not in self._opened:
            self._opened[scene.id] = imagery(self._places, self._version, scene, self.contract, self.covariates(scene))
        return self._opened[scene.id]

    def at(self, scene: Scene, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns features ``(n, features)`` of pixels, NaN where one does not exist, read window by window."""
        source, halo = self.imagery(scene), self.halo_px
        out = np.full((len(rows), len(self.features)), np.nan, dtype=np.float32)
        tile = (rows // READ_PX) * (scene.grid.width // READ_PX + 1) + cols // READ_PX
        for number in np.unique(tile):
            mine = np.flatnonzero(tile == number)
            row, col = int(rows[mine].min()), int(cols[mine].min())
            height, width = int(rows[mine].max()) - row + 1, int(cols[mine].max()) - col + 1
            dn = source.read(row - halo, col - halo, height + 2 * halo, width + 2 * halo)
            values = self._graph.features(dn[None])[0]
            out[mine] = values[:, rows[mine] - row + halo, cols[mine] - col + halo].T
        return out


def features_at(
    places: Places,
    version: Version,
    keys: dict[str, NDArray[np.generic]],
    features: Sequence[str],
    experiment: Experiment,
) -> NDArray[np.float32]:
    """Returns features ``(n, features)`` of pixels given by ``scene``, ``row``, ``col``; NaN where one does not exist.

    Args:
        places: where things are.
        version: that holds the scenes.
        keys: of the pixels, ``(n,)`` each.
        features: texts.
        experiment: whose sensor and covariates they read.
    """
    source = FeatureSource(places, version, experiment, features)
    out = np.full((len(keys["row"]), len(features)), np.nan, dtype=np.float32)
    for scene_id in np.unique(keys["scene"].astype(str)):
        mine = np.flatnonzero(keys["scene"] == scene_id)
        scene = Shelf(places.nouns).get(Scene, str(scene_id))
        out[mine] = source.at(scene, keys["row"][mine].astype(np.int64), keys["col"][mine].astype(np.int64))
    return out


def reach_px(places: Places, experiment: Experiment) -> int:
    """Returns how many pixels of imagery around its own a sample's features look at, by windows and by covariates.

    Ground that no scene shows (elevation, roads) does not count: a catchment is kilometres wide, and two samples
    that share it share no pixel of any scene. Segments have no such number: they look at whole scenes.
    """
    whole: Contract = contract_with(places, experiment.sensor, experiment.covariates)
    texts = expanded(experiment.features, whole)
    margins = {
        name: RECIPES[rules.make].margin_px(options_of(name, rules), whole.pixel_m)
        for name, rules in experiment.covariates.items()
    }
    reach = reach_of(experiment.covariates, margins, whole)
    return halo_of(texts, whole) + max((reach.get(band, 0) for band in bands_needed(texts, whole)), default=0)
