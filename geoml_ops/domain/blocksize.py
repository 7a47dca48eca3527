"""How large a block has to be: from the range of autocorrelation, within what the ground allows."""

from __future__ import annotations
