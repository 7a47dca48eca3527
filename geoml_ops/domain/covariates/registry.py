"""Every kind of covariate by name, one line each."""

from __future__ import annotations

from collections.abc import Mapping

from geoml_ops.domain.covariates.distance import RECIPE as DISTANCE
from geoml_ops.domain.covariates.lag import RECIPE as LAG
from geoml_ops.domain.covariates.network import RECIPE as NETWORK_DISTANCE
from geoml_ops.domain.covariates.objects import RECIPE as OBJECTS
from geoml_ops.domain.covariates.recipe import Recipe
from geoml_ops.domain.covariates.season import RECIPE as SEASON
from geoml_ops.domain.covariates.terrain import RECIPE as TERRAIN
from geoml_ops.domain.covariates.texture import RECIPE as TEXTURE

RECIPES: Mapping[str, Recipe] = {
    "terrain": TERRAIN,
    "season": SEASON,
    "distance": DISTANCE,
    "network_distance": NETWORK_DISTANCE,
    "objects": OBJECTS,
    "lag": LAG,
    "texture": TEXTURE,
}
