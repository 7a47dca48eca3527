"""How far it is along a network of lines: metres, seconds or cost from every pixel to the nearest destination.

A way is a straight leg from the pixel to the nearest place on the network, edges, and a straight leg from the network
to the destination. Shortest ways are Dijkstra's (1959), from all destinations at once against the direction of travel.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.network.making import RECIPE, Access, access
from geoml_ops.domain.covariates.network.noding import Network, noded
from geoml_ops.domain.covariates.network.options import NetworkOptions
from geoml_ops.domain.covariates.network.routing import least_costs

__all__ = ["RECIPE", "Access", "Network", "NetworkOptions", "access", "least_costs", "noded"]
