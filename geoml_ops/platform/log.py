"""One event per step, key and value, on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import structlog

# A logger of our own instead of structlog.configure(): Airflow configures structlog for its whole
# process and its operators rely on that configuration.
_PROCESSORS: list[Any] = [
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.add_log_level,
    structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
]


def logger(step: str) -> structlog.BoundLogger:
    """Returns a logger whose every event carries ``step``."""
    bound = structlog.wrap_logger(
        structlog.PrintLogger(file=sys.stderr), processors=_PROCESSORS, wrapper_class=structlog.BoundLogger
    )
    return cast(structlog.BoundLogger, bound.bind(step=step))


def quiet(*names: str) -> None:
    """Lets the named standard loggers speak only from WARNING on."""
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
