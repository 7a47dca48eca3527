"""How trees are laid out in a graph: the same sums in other nodes, at very different speeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """One way to write the same trees down.

    Attributes:
        trees_per_node: trees that share one node of the graph, from 1; None for all of them. A node sends
            every row through its trees before the next node begins, so few trees stay in the cache.
        per_class: whether trees that each speak for one class only come in nodes of that class alone; a node
            that sums for one class has less to keep books of.
        joined_leaves: trees are joined into one, whose leaves hold the sums, as long as it has no more leaves
            than this; 0 to join none. Worth it for shallow trees, whose start costs as much as their walk.
    """

    trees_per_node: int | None = 20
    per_class: bool = True
    joined_leaves: int = 0

    def __str__(self) -> str:
        """Returns the words for it, for tables and cards."""
        size = {None: "all trees", 1: "1 tree"}.get(self.trees_per_node, f"{self.trees_per_node} trees")
        nodes = f"{size} of a class per node" if self.per_class else f"{size} per node"
        return f"{nodes}, joined up to {self.joined_leaves} leaves" if self.joined_leaves else nodes


FOREST = tuple(Layout(size, per_class=False) for size in (5, 10, 20, 1, None))
"""For trees of many leaves that speak for all classes at once."""
BOOSTED = (
    Layout(20),
    *(Layout(4, joined_leaves=leaves) for leaves in (256, 1024, 64)),
    Layout(8),
    Layout(40),
    Layout(None),
    Layout(20, per_class=False),
)
"""For many small trees, mostly of one class each."""
ANY = (Layout(20), Layout(5), Layout(4, joined_leaves=256), Layout(4, joined_leaves=1024), Layout(None))
"""For models of several models, whatever trees are in them."""
