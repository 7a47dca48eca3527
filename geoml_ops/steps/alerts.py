"""Alert rules for Prometheus, made of the policy; examples of how to use them beside."""

from __future__ import annotations

from pathlib import Path

from geoml_ops.adapters.alerting import Addresses, alertmanager_yaml, prometheus_yaml, rules_yaml
from geoml_ops.adapters.configs import read_policy
from geoml_ops.platform.files import write_text

RULES, PROMETHEUS, ALERTMANAGER = "geoml.rules.yml", "prometheus.example.yml", "alertmanager.example.yml"


def write_alerts(policy: Path, folder: Path, service_url: str) -> tuple[Path, ...]:
    """Writes the rules of a policy and two examples, whole; returns their paths. The same policy gives the same bytes.

    Args:
        policy: the policy file.
        folder: where they go.
        service_url: address under which people and Prometheus reach the service.

    Raises:
        BadInput: the policy is not valid.
    """
    addresses = Addresses(service=service_url.rstrip("/"))
    texts = {
        RULES: rules_yaml(read_policy(policy), addresses),
        PROMETHEUS: prometheus_yaml(addresses),
        ALERTMANAGER: alertmanager_yaml(addresses),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return tuple(folder / name for name in texts)
