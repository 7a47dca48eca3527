"""A small client of the service, for programs and the command line."""

from geoml_ops.client.chips import ChipAnswer
from geoml_ops.client.service import Client, classify

__all__ = ["ChipAnswer", "Client", "classify"]
