"""Rows of a file that leave a part of their edges open, and the paper's files."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.errors import SvtError
from svt.paths import conf_dir
from svt.query.csv_rows import read_rows
from svt.query.edges import Edge, EdgeSet, check_edges, choose_edges, choose_sets
from tests.store_rows import StoreRows

HEADER = "layer,head,side,up_layer,up_head"
EDGES, SETS = "intervene.edges", "intervene.sets"
INTO_END = Edge(9, 6, "dest", 8, 6, dest_role="end")
INTO_IO = Edge(9, 6, "src", 0, 9, src_role="IO")
OTHER = Edge(8, 6, "src", 0, 9, src_role="S2")


def edge_row(edge: Edge, n_prompts: int = 4, **more: Any) -> dict[str, Any]:
    """A row of graph_edges."""
    return {
        "up_layer": edge.up_layer, "up_head": edge.up_head, "component": "head",
        "layer": edge.layer, "head": edge.head, "side": edge.side,
        "role": edge.dest_role or edge.src_role, "n_prompts": n_prompts, "n_firings": n_prompts,
        "n_visits": n_prompts, "total": 1.0, "mean": 1.0, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """Three shown edges of four prompts, a rare one, and one that no head writes."""
    store = StoreRows()
    for prompt in range(4):
        store.prompt(prompt, {"end": 5, "IO": 2, "S2": 4}, n_tokens=6)
    rare = edge_row(Edge(9, 6, "dest", 7, 9, dest_role="end"), n_prompts=0)
    written = edge_row(INTO_END, component="mlp", up_head=None)
    shown = [edge_row(INTO_END), edge_row(INTO_IO), edge_row(OTHER)]
    return store.connect(graph_edges=[rare, written, *shown])


def table(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "edges.csv"
    file.write_text("\n".join(lines))
    return str(file)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("9,6,*,*,*,*", {INTO_END, INTO_IO}),  # into a head
        ("*,*,*,0,9,*", {INTO_IO, OTHER}),  # out of one
        ("*,*,dest,*,*,", {INTO_END}),  # a side; an empty role is any
        ("*,*,*,*,*,IO", {INTO_IO}),
        ("*,6,src,0,*,S2", {OTHER}),
        ("9,6,dest,8,6,*", {INTO_END}),
        ("9,6,dest,7,9,*", set()),  # a rare edge is not shown
        ("9,6,dest,7,9,", {Edge(9, 6, "dest", 7, 9)}),  # but may be named
        ("1,1,*,*,*,*", set()),
    ],
)
def test_a_star_selects_every_shown_edge(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, row: str, expected: set[Edge]
) -> None:
    file = table(tmp_path, f"{HEADER},role", row)
    check_edges(file, EDGES)
    assert set(choose_edges(con, file)) == expected


def test_an_edge_is_chosen_once_in_the_order_of_the_graph(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    file = table(tmp_path, HEADER, "*,*,*,0,9", "9,6,*,*,*")
    assert choose_edges(con, file) == (OTHER, INTO_IO, INTO_END)


def test_a_set_that_misses_a_part_is_left_out_and_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="svt")
    file = table(
        tmp_path,
        f"set,{HEADER}",
        "whole,9,6,*,*,*",
        "whole,8,6,*,*,*",
        "broken,9,6,*,8,6",
        "broken,9,6,*,7,9",
    )
    check_edges(file, SETS)
    whole = EdgeSet("whole", (INTO_END, INTO_IO, OTHER))
    assert choose_sets(con, file) == (whole, EdgeSet("broken", ()))
    assert caplog.messages == [f"set left out: broken; no shown edge matches {file}, row 5"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,6,*,*,*", "row 2: layer must be a count from 0, not x"),
        ("9,6,up,*,*", "row 2: side must be dest or src, not up"),
        ("9,,*,*,*", "row 2: head must be a count from 0, not null"),
    ],
)
def test_what_no_edge_could_have_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SvtError, match=message):
        check_edges(table(tmp_path, HEADER, row), EDGES)


def test_the_papers_files_are_known_by_name(con: duckdb.DuckDBPyConnection) -> None:
    check_edges("paper_edges", EDGES)
    check_edges("paper_sets", SETS)
    assert choose_edges(con, "paper_edges") == (INTO_END, INTO_IO, OTHER)
    assert [chosen.name for chosen in choose_sets(con, "paper_sets") if chosen.edges] == [
        "parallel: out of 0.9",
        "parallel: into 9.6",
        "parallel: into 9.6 at end",
        "parallel: into 9.6 at IO",
    ]
    with pytest.raises(
        SvtError, match="one of the files paper_edges, paper_sets, smollm2_sets, a CSV file"
    ):
        check_edges("paper", EDGES)


def test_the_papers_sets_are_what_their_names_say() -> None:
    """Serial sets lead through a head, upwards; every set has a row a part of its name."""
    rows = [row for _, row in read_rows(conf_dir() / "intervene" / "paper_sets.csv", ("set",))]
    parts: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        parts.setdefault(row["set"], []).append(row)
    serial = {name: part for name, part in parts.items() if name.startswith("serial: ")}
    assert len(serial) == 6
    for name, (first, second) in serial.items():
        heads = [f"{first[a]}.{first[b]}" for a, b in (("up_layer", "up_head"), ("layer", "head"))]
        assert name == f"serial: {heads[0]} -> {heads[1]} -> {second['layer']}.{second['head']}"
        assert (second["up_layer"], second["up_head"]) == (first["layer"], first["head"])
        assert second["role"] == first["role"]
    both = {(row["up_layer"], row["up_head"]) for row in parts["parallel: out of 0.9 and 0.11"]}
    assert both == {("0", "9"), ("0", "11")}
