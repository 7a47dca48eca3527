"""Great Expectations: rules in, checks out, and pages that need no network to be read."""

from __future__ import annotations

import html
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Check, Verdict
from geoml_ops.domain.checks import Row, Rule
from geoml_ops.platform.files import write_json, write_text
from geoml_ops.platform.log import quiet

# Before the import: where structlog is configured already, GX 1.24 prints 209 lines while it loads.
quiet("great_expectations")

import great_expectations as gx  # noqa: E402
import pandas as pd  # noqa: E402
from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: E402

# GX 1.24 does not mark what it exports.
gxe: Any = gx.expectations

MOST_NAMED = 8


@dataclass(frozen=True)
class Outcome:
    """What GX found in one table.

    Attributes:
        title: what the table is about.
        checks: one per rule, in the order of the rules.
        result: GX's own result, as JSON values.
        rows: the table.
    """

    title: str
    checks: tuple[Check, ...]
    result: dict[str, Any]
    rows: list[Row]


def validate(title: str, rows: Sequence[Row], columns: Sequence[str], rules: Sequence[Rule]) -> Outcome:
    """Returns what GX says about a table of facts under a suite built from ``rules``.

    Args:
        title: name of the suite.
        rows: one dictionary per row; a key that is missing is a null.
        columns: names of the columns, in order; a table without rows still has them.
        rules: what has to hold; their names are unique.

    Raises:
        Refused: GX answered for other rules than it was given.
    """
    extra = [name for row in rows for name in row if name not in columns]
    frame = pd.DataFrame(list(rows), columns=[*columns, *dict.fromkeys(extra)])
    for rule in rules:
        if rule.about == "between" and rule.column in frame:
            frame[rule.column] = pd.to_numeric(frame[rule.column])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("facts").add_dataframe_asset("table")
    batch = source.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name=title, expectations=[_expectation(rule) for rule in rules])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome: Any = batch.validate(suite, result_format="COMPLETE")
    result = outcome.to_json_dict()
    answers = {answer["expectation_config"]["meta"]["rule"]: answer for answer in result["results"]}
    if set(answers) != {rule.name for rule in rules} or len(answers) != len(rules):
        raise Refused(f"Great Expectations answered {len(answers)} of {len(rules)} rules.", "give rules unique names")
    checks = tuple(_check(rule, answers[rule.name], rows) for rule in rules)
    return Outcome(title=title, checks=checks, result=_plain(result), rows=[dict(row) for row in rows])


def _expectation(rule: Rule) -> Any:
    common: dict[str, Any] = {
        "meta": {"rule": rule.name},
        "severity": "critical" if rule.blocking else "warning",
    }
    column: dict[str, Any] = {**common, "column": rule.column}
    match rule.about:
        case "row count":
            return gxe.ExpectTableRowCountToBeBetween(**common, min_value=_whole(rule.low), max_value=_whole(rule.high))
        case "columns":
            return gxe.ExpectTableColumnsToMatchSet(**common, column_set=list(rule.allowed), exact_match=True)
        case "not null":
            return gxe.ExpectColumnValuesToNotBeNull(**column)
        case "in set":
            return gxe.ExpectColumnValuesToBeInSet(**column, value_set=list(rule.allowed), mostly=rule.mostly)
        case "between":
            return gxe.ExpectColumnValuesToBeBetween(
                **column, min_value=rule.low, max_value=rule.high, mostly=rule.mostly
            )
        case "matches":
            return gxe.ExpectColumnValuesToMatchRegex(**column, regex=rf"\A(?:{rule.pattern})\Z", mostly=rule.mostly)
        case "equal set":
            return gxe.ExpectColumnDistinctValuesToEqualSet(**column, value_set=list(rule.allowed))


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _check(rule: Rule, answer: Mapping[str, Any], rows: Sequence[Row]) -> Check:
    passed = bool(answer["success"])
    # str.format reads the rule's own text only: what was delivered is a value, never a template.
    sentence = rule.passed if passed else rule.failed.format(found=_found(rule, answer["result"], rows))
    return Check(name=rule.name, passed=passed, blocking=rule.blocking, sentence=sentence[:600])


def _found(rule: Rule, result: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Names the rows or values that break a rule, the first few of them."""
    if rule.about == "row count":
        return str(result.get("observed_value", "no"))
    if rule.about == "columns":
        differ = (result.get("details") or {}).get("mismatched", {})
        return "; ".join(f"{kind} {', '.join(map(str, names))}" for kind, names in sorted(differ.items()))
    if rule.about == "equal set":
        there = [row.get(rule.column) for row in rows]
        missing = [str(name) for name in rule.allowed if name not in there]
        beyond = sorted({str(name)[:60] for name in there if name not in rule.allowed})
        parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"not known {', '.join(beyond)}"] * bool(beyond)
        return "; ".join(parts)
    broken = [rows[i] for i in result.get("unexpected_index_list") or []]
    named = list(dict.fromkeys(_name(rule, row) for row in broken))
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return ("; ".join(named[:MOST_NAMED]) + more) or "nothing that could be measured"


def _name(rule: Rule, row: Row) -> str:
    value = row.get(rule.column)
    said = f"{value:.4g}" if isinstance(value, float) else str(value)[:300]
    if rule.about == "not null":
        return str(row.get(rule.key))[:60]
    return f"{str(row.get(rule.key))[:60]} {said}" if rule.key else said


def _plain(result: Mapping[str, Any]) -> dict[str, Any]:
    """GX's result without run times and random ids, as strict JSON."""
    results = [
        {
            "expectation": answer["expectation_config"]["type"],
            "arguments": {k: v for k, v in answer["expectation_config"]["kwargs"].items() if k != "batch_id"},
            "severity": answer["expectation_config"]["severity"],
            "rule": answer["expectation_config"]["meta"]["rule"],
            "success": answer["success"],
            "result": answer["result"],
        }
        for answer in result["results"]
    ]
    plain = {"success": result["success"], "statistics": result["statistics"], "results": results}
    clean: dict[str, Any] = json.loads(json.dumps(plain, default=str), parse_constant=lambda _: None)
    return clean


# --- pages -----------------------------------------------------------------------------------

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7b;--paper:#fff;--line:#dde4ea;--good:#1b7f4b;--bad:#b3261e;
--warn:#9a6700}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa7b4;--paper:#12181f;--line:#2b3540;--good:#4cc38a;
--bad:#ff8a80;--warn:#e3b341}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:70rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p{margin:.3rem 0}.soft{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.4rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.mark{font-weight:600;white-space:nowrap}
"""


def write_docs(folder: Path, verdict: Verdict, outcomes: Sequence[Outcome]) -> Path:
    """Writes the page of a verdict and GX's results beside it; returns the page's path.

    The page carries its own style, and neither script, image nor link that leaves the folder: the Data
    Docs that GX renders itself load 15 files from the network and a picture that counts readers.
    """
    write_json(folder / "result.json", [{"title": o.title, "result": o.result} for o in outcomes])
    state = ("good", "accepted") if verdict.accepted else ("bad", "refused")
    failed = "".join(f"<p class=bad>{html.escape(reason)}</p>" for reason in verdict.reasons)
    ordered = sorted(verdict.checks, key=lambda c: c.passed)  # what failed is what people came for
    rows = "".join(f"<tr><td>{_mark(c)}</td><td>{_text(c.name)}</td><td>{_text(c.sentence)}</td></tr>" for c in ordered)
    body = (
        f'<p class=soft><a href="../index.html">All deliveries</a></p><h1>{_text(verdict.delivery)}: '
        f"<span class={state[0]}>{state[1]}</span></h1><p class=soft>{verdict.id}"
        f"{' about ' + _text(verdict.subject) if verdict.subject else ''}</p>{failed}"
        f"<h2>Checks</h2><div class=wide><table><tr><th>Result<th>Check<th>What was found</tr>{rows}</table></div>"
        + "".join(_table(outcome) for outcome in outcomes)
        + '<p class=soft>The complete result of Great Expectations lies in <a href="result.json">result.json</a>.</p>'
    )
    write_text(folder / "index.html", _page(f"{verdict.delivery}: {state[1]}", body))
    return folder / "index.html"


def write_index(folder: Path, verdicts: Sequence[tuple[str, Verdict]]) -> Path:
    """Writes the page that lists verdicts, each given with the name of its folder; returns its path."""
    rows = "".join(
        f'<tr><td><a href="{_text(name)}/index.html">{_text(verdict.delivery)}</a></td>'
        f'<td class="mark {"good" if verdict.accepted else "bad"}">{"accepted" if verdict.accepted else "refused"}</td>'
        f"<td>{'<br>'.join(_text(reason) for reason in verdict.reasons)}</td></tr>"
        for name, verdict in verdicts
    )
    body = f"<h1>Deliveries</h1><div class=wide><table><tr><th>Delivery<th>Verdict<th>Reasons</tr>{rows}</table></div>"
    write_text(folder / "index.html", _page("Deliveries", body))
    return folder / "index.html"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style>{body}</html>\n"
    )


def _mark(check: Check) -> str:
    kind, word = ("good", "passed") if check.passed else ("bad", "failed") if check.blocking else ("warn", "note")
    return f'<span class="mark {kind}">{word}</span>'


def _table(outcome: Outcome, most: int = 50) -> str:
    columns = list(dict.fromkeys(name for row in outcome.rows for name in row))
    lines = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in columns)}</tr>" for row in outcome.rows[:most])
    more = f"<p class=soft>The first {most} of {len(outcome.rows)} rows.</p>" if len(outcome.rows) > most else ""
    head = "".join(f"<th>{_text(name)}" for name in columns)
    return f"<h2>{_text(outcome.title)}</h2><div class=wide><table><tr>{head}</tr>{lines}</table></div>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td class=n>{value:,.4g}</td>" if abs(value) < 1e4 else f"<td class=n>{value:,.0f}</td>"
    return f"<td>{'-' if value is None else _text(value)}</td>"


def _text(value: Any) -> str:
    """Delivered names and values are never markup, nor an address a browser would follow."""
    return html.escape(str(value)[:600], quote=True)
