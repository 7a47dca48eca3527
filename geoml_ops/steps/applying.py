"""Where a model may be asked and how large its sets of classes are: both from the folds of its reported accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Conformal
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, FoldPlan
from geoml_ops.domain.applicability import Area, fit
from geoml_ops.domain.conformal import calibrate
from geoml_ops.domain.folds import materialise
from geoml_ops.platform.log import logger
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled

_log = logger("publish")


def area_of(
    places: Places, evaluation: Evaluation, experiment: Experiment, tabled: Tabled, features: Sequence[str]
) -> Area:
    """Returns the area of applicability of the model that was fitted on every sample of a table.

    Features weigh as they matter to the recipe (permutation importance of the evaluation). All weigh the
    same where none was measured to matter: an evaluation of before importances were kept, or one in which
    shuffling no single feature did harm. The definition says so.

    Args:
        places: where things are.
        evaluation: of the recipe.
        experiment: that it belongs to.
        tabled: the samples of its table.
        features: names of the table's features.

    Raises:
        BadInput: too few samples, a fold without train side, or importances of other features.
    """
    plan, points = Shelf(places.nouns).get(FoldPlan, evaluation.plan), tabled.samples.points
    matter = any(value > 0 for value in evaluation.importance.values())
    area = fit(
        tabled.features,
        materialise(plan, tabled.samples),
        names=features,
        plan=plan.id,
        importance=evaluation.importance if matter else None,
        ground=points.features if points is not None else None,
        most_references=experiment.uncertainty.most_references,
        seed=experiment.sampling.seed,
    )
    noun = area.noun
    _log.info("applicable", threshold=noun.threshold, references=noun.n_references, samples=noun.n_samples,
              outside_share=noun.outside_share, lost_share=area.lost_share, constant=list(area.constant),
              weighted=matter)  # fmt: skip
    return area


def sets_of(places: Places, evaluation: Evaluation, experiment: Experiment, tabled: Tabled) -> Conformal:
    """Returns what sets of classes have to hold to be right as often as the experiment promises.

    Raises:
        BadInput: fewer than two blocks were tested, or regions are asked for where nothing measures in metres.
    """
    region_m, samples = experiment.uncertainty.region_m, tabled.samples
    if region_m is not None and not samples.projected:
        raise BadInput(
            f"Regions of {region_m:g} m cannot be cut in {samples.crs}: it does not measure in metres.",
            "deliver the samples in a projected CRS, or leave region_m out",
        )
    return calibrate(
        open_answers(places, evaluation.predictions),
        evaluation.classes,
        coverage=experiment.uncertainty.coverage,
        plan=evaluation.plan,
        region_m=region_m,
        crs=samples.crs,
    )
