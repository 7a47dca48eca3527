"""Sets of classes that hold the true one as often as promised, calibrated on out-of-fold answers."""

from __future__ import annotations
