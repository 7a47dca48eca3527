"""What Prometheus reads and does: the watch's numbers as text, and alert rules made of the policy."""

from geoml_ops.adapters.alerting.metrics import WatchNumbers, metrics_text
from geoml_ops.adapters.alerting.rules import Addresses, alertmanager_yaml, prometheus_yaml, rules_yaml

__all__ = ["Addresses", "WatchNumbers", "alertmanager_yaml", "metrics_text", "prometheus_yaml", "rules_yaml"]
