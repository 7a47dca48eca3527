"""The name of what is wrong with a scene, told by its pattern, and what cures it."""

from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.naming import diagnose

__all__ = ["Evidence", "diagnose"]
