"""The graphs that leave training: features, fitted head, and the bundle that joins them.

One operator set (17, trees 3) and names of our own make the bytes a function of the model alone:
the same model gives the same digest on every machine.
"""

from geoml_ops.adapters.onnx.graphs import bundle_graph, feature_graph
from geoml_ops.adapters.onnx.heads import Layout, head_graph, layouts_for

__all__ = ["Layout", "bundle_graph", "feature_graph", "head_graph", "layouts_for"]
