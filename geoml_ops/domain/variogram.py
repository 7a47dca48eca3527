"""How far apart two samples have to be to say different things: empirical variograms and their range."""

from __future__ import annotations
