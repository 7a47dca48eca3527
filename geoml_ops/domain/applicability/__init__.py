"""Where a model may be asked: dissimilarity to what it learned from, weighted by what matters to it.

The dissimilarity index and its threshold are those of Meyer and Pebesma (2021, Methods in Ecology and
Evolution 12:1620), local point density that of Schumacher et al. (2025, Geoscientific Model Development
18:10185). The threshold comes from the folds of the reported accuracy, so accuracy and area are one
statement: that accuracy holds inside. It says nothing of concepts that changed or of wrong labels.
"""

from geoml_ops.domain.applicability.area import DEFINITION, LEAST_SAMPLES, Area, fit
from geoml_ops.domain.applicability.references import References, density, dissimilarity

__all__ = ["DEFINITION", "LEAST_SAMPLES", "Area", "References", "density", "dissimilarity", "fit"]
