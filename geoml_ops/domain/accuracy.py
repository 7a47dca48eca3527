"""How accurate a map is and how much of each class there is, from a probability sample (Olofsson 2014, Stehman 2014)."""

from __future__ import annotations
