"""The part of a model's card about its graph: what it reads, whether it equals the model, how fast it runs."""

from __future__ import annotations

from html import escape

from geoml_ops.core.bands import Radiometry
from geoml_ops.core.evidence import Speed
from geoml_ops.core.flow import Bundle
from geoml_ops.domain.card.parts import bullets, paragraph, table


def bands(bundle: Bundle) -> str:
    """Returns the bands that the graph reads, with what their numbers mean, and the covariates among them."""
    rows = [
        (
            escape(band.name),
            escape(band.common_name),
            f"{band.centre_nm:g}" if band.centre_nm is not None else "",
            escape(band.unit),
            _value(bundle.contract.radiometry_of(band.name)),
            f"{band.gsd_m:g}",
            band.resampling,
        )
        for band in bundle.contract.bands
    ]
    rule = bundle.radiometry
    return (
        table(("band", "common name", "centre, nm", "unit", "value", "pixel as delivered, m", "resampled"), rows)
        + paragraph(
            f"Digital numbers in pixels of {bundle.pixel_m:g} m; reflectance = (DN {rule.offset_dn:+g}) · "
            f"{rule.scale:g}; "
            f"{'NaN' if rule.nodata is None else f'{rule.nodata:g}'} means not observed. "
            "Scenes that declare another offset are brought to this one; scenes that declare none are refused. "
            "Bands are found by name."
        )
        + bullets(
            f"{name}: {rules.make.replace('_', ' ')} of {', '.join(rules.of)}, made once per scene"
            for name, rules in bundle.covariates.items()
        )
    )


def _value(rule: Radiometry) -> str:
    return "as it is" if (rule.scale, rule.offset_dn) == (1.0, 0.0) else f"(DN {rule.offset_dn:+g}) · {rule.scale:g}"


def features(bundle: Bundle) -> str:
    """Returns the features that are computed inside the graph."""
    around = f" They look at up to {bundle.halo_px} pixels around a pixel." if bundle.halo_px else ""
    texts = "; ".join(f"<code>{escape(text)}</code>" for text in bundle.features)
    return (
        paragraph(f"{len(bundle.features)} features, computed inside the graph from these bands.{around}")
        + f"<p>{texts}</p>"
    )


def speed(speed: Speed | None) -> str:
    """Returns how fast the graph ran where it was exported; nothing where that was not measured."""
    if speed is None:
        return ""
    best_first = sorted(speed.tried.items(), key=lambda item: (-(item[1] or 0.0), item[0]))
    tried = "; ".join(f"{name}: {'not equal' if v is None else f'{v:.2f}'}" for name, v in best_first)
    by_size = sorted(speed.batches.items(), key=lambda item: int(item[0]))
    batches = ", ".join(f"{int(pixels):,} pixels {found:,.0f}" for pixels, found in by_size)
    at_once = f" Thousand pixels a second in calls of {batches}." if batches else ""
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    return paragraph(
        f"The graph's head answers {speed.kpx_per_s:,.0f} thousand pixels a second with {threads}, "
        f"{speed.ratio:.2f} times the library that fitted it ({speed.native_kpx_per_s:,.0f}), "
        f"{speed.n_rows:,} pixels at a time, on the machine that exported it."
    ) + paragraph(
        f"Layouts of the graph that were tried, times the library: {tried}. Chosen: {speed.layout}.{at_once}",
        "quiet small",
    )


def parity(bundle: Bundle) -> str:
    """Returns how far graph and fitted model differ, by kind of row."""
    parity = bundle.parity
    rows = [(escape(kind), str(parity.rows[kind]), f"{worst:.1e}") for kind, worst in parity.worst.items()]
    said = "The graph agrees" if parity.passed else "The graph does NOT agree"
    return table(("rows of real samples", "number", "largest difference"), rows) + paragraph(
        f"{said} with the fitted model within {parity.tolerance:g}; {parity.n_label_mismatches} labels differ."
    )
