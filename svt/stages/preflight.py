"""What is refused before any work starts.

1. What the configuration alone shows to be impossible.
2. What its prompts and the model's config.json show: roles, answers, heads that are not there.
3. Without these, what the stores that are there show: heads that are not there.
"""

from collections.abc import Iterable
from pathlib import Path

from svt.charts import ALL_SLICES, FIGURES, check_figures
from svt.config import Config, Head
from svt.dataset import Dataset, role_labels
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.errors import SvtError
from svt.model.files import shape
from svt.query.edges import EDGES, SETS, check_edges
from svt.query.evaluate import load_reference, reference_file
from svt.stages.reference import answerable, check_answers
from svt.store.results import NAME, check_tables

_DRAWING = {"chart", "report"}


def check_requests(config: Config, folder: Path) -> None:
    """Step 1; `folder` is where the run works."""
    reference = reference_file(config.evaluate.reference, config.model.name)
    if reference is not None:
        load_reference(reference)
    check_figures(config.chart.figures)
    _check_all_slices(config)
    if config.chart.compare_store is not None:
        with open_target(Path(config.chart.compare_store)):
            pass
    if "intervene" in config.stages:
        check_edges(config.intervene.edges, EDGES)
        if config.intervene.sets is not None:
            check_edges(config.intervene.sets, SETS)
    if "trace" in config.stages:
        _check_trace(config)
        _check_validated(config)
    elif not set(config.stages) <= {"dump", "reference"}:
        if not (folder / NAME).is_file():
            raise SvtError(
                f"stages={list(config.stages)}: {folder} has no results to work on; add trace to "
                "the stages, or name a finished run with run.path=DIR (alone, not in a sweep)"
            )
        check_tables(folder)


def _check_all_slices(config: Config) -> None:
    """SvtError for a figure that is named and needs what the store will not hold."""
    figures = config.chart.figures
    if config.dump.all_slices or isinstance(figures, str) or not _DRAWING & set(config.stages):
        return
    for name in figures:
        if ALL_SLICES in FIGURES[name].needs:
            raise SvtError(
                f"chart.figures: {name} needs contributions through all slices, which "
                "dump.all_slices=false does not store; add dump.all_slices=true to a new run"
            )


def _check_trace(config: Config) -> None:
    trace, dump = config.trace, config.dump
    if trace.firing_weight < dump.min_weight:
        raise SvtError(
            f"trace.firing_weight={trace.firing_weight:g} lies below "
            f"dump.min_weight={dump.min_weight:g}: weaker pairs are not in the store; "
            "raise the one or dump again with a lower other"
        )
    if trace.slices == "all" and not dump.all_slices:
        raise SvtError(
            "trace.slices=all, but dump.all_slices=false stores no contributions through all "
            "slices; add dump.all_slices=true to a new run, or take experiment=all_slices"
        )
    if trace.components == "head" and "head" not in dump.components:
        raise SvtError(
            f"trace.components=head, but dump.components={list(dump.components)} stores no heads; "
            "add head to dump.components"
        )


def _check_validated(config: Config) -> None:
    if (
        config.evaluate.edges == "validated"
        and "evaluate" in config.stages
        and "intervene" not in config.stages
    ):
        raise SvtError(
            "evaluate.edges=validated: a new trace has no interventions to validate its edges by; "
            "add intervene to the stages, or take evaluate.edges=all"
        )


def check_inputs(config: Config, dataset: Dataset, model: Path) -> None:
    """Step 2; `model` is the folder of its files."""
    if isinstance(config.dump.coordinates, tuple):
        _check_heads("dump.coordinates", config.dump.coordinates, shape(model))
    if config.chart.heads is not None:
        _check_heads("chart.heads", config.chart.heads, shape(model))
    if "reference" in config.stages:
        check_answers(dataset.prompts)
    if config.dataset.only_correct and not any(prompt.answer for prompt in dataset.prompts):
        raise SvtError(
            "dataset.only_correct=true: the prompts have no answers, so none is right or wrong; "
            "leave it out, or give a dataset with answers"
        )
    if "trace" not in config.stages:
        return
    _check_roles(config, dataset)
    if config.trace.roots != "auto":
        _check_heads("trace.roots", config.trace.roots, shape(model))
    elif not answerable(dataset.prompts):
        raise SvtError(
            "trace.roots=auto needs prompts with an answer and a distractor; "
            'give the roots: "trace.roots=[[LAYER,HEAD],...]"'
        )
    reference = reference_file(config.evaluate.reference, config.model.name)
    if reference is not None and "evaluate" in config.stages:
        heads = load_reference(reference)
        _check_heads(
            f"evaluate.reference={reference}",
            [(head.layer, head.head) for head in heads],
            shape(model),
        )


def check_stores(config: Config, stores: Stores) -> None:
    """Step 3; an imported circuit has no store that could tell."""
    if config.chart.heads is None:
        return
    with connect(stores) as con:
        for its in con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall():
            _check_heads("chart.heads", config.chart.heads, its)


def _check_roles(config: Config, dataset: Dataset) -> None:
    roles = {label for prompt in dataset.prompts for label in role_labels(prompt).values()}
    known = f"the prompts have {', '.join(sorted(roles))}" if roles else "the prompts have none"
    for key, role in (("root_dest", config.trace.root_dest), ("root_src", config.trace.root_src)):
        if role not in roles and (key, role) != ("root_src", "any"):
            raise SvtError(
                f"trace.{key}={role}: no such role, {known}; choose one of them, or dump only: "
                '"stages=[dump]"'
            )


def _check_heads(key: str, heads: Iterable[Head], there: tuple[int, int]) -> None:
    n_layers, n_heads = there
    for layer, head in heads:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise SvtError(
                f"{key}: there is no head [{layer},{head}]; the model has layers 0 to "
                f"{n_layers - 1} and heads 0 to {n_heads - 1}"
            )
