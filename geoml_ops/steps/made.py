"""Rasters of covariates on disk; light, because the service reads them too."""

from __future__ import annotations

from pathlib import Path

from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.flow import Covariate
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.places import Places


def covariate_file(places: Places, covariate: Covariate) -> Path:
    """Returns the raster of a covariate, once its digest is the noun's.

    Raises:
        NotFound: it is gone.
        Refused: it was altered.
    """
    path = places.covariates / covariate.file.path
    if not path.exists():
        raise NotFound(f"The raster of {covariate.id} is gone.", "make the covariate again")
    if sha256_of(path) != covariate.file.sha256:
        raise Refused(f"{path} was altered.", "delete it and make the covariate again")
    return path
