"""Alert rules for Prometheus and an example of who is told, made of the policy and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from geoml_ops.core.policy import Policy

_WHERE = (
    " * on (stream) group_left (cause, action) geoml_watch_cause"
    " * on (stream) group_left (crs, bounds, drift) geoml_watch_place"
)
_SAID = "{{ $labels.region }} ({{ $labels.bounds }} in {{ $labels.crs }})"
_HEAD = "# Made by `geoml alerts` from policy {name} ({id}). Change the policy and make it again, never this file.\n"


@dataclass(frozen=True)
class Addresses:
    """Where things are for whoever is told.

    Attributes:
        service: base address of the service, under which the dashboard is.
        alertmanager: host and port.
        receiver: address that Alertmanager posts to.
    """

    service: str
    alertmanager: str = "127.0.0.1:9093"
    receiver: str = "http://127.0.0.1:9095/alerts"


@dataclass(frozen=True)
class _Alert:
    name: str
    expr: str
    severity: str
    summary: str
    description: str
    minutes: float = 0.0
    page: str = ""

    def written(self, policy: Policy, service: str) -> dict[str, Any]:
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.minutes:
            rule["for"] = f"{round(self.minutes * 60)}s"
        rule["labels"] = {"severity": self.severity, "policy": policy.name}
        said = {"summary": self.summary, "description": self.description}
        rule["annotations"] = said | ({"page": f"{service.rstrip('/')}/dashboard/{self.page}"} if self.page else {})
        return rule


def rules_yaml(policy: Policy, addresses: Addresses) -> str:
    """Returns the rule file (YAML) of a policy; the same policy gives the same bytes."""
    service = addresses.service
    groups = [
        {"name": "geoml-watch", "rules": [a.written(policy, service) for a in (*_streams(policy), *_record(policy))]},
        {"name": "geoml-service", "rules": [alert.written(policy, service) for alert in _service(policy)]},
    ]
    return _HEAD.format(name=_plain(policy.name), id=policy.id) + _dumped({"groups": groups})


def prometheus_yaml(addresses: Addresses) -> str:
    """Returns an example of a Prometheus configuration that asks the service and follows the rules."""
    service = urlsplit(addresses.service)
    job = {
        "job_name": "geoml",
        "scheme": service.scheme or "http",
        "metrics_path": f"{service.path.rstrip('/')}/metrics",
        "static_configs": [{"targets": [service.netloc.rpartition("@")[2]]}],
    }
    content = {
        "global": {"scrape_interval": "30s", "evaluation_interval": "30s"},
        "rule_files": ["geoml.rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [addresses.alertmanager]}]}]},
        "scrape_configs": [job],
    }
    note = "# An example. With keys, add: authorization: {credentials_file: KEY}, a key of the role reader.\n"
    return note + _dumped(content)


def alertmanager_yaml(addresses: Addresses) -> str:
    """Returns an example of an Alertmanager configuration: one message per stream, a fault before its drift."""
    content = {
        "route": {
            "receiver": "people",
            "group_by": ["alertname", "stream"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [{"matchers": ['severity="info"'], "receiver": "people", "repeat_interval": "168h"}],
        },
        "inhibit_rules": [
            # A broken delivery looks like drift too, and a service that is gone says nothing else that is new.
            {
                "source_matchers": ['alertname="GeomlFaultNamed"'],
                "target_matchers": ['alertname=~"GeomlDriftAlarm|GeomlOutsideGround|GeomlAccuracyFell"'],
                "equal": ["stream"],
            },
            {
                "source_matchers": ['alertname="GeomlServiceGone"'],
                "target_matchers": ['alertname=~"GeomlNotReady|GeomlUnwatched"'],
            },
        ],
        "receivers": [
            {"name": "people", "webhook_configs": [{"url": addresses.receiver, "send_resolved": True}]},
        ],
    }
    return "# An example. Put an address of yours where the receiver is.\n" + _dumped(content)


def _streams(policy: Policy) -> Sequence[_Alert]:
    a, drift = policy.alerts, policy.on_drift
    rate = f"{policy.calibration.alarms_per_year:g} false alarms a year are stated for each stream."
    page = "drifts/{{ $labels.drift }}.html"
    return (
        _Alert(
            "GeomlDriftAlarm", f'(geoml_watch_state{{state="alarm"}} == 1){_WHERE}', "warning",
            f"Drift in {_SAID}: {{{{ $labels.cause }}}}",
            "A calibrated alarm stands in stream {{ $labels.stream }}; what cures it: {{ $labels.action }}. " + rate,
            page=page,
        ),
        _Alert(
            "GeomlFaultNamed", f'(geoml_watch_state{{state="fault"}} == 1){_WHERE}', "critical",
            f"Fault in {_SAID}: {{{{ $labels.cause }}}}",
            "The newest scene of {{ $labels.stream }} was delivered wrongly; what cures it: {{ $labels.action }}. "
            "Nothing is learned from it.",
            page=page,
        ),
        _Alert(
            "GeomlCannotTell", f'(geoml_watch_state{{state="cannot tell"}} == 1){_WHERE}', "warning",
            f"No claim about {_SAID}", "The newest scene of {{ $labels.stream }} could not be compared.", page=page,
        ),
        _Alert(
            "GeomlUncalibrated",
            f"(time() - geoml_watch_uncalibrated_since_timestamp_seconds > {_seconds(a.uncalibrated_days)}){_WHERE}",
            "info", f"Still uncalibrated: {_SAID}",
            f"For more than {a.uncalibrated_days:g} days stream {{{{ $labels.stream }}}} has had too few scenes in "
            "control for a threshold.",
            page=page,
        ),
        _Alert(
            "GeomlNoScene",
            f"(time() - geoml_watch_last_scene_timestamp_seconds > {_seconds(a.silent_days)}){_WHERE}",
            "warning", f"No new scene of {_SAID}",
            f"The newest scene of {{{{ $labels.stream }}}} was acquired more than {a.silent_days:g} days ago.",
            page=page,
        ),
        _Alert(
            "GeomlOutsideGround", f"(geoml_watch_outside_share > {drift.most_outside:g}){_WHERE}", "warning",
            f"Outside the model's ground: {_SAID}",
            "{{ $value | humanizePercentage }} of the newest scene of {{ $labels.stream }} lies outside what the "
            f"champion learned from; the policy allows {drift.most_outside:.0%}.",
            page=page,
        ),
        _Alert(
            "GeomlAccuracyFell",
            f"(geoml_watch_expected_accuracy - geoml_watch_estimated_accuracy > {drift.accuracy_drop:g}){_WHERE}",
            "warning", f"Estimated accuracy fell in {_SAID}",
            "Without labels it is estimated {{ $value | humanizePercentage }} below what held-out blocks gave; the "
            f"policy allows {drift.accuracy_drop:.0%}.",
            page=page,
        ),
    )  # fmt: skip


def _record(policy: Policy) -> Sequence[_Alert]:
    a = policy.alerts
    hours = round(a.unwatched_hours * 3600)
    return (
        _Alert(
            "GeomlTrailBroken", "geoml_watch_trail_whole == 0", "critical", "The audit trail was altered",
            "A record does not fit its digest or the one before it. Keep the folder as it is and restore a backup "
            "beside it.",
            page="index.html",
        ),
        _Alert(
            "GeomlUnwatched", f"time() - geoml_watch_written_timestamp_seconds > {hours}", "critical",
            "Nobody watches",
            f"The watch has not written what it knows for more than {a.unwatched_hours:g} hours; look at Airflow.",
            page="index.html",
        ),
    )  # fmt: skip


def _service(policy: Policy) -> Sequence[_Alert]:
    a = policy.alerts
    asked = "sum by (door) (rate(geoml_requests_total[5m]))"
    failed = 'sum by (door) (rate(geoml_requests_total{status=~"5.."}[5m]))'
    slow = 'sum by (le, door) (rate(geoml_request_seconds_bucket{door=~"classify|classify_chip"}[10m]))'
    return (
        _Alert(
            "GeomlServiceGone", 'up{job="geoml"} == 0', "critical", "The service does not answer",
            "Prometheus cannot ask {{ $labels.instance }}.", a.minutes,
        ),
        _Alert(
            "GeomlNotReady", "geoml_ready == 0", "critical", "No model answers", "Requests are refused until one does.",
            a.minutes,
        ),
        _Alert(
            "GeomlNotFollowing", "geoml_follows_registry == 0", "warning", "Not the registry's champion",
            "What serves is not what the registry calls champion; /readyz says why.", a.minutes,
        ),
        _Alert(
            "GeomlErrors", f"{failed} / {asked} > {a.error_share:g}", "critical", "Requests fail at {{ $labels.door }}",
            f"{{{{ $value | humanizePercentage }}}} of requests ended in an error of the service; the policy allows "
            f"{a.error_share:.0%}.", a.minutes,
        ),
        _Alert(
            "GeomlSlow", f"histogram_quantile(0.95, {slow}) > {a.slow_s:g}", "warning",
            "Slow answers at {{ $labels.door }}",
            f"95 of 100 requests took up to {{{{ $value | humanizeDuration }}}}; the policy allows {a.slow_s:g} s.",
            a.minutes,
        ),
        _Alert(
            "GeomlLogLost",
            "increase(geoml_log_dropped_total[1h]) + increase(geoml_log_failed_total[1h]) > 0",
            "warning", "Requests are missing from the prediction log",
            "{{ $value }} requests in an hour were answered and not recorded: monitoring is blind to them.",
        ),
    )  # fmt: skip


def _seconds(days: float) -> int:
    return round(days * 86_400)


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:80]


def _dumped(content: Any) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)
    return text
