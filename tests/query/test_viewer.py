"""Graphs for viewers: what their schema asks for, and the nodes and weights of the trace."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest

from svt.cli.export import main
from svt.cli.import_circuit import main as import_circuit
from svt.db.target import open_target
from svt.errors import SvtError
from svt.query.viewer import Document, Graph, to_document
from svt.query.viewer_graphs import Source, circuit_document, load_graph_source, prompt_document
from tests.conftest import Finished
from tests.importing.samples import published

NUMBER = (int, float)
SCHEMA: dict[str, dict[str, Any]] = {
    "metadata": {"slug": str, "scan": str, "prompt_tokens": list, "prompt": str},
    "qParams": {
        "pinnedIds": list, "supernodes": list, "linkType": str, "clickedId": str, "sg_pos": str,
    },
    "nodes": {
        "node_id": str, "feature": int, "layer": str, "ctx_idx": int, "feature_type": str,
        "jsNodeId": str, "clerp": str, "token_prob": float, "is_target_logit": bool,
        "run_idx": int, "reverse_ctx_idx": int,
    },
    "links": {"source": str, "target": str, "weight": NUMBER},
}  # fmt: skip
"""Required keys with their types, of the viewers' schemas taken together."""


@pytest.fixture(scope="module")
def source(finished: Finished) -> Iterator[Source]:
    with open_target(finished.runs[0]) as con:
        yield load_graph_source(con)


@pytest.fixture(scope="module")
def prompt(source: Source) -> Document:
    return prompt_document(source, 0)


@pytest.fixture(scope="module")
def circuit(source: Source) -> Document:
    return circuit_document(source)


def check(document: Document) -> None:
    """Hold a graph against SCHEMA and against what the viewers' code takes for granted."""
    assert document.keys() == SCHEMA.keys()
    for part, types in SCHEMA.items():
        rows = document[part] if isinstance(document[part], list) else [document[part]]
        assert rows
        for row in rows:
            for key, kind in types.items():
                assert isinstance(row[key], kind), (part, key, row[key])
                assert kind is bool or not isinstance(row[key], bool)
    metadata, nodes = document["metadata"], document["nodes"]
    assert all(each.isalnum() or each in "-_" for each in metadata["slug"] + metadata["scan"])
    names = Counter(node["node_id"] for node in nodes)
    assert max(names.values()) == 1
    told_apart = Counter((node["layer"], node["feature"], node["ctx_idx"]) for node in nodes)
    assert max(told_apart.values()) == 1
    for node in nodes:
        assert 0 <= node["ctx_idx"] < len(metadata["prompt_tokens"])
        assert 0 <= node["influence"] <= metadata["node_threshold"]
        if node["feature_type"] == "logit":
            assert float(node["clerp"].split("(p=")[1].split(")")[0]) == pytest.approx(
                node["token_prob"], abs=1e-3
            )
    ends = Counter((link["source"], link["target"]) for link in document["links"])
    assert max(ends.values()) == 1
    assert {end for both in ends for end in both} <= names.keys()
    chosen = document["qParams"]["pinnedIds"]
    assert chosen and set(chosen) <= names.keys()
    assert {name for _, *group in document["qParams"]["supernodes"] for name in group} <= {*chosen}


def test_a_prompt_is_what_viewers_read(prompt: Document) -> None:
    check(prompt)
    assert json.loads(json.dumps(prompt, allow_nan=False)) == prompt


def test_the_traced_graph_is_what_viewers_read(circuit: Document) -> None:
    check(circuit)


def firing(row: Mapping[str, Any]) -> str:
    return f"{row['layer']}_{row['head']}_{row['dest']}"


def test_heads_are_where_the_trace_has_them(source: Source, prompt: Document) -> None:
    rows = source.rows("prompt_graph", prompt_id=0)
    nodes = {node["node_id"]: node for node in prompt["nodes"]}
    heads = {name: node for name, node in nodes.items() if node.get("pairs")}
    assert heads.keys() == {firing(row) for row in rows}
    for row in rows:
        node = heads[firing(row)]
        assert (node["layer"], node["head"]) == (str(row["layer"]), row["head"])
        assert (node["ctx_idx"], node["role"]) == (row["dest"], row["dest_role"])
        known = ("src", "weight", "score", "n_slices")
        assert {key: row[key] for key in known}.items() <= node["pairs"][-1].items()
        assert node["activation"] == max(pair["weight"] for pair in node["pairs"])
    silent = [node for node in nodes.values() if node.get("pairs") == []]
    assert silent and all(node["clerp"].endswith(", not traced here") for node in silent)


def test_every_token_is_an_embedding(source: Source, prompt: Document) -> None:
    tokens = source.select("FROM tokens WHERE prompt_id = 0 ORDER BY pos")
    assert prompt["metadata"]["prompt_tokens"] == [row["token"] for row in tokens]
    embeddings = [n["node_id"] for n in prompt["nodes"] if n["feature_type"] == "embedding"]
    assert embeddings == [f"E_{row['token_id']}_{row['pos']}" for row in tokens]


@pytest.mark.parametrize("weight", ["contribution", "effect"])
def test_links_weigh_what_the_query_says(source: Source, weight: str) -> None:
    rows = [row for row in source.rows("prompt_graph", prompt_id=0) if row["side"] is not None]
    expected: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        ends = f"{row['up_layer']}_{row['up_head']}_{row[row['side']]}", firing(row)
        expected.setdefault(ends, []).append(row[weight])
    document = prompt_document(replace(source, weight=weight), 0)
    answer = next(n["node_id"] for n in document["nodes"] if n["is_target_logit"])
    links = {(link["source"], link["target"]): link for link in document["links"]}
    assert {ends for ends in links if ends[1] != answer} == expected.keys()
    for ends, weights in expected.items():
        assert links[ends]["weight"] == pytest.approx(sum(weights))
        assert [part[weight] for part in links[ends]["parts"]] == weights


def test_the_answer_has_the_direct_effects(source: Source, prompt: Document) -> None:
    (answer,) = [node for node in prompt["nodes"] if node["feature_type"] == "logit"]
    (stored,) = source.select("FROM prompts WHERE prompt_id = 0")
    (token,) = source.select("FROM answers WHERE prompt_id = 0 AND kind = 'answer'")
    assert answer["node_id"].split("_")[1] == str(token["token_id"])
    assert answer["clerp"].startswith(f'Output "{stored["answer"]}" (p=')
    assert answer["token_prob"] == pytest.approx(1 / (1 + exp(-stored["logit_diff"])))
    assert answer["ctx_idx"] == stored["n_tokens"] - 1
    effects = {
        (str(row["layer"]), row["head"]): row["logit_diff_effect"]
        for row in source.select("FROM head_effects WHERE prompt_id = 0")
    }
    nodes = {node["node_id"]: node for node in prompt["nodes"]}
    into = [link for link in prompt["links"] if link["target"] == answer["node_id"]]
    writers = {link["source"]: link["weight"] for link in into}
    for name, weight in writers.items():
        assert weight == pytest.approx(effects[nodes[name]["layer"], nodes[name]["head"]])
    roots = {firing(row) for row in source.rows("prompt_graph", prompt_id=0) if row["is_root"]}
    assert roots and roots < writers.keys()


def test_the_traced_graph_has_means(source: Source, circuit: Document) -> None:
    rows = source.rows("graph_links")
    columns = circuit["metadata"]["prompt_tokens"]
    assert columns.index("IO") < columns.index("S2") < columns.index("end")
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        up = f"{row['up_layer']}_{row['up_head']}_{columns.index(row['role'])}"
        sums[up, f"{row['layer']}_{row['head']}_{columns.index(row['dest_role'])}"] += row["mean"]
    links = {(link["source"], link["target"]): link["weight"] for link in circuit["links"]}
    assert {ends: links[ends] for ends in sums} == pytest.approx(dict(sums))
    into_answer = links.keys() - sums.keys()
    means = {(row["layer"], row["head"]): row["mean"] for row in source.rows("answer_edges")}
    assert sorted(links[ends] for ends in into_answer) == pytest.approx(sorted(means.values()))


def test_heads_are_grouped_by_what_they_do(circuit: Document, prompt: Document) -> None:
    for document in (circuit, prompt):
        groups = {label: names for label, *names in document["qParams"]["supernodes"]}
        nodes = {node["node_id"]: node for node in document["nodes"]}
        assert "name mover" in groups
        assert all("name mover (end -> IO)" in nodes[n]["clerp"] for n in groups["name mover"])


def small(answer: bool) -> Graph:
    """Of 1.0 at token 1, 3 of 4 parts come from 0.0 there and 1 from 0.1 at token 0."""
    graph = Graph(n_layers=2, n_heads=2)
    graph.add_tokens([7, 8])
    top = graph.add_writer("head", 1, 0, 1)
    graph.link(graph.add_writer("head", 0, 0, 1), top, -3.0, {"side": "dest"})
    graph.link(graph.add_writer("head", 0, 1, 0), top, 1.0, {"side": "src"})
    graph.link(graph.add_writer("embed", None, None, 0), graph.add_writer("head", 0, 1, 0), 2.0, {})
    if answer:
        graph.link(top, graph.add_answer(1, 9, " x\n", 0.75), 0.5, {})
    else:
        graph.pinned.append(top)
    return graph


@pytest.mark.parametrize(
    ("answer", "shares"),
    [
        (True, {"3_9_1": 1 / 3.25, "1_0_1": 2 / 3.25, "0_0_1": 2.75 / 3.25, "0_1_0": 3 / 3.25}),
        (False, {"1_0_1": 1 / 2.25, "0_0_1": 1.75 / 2.25, "0_1_0": 2 / 2.25}),
    ],
)
def test_influence_is_shared_by_weight(answer: bool, shares: dict[str, float]) -> None:
    """Down from the answer 1, 1, 3/4, 1/4 and 1/4 of the token; a token without links has all."""
    document = to_document(small(answer), "a b", "m.1", "text", ["\n", "b"], {}, "")
    influence = {node["node_id"]: node["influence"] for node in document["nodes"]}
    assert {name: influence[name] for name in shares} == pytest.approx(shares)
    assert (influence["E_7_0"], influence["E_8_1"]) == (1.0, 1.0)
    metadata = document["metadata"]
    assert (metadata["slug"], metadata["scan"]) == ("a-b", "m-1")
    assert metadata["prompt_tokens"] == ["⏎", "b"]


def test_writers_that_are_no_heads_have_nodes() -> None:
    graph = small(answer=True)
    names = [graph.add_writer(kind, 0, None, 1) for kind in ("mlp", "bias")]
    names += [graph.add_writer("pos_embed", None, None, pos) for pos in (0, 1)]
    assert names == ["0_mlp_1", "0_bias_1", "P_0_0", "P_0_1"]
    check(to_document(graph, "a", "m", "text", ["a", "b"], {}, ""))
    kinds = [graph.nodes[name]["feature_type"] for name in names]
    assert kinds == ["mlp", "bias", "position embedding", "position embedding"]


def test_two_edges_between_two_nodes_are_one_link() -> None:
    graph = small(answer=False)
    graph.link("0_0_1", "1_0_1", 1.0, {"side": "src"})
    (link,) = [link for link in graph.links.values() if link["source"] == "0_0_1"]
    assert link["weight"] == -2.0
    assert link["parts"] == [{"side": "dest"}, {"side": "src"}]


def test_a_prompt_that_is_not_there_is_refused(source: Source) -> None:
    with pytest.raises(SvtError, match=r"prompt 99: there is no such prompt; traced are \d+, "):
        prompt_document(source, 99)


def test_the_command_writes_what_a_viewer_serves(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "graphs"
    main([str(finished.runs[0]), str(folder), "--format", "viewer", "--prompt", "3", "5"])
    names = [f"ioi-mini-ioi-{name}.json" for name in ("prompt-3", "prompt-5", "circuit")]
    listed = json.loads((folder / "graph-metadata.json").read_text())["graphs"]
    assert [f"{each['slug']}.json" for each in listed] == names
    for name, metadata in zip(names, listed, strict=True):
        document = json.loads((folder / name).read_text())
        check(document)
        assert document["metadata"] == metadata
        assert f"`{name}`" in (folder / "README.md").read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*names, "graph-metadata.json", "README.md"]
    )
    *_, counted, lost = capsys.readouterr().out.splitlines()
    assert counted.startswith("4 files, ")
    assert lost.startswith("the format does not hold both sides of a head as separate links")


def test_the_command_takes_the_fullest_prompt(finished: Finished, tmp_path: Path) -> None:
    main([str(finished.runs[0]), str(tmp_path / "graphs"), "--format", "viewer"])
    with open_target(finished.runs[0]) as con:
        fullest = load_graph_source(con).rows("prompt_graph")[0]["prompt_id"]
    assert (tmp_path / "graphs" / f"ioi-mini-ioi-prompt-{fullest}.json").is_file()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("run", "prompt 99: there is no such prompt; traced are "),
        ("store", "this is a store alone, without results"),
        ("import", "an imported circuit, which has no prompts"),
    ],
)
def test_what_has_no_graph_is_refused(
    finished: Finished,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    message: str,
) -> None:
    if target == "import":
        circuit = tmp_path / "circuit.graphml"
        circuit.write_text(published([((4, 1), (5, 4), "end", "dest", 200)]), encoding="utf-8")
        import_circuit([str(circuit), "--out", str(tmp_path / "import")])
    targets = {"run": finished.runs[0], "store": finished.stores[0]}
    at = str(targets.get(target, tmp_path / "import"))
    with pytest.raises(SystemExit):
        main([at, str(tmp_path / "graphs"), "--format", "viewer", "--prompt", "99"])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "graphs").exists()


def test_a_prompt_needs_the_viewers_format(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path / "out"), "--prompt", "3"])
