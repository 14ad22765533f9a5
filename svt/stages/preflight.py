"""Refuse impossible requests before any work starts.

1. Check the configuration alone.
2. Check it against the prompts and the model's config.json: roles, answers, heads.
3. For existing stores, check it against them instead.
"""

from pathlib import Path

from svt.charts import ALL_SLICES, FIGURES, check_figures
from svt.config import Config, to_mapping
from svt.dataset import Dataset, role_labels
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.errors import ConfigError
from svt.model.files import read_shape
from svt.query.edges import EDGES, SETS, check_edges
from svt.query.evaluate import find_reference, load_reference
from svt.query.refusals import (
    check_drawn_edges,
    check_heads,
    check_roles,
    check_stored,
    check_trace,
)
from svt.report.page import check_report
from svt.stages.chart import REPORT
from svt.stages.inputs import Inputs
from svt.stages.reference import check_answers, select_answerable
from svt.store.results import NAME, check_tables

_DRAWING = {"chart", "report"}


def check_requests(config: Config, folder: Path) -> None:
    """Raise SvtError for an impossible configuration of a run in `folder` (step 1)."""
    reference = find_reference(config)
    if reference is not None:
        load_reference(reference)
    check_figures(config.chart.figures)
    _check_all_slices(config)
    if _DRAWING & set(config.stages):
        check_drawn_edges(config.chart.edges, config.dump.effects)
    if config.chart.compare_store is not None:
        with open_target(Path(config.chart.compare_store)):
            pass
    if "intervene" in config.stages:
        check_edges(config.intervene.edges, EDGES)
        if config.intervene.sets is not None:
            check_edges(config.intervene.sets, SETS)
    if "report" in config.stages:
        check_report(folder / REPORT)
    if "trace" in config.stages:
        _check_overwrites(config, folder)
        check_trace(config.trace, to_mapping(config.dump))
        _check_validated(config)
    elif not set(config.stages) <= {"dump", "reference"}:
        if not (folder / NAME).is_file():
            raise ConfigError(
                f"stages={list(config.stages)}: {folder} has no results to work on; add trace to "
                "the stages, or name a finished run with run.path=DIR (alone, not in a sweep)"
            )
        check_tables(folder)


def _check_overwrites(config: Config, folder: Path) -> None:
    """Raise ConfigError for a new trace that would replace the run it starts from."""
    path = config.run.path
    if path is not None and not config.run.overwrite and folder.resolve() == Path(path).resolve():
        raise ConfigError(
            f"hydra.run.dir={folder}: holds the run that run.path names; leave it out for a new "
            "run beside it, or add run.overwrite=true"
        )


def _check_all_slices(config: Config) -> None:
    """Raise ConfigError for a figure in chart.figures that the store will lack the data for."""
    figures = config.chart.figures
    if config.dump.all_slices or isinstance(figures, str) or not _DRAWING & set(config.stages):
        return
    for name in figures:
        if ALL_SLICES in FIGURES[name].needs:
            check_stored(f"chart.figures: {name}", "dump.all_slices", False)


def _check_validated(config: Config) -> None:
    if (
        config.evaluate.edges == "validated"
        and "evaluate" in config.stages
        and "intervene" not in config.stages
    ):
        raise ConfigError(
            "evaluate.edges=validated: a new trace has no interventions to validate its edges by; "
            "add intervene to the stages, or take evaluate.edges=all"
        )


def check_inputs(config: Config, dataset: Dataset, model: Path) -> None:
    """Raise SvtError when the prompts or the files of `model` do not fit (step 2)."""
    if isinstance(config.dump.coordinates, tuple):
        check_heads("dump.coordinates", config.dump.coordinates, read_shape(model))
    if config.chart.heads is not None:
        check_heads("chart.heads", config.chart.heads, read_shape(model))
    if "reference" in config.stages:
        check_answers(dataset.prompts)
    if config.dataset.only_correct and not any(prompt.answer for prompt in dataset.prompts):
        raise ConfigError(
            "dataset.only_correct=true: the prompts have no answers, so none can be correct; "
            "leave it out, or give a dataset with answers"
        )
    if "trace" not in config.stages:
        return
    roles = {label for prompt in dataset.prompts for label in role_labels(prompt).values()}
    check_roles(config.trace, roles)
    if config.trace.roots != "auto":
        check_heads("trace.roots", config.trace.roots, read_shape(model))
    elif not select_answerable(dataset.prompts):
        raise ConfigError(
            "trace.roots=auto needs prompts with an answer and a distractor; "
            'give the roots: "trace.roots=[[LAYER,HEAD],...]"'
        )
    reference = find_reference(config)
    if reference is not None and "evaluate" in config.stages:
        heads = load_reference(reference)
        check_heads(
            f"evaluate.reference={reference}",
            [(head.layer, head.head) for head in heads],
            read_shape(model),
        )


def check_stores(config: Config, stores: Stores, inputs: Inputs) -> None:
    """Raise ConfigError when the stores do not fit (step 3)."""
    if not stores.paths:
        _check_imported(config)
        return
    if config.chart.heads is not None:
        check_heads("chart.heads", config.chart.heads, stores.shape)
    if {"intervene", "reference"} & set(config.stages) and stores.identity != inputs.identity.key:
        raise ConfigError(
            f"{stores}: the model's files or the prompts have changed since it was made, so the "
            "stage cannot use them; start a new run without run.path"
        )


def _check_imported(config: Config) -> None:
    """Raise ConfigError for a stage that needs a store, which an imported circuit lacks."""
    cannot = [stage for stage in config.stages if stage not in ("evaluate", "chart", "report")]
    if cannot:
        raise ConfigError(
            f"stages={list(config.stages)}: {config.run.path} is an imported circuit without a "
            f"store, so there is no {' and no '.join(cannot)}; it has evaluate, chart and report"
        )
