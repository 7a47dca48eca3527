"""Least costs from every node to the nearest destination (Dijkstra 1959, through scipy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from geoml_ops.domain.covariates.network.noding import Network


def least_costs(
    network: Network, cost: NDArray[np.float64], leg: NDArray[np.float64], direction: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Returns the least cost from each node to any destination, ``(n_nodes,)``; infinite where there is no way.

    Args:
        network: edges and stops.
        cost: ``(n_edges,)`` of a whole edge, above 0.
        leg: ``(n_destinations,)`` cost from a stop to its destination.
        direction: ``(n_edges,)`` 1 for start to end only, -1 for end to start only, 0 for both.
    """
    ahead, back = direction >= 0, direction <= 0
    # Against the direction of travel, from one more node that lies behind every destination.
    hub = np.full(len(leg), network.n_nodes)
    tail = np.concatenate([network.end[ahead], network.start[back], hub])
    head = np.concatenate([network.start[ahead], network.end[back], network.stops])
    found = dijkstra(_cheapest(tail, head, np.concatenate([cost[ahead], cost[back], leg]), network.n_nodes + 1),
                     indices=network.n_nodes)  # fmt: skip
    return np.asarray(found[:-1], dtype=np.float64)


def _cheapest(tail: NDArray[np.int64], head: NDArray[np.int64], cost: NDArray[np.float64], n: int) -> sparse.csr_matrix:
    # A sparse matrix adds up what is given twice; of two edges between the same nodes the cheaper one counts.
    order = np.lexsort((cost, head, tail))
    tail, head, cost = tail[order], head[order], cost[order]
    first = np.r_[True, (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])]
    # An explicit 0 is an edge without cost, not a missing one.
    return sparse.csr_matrix((cost[first], (tail[first], head[first])), shape=(n, n))
