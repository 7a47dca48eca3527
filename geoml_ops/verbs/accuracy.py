"""A map is judged by a probability sample: how many points, which ones, and what their labels say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from geoml_ops.core.errors import BadInput
from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="A map is judged by a probability sample of labelled points.")

Map = Annotated[Path, typer.Argument(help="a classified GeoTIFF; a map of this platform knows its classes")]
Ignored = Annotated[list[int] | None, typer.Option("--ignore", help="a code that is no class, beside nodata; repeat")]
Named = Annotated[list[str] | None, typer.Option("--name", help="CODE=NAME for a raster without names; repeat")]
Target = Annotated[float | None, typer.Option("--se", help="wanted standard error of overall accuracy, like 0.01")]


@app.command("plan")
def plan(
    raster: Map,
    se: Target = None,
    n: Annotated[int | None, typer.Option("--n", help="number of points, instead of --se")] = None,
    allocation: Annotated[str, typer.Option(help="rare, proportional, equal or neyman")] = "rare",
    least: Annotated[int, typer.Option(help="points of every class under rare")] = 50,
    users: Annotated[
        list[str] | None, typer.Option(help="expected user's accuracy: 0.9 for all or CLASS=0.9; repeat")
    ] = None,
    ignore: Ignored = None,
    name: Named = None,
) -> None:
    """Say how many points of each class to label, and how sure the result will be."""
    from geoml_ops.domain.accuracy import ALLOCATIONS
    from geoml_ops.steps import surveying as step

    chosen = [a for a in ALLOCATIONS if a == allocation]
    if not chosen:
        raise BadInput(f"There is no allocation {allocation[:60]!r}.", f"use one of {', '.join(ALLOCATIONS)}")
    mapped = step.survey(raster, left_out=ignore or (), names=_names(name))
    of_class, otherwise = _expectations(users)
    sizes = step.plan(
        places(), mapped, se=se, n=n, how=chosen[0], least=least, users=of_class, otherwise=otherwise or step.USERS
    )
    content = {
        "map": raster.name,
        "map_sha256": mapped.file.sha256,
        "planned_se": se,
        "allocation": allocation,
        "n": sizes.n,
        "asked": sizes.asked,
        "pixels": mapped.pixels,
        "expected_overall_se": sizes.overall_se,
        "expected_users_se": sizes.users_se,
        "cautions": list(sizes.cautions),
    }
    print(json.dumps(content, ensure_ascii=False))
    rows = [
        [k, f"{v:,}", f"{v * mapped.pixel_ha:,.1f}", str(sizes.n[k]), f"{sizes.users_se[k]:.4f}"]
        for k, v in mapped.pixels.items()
    ]
    _table(["class", "pixels", "ha", "points", "SE user's"], rows)
    say(f"{sum(sizes.n.values())} points; expected standard error of overall accuracy {sizes.overall_se:.4f}")
    _cautions(sizes.cautions)
    say(f"next: geoml accuracy draw {raster} --plan FILE --out points.csv, FILE being what stands on stdout")


@app.command("draw")
def draw(
    raster: Map,
    plan: Annotated[Path | None, typer.Option("--plan", help="what geoml accuracy plan printed")] = None,
    se: Target = None,
    n: Annotated[int | None, typer.Option("--n", help="number of points, instead of --plan or --se")] = None,
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="where the points go")] = Path("points.csv"),
    ignore: Ignored = None,
    name: Named = None,
) -> None:
    """Draw the points to label, at random inside each class, and record the design before anybody labels."""
    from geoml_ops.adapters.csvfiles import write_bytes
    from geoml_ops.steps import accuracy as step
    from geoml_ops.steps import surveying

    if (plan is not None) + (se is not None) + (n is not None) != 1:
        raise BadInput("The number of points follows from --plan, --se or --n.", "give one of the three")
    here, mapped = places(), surveying.survey(raster, left_out=ignore or (), names=_names(name))
    if plan is not None:
        sizes, planned = surveying.sizes_in(plan, mapped)
    else:
        counted = surveying.plan(here, mapped, se=se, n=n)
        sizes, planned = counted.n, se
        _cautions(counted.cautions)
    design = step.draw(here, mapped, sizes, seed=seed, planned_se=planned)
    content = step.points_of(here, design).read_bytes()
    if out.exists() and out.read_bytes() != content:
        raise BadInput(
            f"{out} exists and holds something else, labels perhaps; it is not written over.",
            "name another file with --out; the design is recorded and the same command finds it",
        )
    write_bytes(out, content)
    show(design)
    say(f"{sum(design.n.values())} points in {out}: write what is really there into the column reference")
    say("whoever labels had better not see the column stratum; it may be taken out")
    _others(step.siblings(here, design))
    say(f"next: geoml accuracy estimate {design.id} {out}")


@app.command("estimate")
def estimate(
    design: Annotated[str, typer.Argument(help="id of a recorded design")],
    points: Annotated[Path, typer.Argument(help="its points with the column reference filled in")],
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="leave unlabelled points out")] = False,
    also: Annotated[list[str] | None, typer.Option(help="a class on the ground that the map lacks; repeat")] = None,
) -> None:
    """Estimate the accuracy of a map and the area of its classes from the labels of its design."""
    from geoml_ops.steps import accuracy as step

    here = places()
    found = step.estimate(here, design, points, allow_missing=allow_missing, also=also or ())
    show(found)
    _classes(found.as_json())
    say(
        f"map accuracy {_with(found.overall, found.overall_half)} (95 %), from {found.n} points of a probability sample"
    )
    _disagreement(found.as_json())
    _others(step.siblings(here, step.design_of(here, design)))


@app.command("matrix")
def matrix(
    counts: Annotated[
        Path, typer.Argument(help="CSV: a column map, one column per reference class, and area, pixels or weight")
    ],
) -> None:
    """Estimate accuracy and areas from an error matrix that was counted elsewhere."""
    from geoml_ops.steps import agreement as step

    _agreement(step.of_counts(counts).as_json())


@app.command("points")
def points(
    points: Annotated[Path, typer.Argument(help="CSV with the columns map and reference, and stratum if drawn by it")],
    strata: Annotated[
        Path | None, typer.Option(help="CSV with the columns stratum and area, pixels, weight or units")
    ] = None,
) -> None:
    """Score points that were drawn elsewhere, by strata that need not be the map's classes, or by none."""
    from geoml_ops.steps import agreement as step

    _agreement(step.of_points(points, strata).as_json())


def _agreement(content: dict[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False))
    _classes(content)
    say(f"agreement with {content['n']} points {_with(content['overall'], content['overall_half'])}")
    _disagreement(content)


def _classes(content: dict[str, Any]) -> None:
    rows = [
        [
            name,
            _with(c["users"], c["users_half"]),
            _with(c["producers"], c["producers_half"]),
            _with(c["area"], c["area_half"], 1),
            "unknown" if c["mapped"] is None else f"{c['mapped']:,.1f}",
        ]
        for name, c in content["classes"].items()
    ]
    unit = content["area_unit"]
    area = f"area ({unit})" if unit not in ("", "area") else "area"
    _table(["class", "user's", "producer's", area, "mapped"], rows)


def _disagreement(content: dict[str, Any]) -> None:
    say(f"quantity disagreement {content['quantity']:.4f}, allocation disagreement {content['allocation']:.4f}")
    _cautions(content["cautions"])


def _with(value: float | None, half: float | None, digits: int = 4) -> str:
    if value is None:
        return "undefined"
    return f"{value:,.{digits}f} ± " + ("undefined" if half is None else f"{half:,.{digits}f}")


def _table(head: list[str], rows: list[list[str]]) -> None:
    """Writes columns under each other; names come from files, and what is no letter stays out of the terminal."""
    plain = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for name, *numbers in plain:
        told = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        say("  ".join([name.ljust(widths[0]), *told]))


def _cautions(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        say(f"note: {sentence}")


def _others(designs: tuple[str, ...]) -> None:
    if designs:
        say(
            f"note: {len(designs)} other designs of this map are recorded ({', '.join(designs[:3])}); whoever reports "
            "the one that pleases has not sampled at random"
        )


def _names(given: list[str] | None) -> dict[int, str]:
    found: dict[int, str] = {}
    for item in given or ():
        code, equals, name = item.partition("=")
        try:
            number = int(code)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise BadInput(f"{item[:60]!r} names no code.", "write --name 1=forest")
        found[number] = name.strip()
    return found


def _expectations(given: list[str] | None) -> tuple[dict[str, float], float | None]:
    """Returns expected user's accuracies of classes, and of all others."""
    found: dict[str, float] = {}
    otherwise: float | None = None
    for item in given or ():
        name, equals, number = item.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise BadInput(f"{item[:60]!r} is no expected accuracy.", "write --users forest=0.9") from None
        if equals:
            found[name] = value
        else:
            otherwise = value
    return found, otherwise
