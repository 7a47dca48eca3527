"""What a delivery has to fulfil: rules about columns of facts, and the columns themselves.

A rule is data; ``adapters/gx.py`` turns it into an expectation. Row count, columns and nulls are rules
of their own: a range holds trivially for a column without values.
"""

from geoml_ops.domain.checks.labels import (
    CODED,
    LABELLED,
    POINTS,
    code_rules,
    describe_codes,
    describe_records,
    label_rules,
    one_class_check,
    touching,
    what_they_are,
)
from geoml_ops.domain.checks.offsets import offset_check
from geoml_ops.domain.checks.rules import About, Row, Rule
from geoml_ops.domain.checks.scenes import (
    DELIVERED,
    HEADER,
    MEASURED,
    NUMBERS,
    delivered_rules,
    header_rules,
    measure,
    measured_rules,
)
from geoml_ops.domain.checks.spectra import spectral_check

__all__ = [
    "CODED",
    "DELIVERED",
    "HEADER",
    "LABELLED",
    "MEASURED",
    "NUMBERS",
    "POINTS",
    "About",
    "Row",
    "Rule",
    "code_rules",
    "delivered_rules",
    "describe_codes",
    "describe_records",
    "header_rules",
    "label_rules",
    "measure",
    "measured_rules",
    "offset_check",
    "one_class_check",
    "spectral_check",
    "touching",
    "what_they_are",
]
