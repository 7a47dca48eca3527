"""How accurate a map is and how much there is of each class, from a probability sample (Olofsson 2014)."""

from __future__ import annotations
