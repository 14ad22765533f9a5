"""References as files, and the evaluation over every threshold."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svt.config import Head, from_mapping
from svt.errors import SvtError
from svt.paths import conf_dir
from svt.query.evaluate import (
    evaluate,
    find_named,
    find_reference,
    list_references,
    load_reference,
    read_model_shape,
)
from svt.query.named import run
from svt.query.refusals import check_heads
from tests.marks import examples
from tests.settings import composed
from tests.store_rows import InterventionRows, connection, insert

PAPER_ROOTS = [(9, 6), (9, 9), (10, 0)]

# Up, down, token written to, side, count of the 31 communication edges with count >= 170 in the
# graph that the authors published.
PUBLISHED = [
    ((0, 1), (3, 0), "S1", "src", 237), ((0, 8), (4, 11), "S1", "src", 227),
    ((0, 8), (9, 6), "IO", "src", 191), ((0, 9), (3, 0), "S1", "src", 313),
    ((0, 9), (4, 11), "S1", "src", 305), ((0, 9), (4, 11), "S1+1", "src", 302),
    ((0, 9), (7, 9), "S2", "src", 434), ((0, 9), (8, 6), "end", "dest", 253),
    ((0, 9), (9, 9), "IO", "src", 196), ((0, 10), (4, 11), "S1", "src", 174),
    ((0, 11), (2, 8), "end", "dest", 189), ((0, 11), (3, 0), "S2", "dest", 303),
    ((0, 11), (4, 11), "S1+1", "dest", 304), ((0, 11), (7, 9), "end", "dest", 225),
    ((1, 1), (4, 11), "S1+1", "dest", 186), ((1, 4), (3, 0), "S1", "src", 247),
    ((1, 4), (7, 9), "end", "dest", 207), ((2, 8), (8, 6), "end", "dest", 239),
    ((3, 0), (5, 5), "S2", "dest", 181), ((4, 11), (5, 5), "S1+1", "src", 175),
    ((5, 3), (8, 6), "end", "dest", 181), ((5, 5), (8, 6), "S2", "src", 214),
    ((5, 10), (8, 6), "end", "dest", 224), ((6, 3), (8, 6), "S2", "src", 200),
    ((6, 8), (8, 6), "end", "dest", 204), ((7, 3), (8, 6), "end", "dest", 170),
    ((7, 5), (8, 6), "end", "dest", 220), ((7, 9), (8, 6), "end", "dest", 306),
    ((8, 3), (9, 6), "end", "dest", 191), ((8, 6), (9, 6), "end", "dest", 191),
    ((8, 6), (9, 9), "end", "dest", 191),
]  # fmt: skip


def edge(up: Head, down: Head, role: str, side: str, count: int, **more: Any) -> dict[str, Any]:
    """A row of graph_edges whose three counts are `count`."""
    return {
        "up_layer": up[0], "up_head": up[1], "component": "head", "layer": down[0],
        "head": down[1], "side": side, "role": role, "n_prompts": count, "n_firings": count,
        "n_visits": count, "total": 1.0, "mean": 1.0 / count, **more,
    }  # fmt: skip


def roots_rows(roots: list[Head]) -> list[dict[str, Any]]:
    return [
        {
            "root_layer": layer, "root_head": head, "prompt_id": 0, "pair_id": i, "depth": 0,
            "visits": 1,
        }
        for i, (layer, head) in enumerate(roots)
    ]  # fmt: skip


def graph(edges: list[dict[str, Any]], roots: list[Head]) -> duckdb.DuckDBPyConnection:
    return connection({}, {"graph_edges": edges, "trace_pairs": roots_rows(roots)})


def at(con: duckdb.DuckDBPyConnection, min_count: int, count: str = "prompts") -> dict[str, Any]:
    (row,) = run(con, "precision_recall", min_count=min_count, count=count).to_dicts()
    return row


def reference(folder: Path, text: str) -> Path:
    file = folder / "known.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_published_graph() -> None:
    """At 170 occurrences: 31 edges, 22 heads, 10 hits; with the third root 23 and 11."""
    heads = {head for up, down, *_ in PUBLISHED for head in (up, down)}
    file = find_named("wang2023", "any")
    assert file is not None
    known = {(row.layer, row.head) for row in load_reference(file)}
    assert (len(PUBLISHED), len(heads), len(heads & known), len(known)) == (31, 22, 10, 26)

    con = graph([edge(*row) for row in PUBLISHED], PAPER_ROOTS)
    evaluate(con, file, PAPER_ROOTS)
    row = at(con, 170, "visits")
    assert (row["n_heads"], row["tp"]) == (23, 11)
    assert row["precision"] == pytest.approx(11 / 23)
    assert row["recall"] == pytest.approx(11 / 26)
    # all 11 are reachable: the paper's recall, 11 of 16 = 0.69
    assert row["recall_reachable"] == pytest.approx(11 / 16)
    assert row["f1"] == pytest.approx(22 / 49)
    reachable = con.execute("SELECT count(*) FROM reference_heads WHERE reachable").fetchone()
    assert reachable == (16,)


def test_every_threshold_and_count(tmp_path: Path) -> None:
    """Root 3.0. Edges 2.0 -> 3.0 (9 prompts), 1.1 -> 2.0 (5 prompts); reference 2.0, 0.0 and 3.1.

    From 1 to 5 prompts: 3.0, 2.0, 1.1, of which 2.0 is known; to 9: 3.0, 2.0; from 10: 3.0 alone.
    Reachable are 2.0 and 0.0 (below layer 3): 3.1 is no root.
    """
    con = graph(
        [
            edge((2, 0), (3, 0), "end", "dest", 9, n_firings=20, n_visits=20),
            edge((1, 1), (2, 0), "end", "src", 5, n_firings=20, n_visits=40),
        ],
        [(3, 0)],
    )
    file = reference(tmp_path, "layer,head\n2,0\n0,0\n3,1\n")
    evaluate(con, file, [(3, 0)])
    assert run(con, "precision_recall").drop("reference", "count").rows() == [
        (5, 3, 1, 1 / 3, 1 / 3, 1 / 2, 2 / 6),
        (9, 2, 1, 1 / 2, 1 / 3, 1 / 2, 2 / 5),
        (10, 1, 0, 0.0, 0.0, 0.0, 0.0),
    ]
    sizes = [(at(con, m)["min_count"], at(con, m)["n_heads"]) for m in (1, 5, 6, 9, 10, 11, 999)]
    assert sizes == [(1, 3), (5, 3), (6, 2), (9, 2), (10, 1), (11, 1), (999, 1)]
    # 2.0 has its best count of visits, 40, from the edge into it, as has 1.1
    assert run(con, "precision_recall", count="visits").select("min_count", "n_heads").rows() == [
        (40, 3),
        (41, 1),
    ]


def test_no_edges_leave_the_roots(tmp_path: Path) -> None:
    con = graph([], [(3, 0)])
    evaluate(con, reference(tmp_path, "layer,head\n3,0\n"), [(3, 0)])
    assert run(con, "precision_recall").rows() == [
        ("known", "prompts", 1, 1, 1, 1.0, 1.0, 1.0, 1.0)
    ]


def test_a_ratio_without_denominator_is_null(tmp_path: Path) -> None:
    """Reference 4.0 lies above root 3.0, so nothing of it is reachable; then there is no root."""
    con = graph([edge((2, 0), (3, 0), "end", "dest", 2)], [(3, 0)])
    evaluate(con, reference(tmp_path, "layer,head\n4,0\n"), [(3, 0)])
    assert at(con, 1)["recall_reachable"] is None
    con = graph([], [])
    evaluate(con, reference(tmp_path, "layer,head\n4,0\n"), [])
    row = at(con, 1)
    assert (row["n_heads"], row["precision"], row["recall"], row["f1"]) == (0, None, 0.0, 0.0)


def test_components_that_are_no_heads_are_not_counted(tmp_path: Path) -> None:
    con = graph([edge((2, 0), (3, 0), "end", "dest", 2, component="mlp", up_head=None)], [(3, 0)])
    evaluate(con, reference(tmp_path, "layer,head\n2,0\n"), [(3, 0)])
    assert at(con, 1)["n_heads"] == 1


def test_named_references_fit_the_model_that_they_name() -> None:
    for name in list_references():
        file = conf_dir() / "evaluate" / f"{name}.csv"
        shape = read_model_shape(file)
        assert shape is not None, name
        check_heads(name, [(head.layer, head.head) for head in load_reference(file)], shape)


def test_a_second_evaluation_replaces_the_first(tmp_path: Path) -> None:
    con = graph([], [(3, 0)])
    file = reference(tmp_path, "layer,head\n3,0\n")
    for _ in range(2):
        evaluate(con, file, [(3, 0)])
    assert con.execute("SELECT count(*) FROM reference_heads").fetchone() == (1,)
    evaluate(con, None, [(3, 0)])
    assert con.execute("SELECT count(*) FROM reference_heads").fetchone() == (0,)
    assert con.execute("SELECT count(*) FROM evaluation").fetchone() == (0,)


def validation(*edges: tuple[Head, Head, str, str | None, bool | None]) -> InterventionRows:
    """Global ablations (up, down, side, role) with an effect of -1 beside a control of 0 or -1.

    The last says whether that validates the edge; None is no control.
    """
    rows = InterventionRows()
    for up, down, side, role, validated in edges:
        edge = {
            "up_layer": up[0], "up_head": up[1], "layer": down[0], "head": down[1], "side": side,
            f"{side}_role": role,
        }  # fmt: skip
        rows.add(edge, effects=alike(-1.0))
        if validated is not None:
            rows.add(edge, effects=alike(0.0 if validated else -1.0), seed=0)
    return rows


def alike(effect: float, n_prompts: int = 6) -> dict[tuple[int, int], float]:
    return {(prompt, 1 + prompt): effect for prompt in range(n_prompts)}


def validated_graph(rows: InterventionRows) -> duckdb.DuckDBPyConnection:
    """Root 3.0; 2.0 and 2.1 write for it at end, 1.0 for 2.0 at IO, 1.1 and an MLP at end."""
    edges = [
        edge((2, 0), (3, 0), "end", "dest", 9),
        edge((2, 1), (3, 0), "end", "dest", 8),
        edge((1, 0), (2, 0), "IO", "src", 7),
        edge((1, 1), (2, 1), "end", "dest", 6),
        edge((1, 0), (2, 1), "end", "dest", 6, component="mlp", up_head=None),
    ]
    return connection(
        {}, {"graph_edges": edges, "trace_pairs": roots_rows([(3, 0)]), **rows.tables}
    )


def test_only_validated_edges(tmp_path: Path) -> None:
    """Validated are 2.0 -> 3.0 and, at any role, 1.0 -> 2.0; 2.1 -> 3.0 is not, and 1.1 -> 2.1 was
    changed at IO only. So 3.0, 2.0 and 1.0 remain up to 7 prompts, of which 1.0 is known.
    """
    rows = validation(
        ((2, 0), (3, 0), "dest", "end", True),
        ((2, 1), (3, 0), "dest", "end", False),
        ((1, 0), (2, 0), "src", None, True),
        ((1, 1), (2, 1), "dest", "IO", True),
    )
    con = validated_graph(rows)
    file = reference(tmp_path, "layer,head\n1,0\n2,1\n")
    evaluate(con, file, [(3, 0)], edges="validated")
    assert run(con, "precision_recall").select("min_count", "n_heads", "tp").rows() == [
        (7, 3, 1),
        (9, 2, 0),
        (10, 1, 0),
    ]
    evaluate(con, file, [(3, 0)])
    assert run(con, "precision_recall").select("min_count", "n_heads", "tp").rows()[0] == (6, 5, 2)
    assert con.execute("SELECT count(*) FROM graph_edges").fetchall() == [(5,)]


def test_edges_that_cannot_be_validated(tmp_path: Path) -> None:
    file = reference(tmp_path, "layer,head\n1,0\n")
    nothing = InterventionRows()
    nothing.add(
        {"up_layer": 2, "up_head": 0, "layer": 3, "head": 0, "side": "dest"},
        effects={(0, 1): -1.0},
        kind="boost",
    )
    for rows in (InterventionRows(), nothing):
        with pytest.raises(SvtError, match="no global ablation of an edge; add intervene to the s"):
            evaluate(validated_graph(rows), file, [(3, 0)], edges="validated")
    alone = validation(((2, 0), (3, 0), "dest", "end", None))
    with pytest.raises(SvtError, match=r"none of 1 changed edges has .*intervene\.repeats"):
        evaluate(validated_graph(alone), file, [(3, 0)], edges="validated")
    few = InterventionRows()
    for seed in (None, 0):
        into_root = {"up_layer": 2, "up_head": 0, "layer": 3, "head": 0, "side": "dest"}
        few.add(into_root, effects=alike(-1.0, 5), seed=seed)
    with pytest.raises(SvtError, match="every changed edge was measured in too few prompts"):
        evaluate(validated_graph(few), file, [(3, 0)], edges="validated")


heads = st.tuples(st.integers(0, 3), st.integers(0, 2))
edges_strategy = st.lists(
    st.tuples(heads, heads, st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)), max_size=8
)


@settings(max_examples=examples(12), deadline=None)
@given(edges_strategy, st.sets(heads, max_size=3), st.sets(heads, min_size=1, max_size=6))
def test_against_plain_sets(
    edges: list[tuple[Head, Head, int, int, int]], roots: set[Head], known: set[Head]
) -> None:
    """Thresholds from 0 to above the largest, for each count, from the definitions."""
    given_roots = sorted(roots)
    lowest = min((layer for layer, _ in roots), default=0)
    reachable = {head for head in known if head in roots or head[0] < lowest}
    con = graph(
        [
            edge(up, down, f"r{i}", "dest", 1, n_prompts=p, n_firings=f, n_visits=v)
            for i, (up, down, p, f, v) in enumerate(edges)
        ],
        given_roots,
    )
    insert(
        con,
        "results.reference_heads",
        [
            {"reference": "known", "layer": h[0], "head": h[1], "reachable": h in reachable}
            for h in sorted(known)
        ],
    )
    con.execute(
        "INSERT INTO results.evaluation BY NAME "
        "FROM evaluated('results.graph_edges', $roots, 'results.reference_heads')",
        {"roots": [list(root) for root in given_roots]},
    )
    for place, kind in enumerate(("prompts", "firings", "visits"), 2):
        for least in (0, 1, 4, 6, 7):
            circuit = roots | {h for e in edges if e[place] >= least for h in e[:2]}
            row = at(con, least, kind)
            hits = len(circuit & known)
            assert (row["n_heads"], row["tp"]) == (len(circuit), hits)
            assert row["precision"] == (hits / len(circuit) if circuit else None)
            assert row["recall"] == hits / len(known)
            within = len(circuit & reachable)
            assert row["recall_reachable"] == (within / len(reachable) if reachable else None)


def test_references_by_name() -> None:
    assert "wang2023" in list_references()
    for model in ("gpt2", "openai-community/gpt2"):
        assert find_named("auto", model) == find_named("wang2023", "x")
    assert find_named("auto", "gpt2-medium") is None
    for model in ("ioi-mini", "ioi-mini-1"):  # of their own name
        assert find_named("auto", model) == find_named(model, "x")
    assert find_named("none", "gpt2") is None
    with pytest.raises(SvtError, match=r"evaluate.reference=wang: no such .*none, .*wang2023"):
        find_named("wang", "gpt2")


def test_a_models_own_reference_is_of_its_task() -> None:
    for overrides, name in [
        ((), "ioi-mini"),
        (("dataset=text",), None),
        (("dataset=text", "evaluate.reference=ioi-mini"), "ioi-mini"),
    ]:
        file = find_reference(from_mapping(composed(*overrides)))
        assert (file.stem if file else None) == name


def test_wang2023_by_class() -> None:
    file = find_named("wang2023", "x")
    assert file is not None
    sizes: dict[str | None, int] = {}
    for row in load_reference(file):
        sizes[row.kind] = sizes.get(row.kind, 0) + 1
    assert sizes == {
        "name mover": 3,
        "backup name mover": 8,
        "negative name mover": 2,
        "S-inhibition": 4,
        "induction": 4,
        "duplicate token": 3,
        "previous token": 2,
    }


def test_a_file_may_hold_remarks_and_more_columns(tmp_path: Path) -> None:
    file = reference(tmp_path, "# found by hand\n\nhead,effect,layer\n3,0.5,1\n# and\n 4 ,0.1, 1\n")
    assert [(r.layer, r.head, r.kind, r.row) for r in load_reference(file)] == [
        (1, 3, None, 4),
        (1, 4, None, 6),
    ]
    assert find_named(str(file), "x") == file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only\n", "is empty"),
        ("layer,class\n1,x\n", "row 1: the header lacks head"),
        ("layer,head\n", "names no head"),
        ("layer,head\n1,2\n1\n", "row 3: has 1 fields, the header 2"),
        ("layer,head\n1,2.5\n", r"row 2: layer and head must be counts from 0 to 255, not 1,2\.5"),
        ("layer,head\n-1,2\n", "row 2: layer and head"),
        ("layer,head\n255,255\n300,2\n", "row 3: layer and head must .* not 300,2"),
        ("layer,head\n1," + "9" * 5000 + "\n", "row 2: layer and head"),
        ('layer,head,why\n1,2,"a\n\nb"\n1,x,c\n', "row 5: layer and head must .* not 1,x"),
        ('layer,head,why\n1,2,a\n1,3,"b\n1,4,c\n', "row 3: is no row of a CSV file"),
        ("layer,head\n1,2\n1," + "9" * 200_000 + "\n", "row 3: is no row of a CSV file"),
        ("# x\nlayer,head\n1,2\n1,2\n", r"row 4: head 1\.2 repeats row 3"),
        ("layer,head\n1,2\n12,0\n", r"row 3: there is no head 12\.0; .* layers 0 to 11"),
    ],
)
def test_a_wrong_reference_names_its_row(tmp_path: Path, text: str, message: str) -> None:
    con = graph([], [(3, 0)])
    with pytest.raises(SvtError, match=message):
        evaluate(con, reference(tmp_path, text), [(3, 0)])


def test_a_reference_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(b"\xff\xfe\x00layer")
    with pytest.raises(SvtError, match="cannot be read as UTF-8"):
        load_reference(file)
