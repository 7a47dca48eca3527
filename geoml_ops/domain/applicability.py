"""Where a model may be asked: dissimilarity to what it learned from (Meyer and Pebesma 2021)."""

from __future__ import annotations
