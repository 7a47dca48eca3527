"""The turn told as a page with pictures, and the same as nouns."""

from geoml_ops.demo.report.page import CREDITS, UNCALIBRATED, html, write_report
from geoml_ops.demo.report.parts import OUTCOMES

__all__ = ["CREDITS", "OUTCOMES", "UNCALIBRATED", "html", "write_report"]
