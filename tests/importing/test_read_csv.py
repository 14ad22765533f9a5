"""Read CSV: heads, edges, the rows that svt-sql prints, and invalid rows."""

from pathlib import Path

import pytest

from svt.errors import SvtError
from svt.importing.circuit import merge_edges
from svt.importing.csv_file import read_csv
from svt.query.evaluate import find_named


def written(folder: Path, text: str) -> Path:
    file = folder / "circuit.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_heads(tmp_path: Path) -> None:
    file = written(tmp_path, "# remark\nlayer,head,class\n9,6,name mover\n\n0,11,\n")
    circuit = read_csv(file, None)
    assert circuit.edges == ()
    assert circuit.alone == {(9, 6): "name mover", (0, 11): None}


def test_a_reference_is_a_circuit() -> None:
    file = find_named("wang2023", "any")
    assert file is not None
    assert len(read_csv(file, None).alone) == 26


def test_edges_by_columns(tmp_path: Path) -> None:
    text = (
        "up_layer,up_head,component,layer,head,side,role,n_prompts,n_visits,total,mean,effect\n"
        "8,6,head,9,6,dest,end,12,14,6.5,0.5,-0.125\n"
        "3,,mlp,9,6,src,IO,3,4,1.0,0.25,\n"
        ",,embed,9,6,,,1,1,,,\n"
    )
    circuit = read_csv(written(tmp_path, text), None)
    assert [tuple(row.values()) for row in merge_edges(circuit)] == [
        (8, 6, "head", 9, 6, "dest", "end", 12, None, 14, 6.5, 0.5, -0.125),
        (3, None, "mlp", 9, 6, "src", "IO", 3, None, 4, 1.0, 0.25, None),
        (None, None, "embed", 9, 6, None, None, 1, None, 1, None, None, None),
    ]
    assert circuit.count == "prompts"


def test_edges_by_names(tmp_path: Path) -> None:
    """q is dest, k is src, v has no side; a weight is a mean; no count is one visit."""
    text = "source,target,side,weight\n8.6,9.6,q,0.5\na3.h0,a9.h6,k,\nm3,9.6,v,2\n4.11,9.6,,1\n"
    circuit = read_csv(written(tmp_path, text), None)
    rows = merge_edges(circuit)
    assert [(row["side"], row["mean"], row["n_visits"]) for row in rows] == [
        ("dest", 0.5, 1), ("src", None, 1), (None, 2.0, 1), (None, 1.0, 1),
    ]  # fmt: skip
    assert [edge.input for edge in circuit.edges] == ["query", "key", "value", None]
    assert circuit.count == "visits"


def test_a_target_names_its_input(tmp_path: Path) -> None:
    text = "source,target,side\na0.h1,a2.h3<q>,\na0.h1,a2.h3<k>,k\na0.h1,a2.h3<v>,\n"
    edges = read_csv(written(tmp_path, text), None).edges
    assert [(edge.input, edge.side) for edge in edges] == [
        ("query", "dest"), ("key", "src"), ("value", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "expected"), [(None, "prompts"), ("visits", "visits"), ("firings", "firings")]
)
def test_a_count_is_of_the_selected_kind(tmp_path: Path, count: str | None, expected: str) -> None:
    circuit = read_csv(written(tmp_path, "source,target,count\n8.6,9.6,12\n"), count)  # type: ignore[arg-type]
    (row,) = merge_edges(circuit)
    assert circuit.count == expected
    assert {n: row[f"n_{n}"] for n in ("prompts", "firings", "visits")} == {
        n: 12 if n == expected else None for n in ("prompts", "firings", "visits")
    }


def test_both_roles(tmp_path: Path) -> None:
    """As in graph_links: the role of the token written into is that of the side."""
    text = "source,target,side,dest_role,src_role\n8.6,9.6,dest,end,IO\n0.9,9.6,s,end,IO\n"
    roles = [(e.role, e.other_role) for e in read_csv(written(tmp_path, text), None).edges]
    assert roles == [("end", "IO"), ("IO", "end")]


EDGES = "up_layer,up_head,layer,head,side,count,component\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("layer,head\n", "has no row below its header"),
        ("name,score\na,1\n", "the header must have layer,head for heads"),
        ("layer\n1\n", "the header must have layer,head for heads"),
        ("layer,head\n9,6\n9\n", "row 3: has 1 fields, the header 2"),
        ("layer,head,layer,head\n9,6,0,1\n", "row 1: column 'layer' is there more than once"),
        ("source,target,side\n8.6,a9.h6<q>,k\n", "row 2: the target reads q, but side is k"),
        ("layer,head\n9,x\n", "row 2: head is 'x'; it must be a count from 0 to 255"),
        ("layer,head\n256,0\n", "row 2: layer is '256'"),
        ("layer,head\n-1,0\n", "row 2: layer is '-1'"),
        ("layer,head\n9,6\n8,6\n9,6\n", "row 4: head 9.6 is in an earlier row too"),
        (EDGES + "8,6,9,6,up,1,head\n", "row 2: 'up' is no side"),
        (EDGES + "8,6,9,6,dest,some,head\n", "row 2: count is 'some'"),
        (EDGES + "8,6,9,6,dest,-3,head\n", "row 2: count is '-3'"),
        (EDGES + "8,6,9,6,dest,1,neuron\n", "row 2: component is 'neuron'"),
        (EDGES + "9,6,9,7,dest,1,head\n", "row 2: layer 9 cannot write for layer 9"),
        (EDGES + "8,,9,7,dest,1,head\n", "row 2: up_head is ''"),
        ("source,target\n9.6,logits\n", "row 2: an edge goes from a head, mlp, embed or bias"),
        ("source,target\n9.6,\n", "row 2: target: node  is not known"),
    ],
)
def test_a_broken_file_is_refused_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SvtError, match=message) as error:
        read_csv(file, None)
    assert str(error.value).startswith(str(file))


def test_a_duplicate_edge_is_refused(tmp_path: Path) -> None:
    text = EDGES + "8,6,9,6,dest,1,head\n8,6,9,6,src,1,head\n8,6,9,6,dest,1,head\n"
    with pytest.raises(SvtError, match=r"row 4: duplicates the edge in .*row 2"):
        merge_edges(read_csv(written(tmp_path, text), None))
