"""The trace of a prompt, and the traced graph over roles, in the format of viewers (viewer.py).

1. A prompt. Nodes are the heads and tokens of the query `prompt_graph`, each with its `pairs`, and
   the writers to them. A head without pairs writes there, but the trace does not go on from it.
2. The traced graph. The columns are roles; a head stands at the role that the firings of an edge
   mostly attend from, a writer at the role that it writes to; weights are means over the prompts.
3. A link weighs the contribution, or the effect where chart.edges, or else trace.rule, says so.
4. The answer stands where it is expected. The heads of `prompt_answer`, or of `answer_edges`, are
   linked to it with their direct effect on the logit difference. Viewers want a probability: it is
   that of the answer against the distractor alone, as a store holds no other.
"""

from __future__ import annotations  # DuckDB complains of types that a dataclass keeps to the end

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import duckdb

from svt.db.catalog import has_table
from svt.errors import QueryError
from svt.query.exact import fetch_frame
from svt.query.named import count_jobs, explain_missing
from svt.query.named import run as ask
from svt.query.viewer import Document, Graph, to_document
from svt.words import NO_ROLE

Row = dict[str, Any]

_TOKENS = "SELECT token_id, token FROM tokens WHERE prompt_id = $prompt_id ORDER BY pos"
_PROMPT = """
    SELECT
        text, answer, 1 / (1 + exp(-logit_diff)) AS probability,
        (SELECT min(token_id) FROM answers WHERE prompt_id = $prompt_id AND kind = 'answer')
        AS token_id
    FROM prompts
    WHERE prompt_id = $prompt_id
"""
_MEAN = "SELECT avg(1 / (1 + exp(-logit_diff)) ORDER BY prompt_id) AS probability FROM prompts"
MOST_NAMED = 12
"""Prompts that a refusal names."""
_PAIR = ("dest", "src", "src_role", "weight", "score", "n_slices")
_EDGE = ("side", "contribution", "effect", "share", "dest", "src")
_MEAN_EDGE = ("side", "contribution", "effect", "n_prompts", "n_firings", "src_role")


@dataclass(frozen=True)
class Source:
    """What the graphs of a run share."""

    con: duckdb.DuckDBPyConnection
    model: str
    data: str
    shape: tuple[int, int]
    """Layers, heads a layer."""
    weight: str
    """What links weigh: contribution or effect (step 3)."""
    trace: Mapping[str, Any]

    def rows(self, query: str, **params: Any) -> list[Row]:
        return ask(self.con, query, **params).to_dicts()

    def select(self, text: str, **values: Any) -> list[Row]:
        return fetch_frame(self.con, text, values or None).to_dicts()

    def document(self, graph: Graph, name: str, text: str, columns: list[str]) -> Document:
        about = (
            f"Heads traced through singular vectors; a link weighs the {self.weight}, into the "
            "answer the direct effect on the logit difference."
        )
        name = f"{self.model}-{self.data}-{name}"
        return to_document(graph, name, self.model, text, columns, self.trace, about)


def load_graph_source(con: duckdb.DuckDBPyConnection) -> Source:
    """Return what the graphs share; QueryError for a target that is no run with prompts."""
    n_jobs = count_jobs(con)
    if n_jobs > 1:
        raise QueryError(f"this is a sweep of {n_jobs} jobs; give one job's folder, SWEEP/0")
    if has_table(con, "results", "run") and con.execute("SELECT 1 FROM imported").fetchall():
        raise QueryError(
            "this is an imported circuit, which has no prompts; the stage chart writes its graph "
            "for other tools, charts/graph.graphml"
        )
    if lacking := explain_missing(con):
        raise QueryError(lacking)
    ((model, *shape),) = con.execute(
        "SELECT model_name, n_layers, n_heads FROM store.dump LIMIT 1"
    ).fetchall()
    ((text,),) = con.execute("SELECT config FROM results.run").fetchall()
    config = json.loads(text)
    by_effect = (config["chart"].get("edges") or config["trace"]["rule"]) == "effect"
    return Source(
        con,
        model,
        config["dataset"]["name"],
        tuple(shape),
        "effect" if by_effect else "contribution",
        config["trace"],
    )


def prompt_document(source: Source, prompt_id: int | None = None) -> Document:
    """Return the graph of a prompt, None for that with the most shown edges (step 1).

    QueryError when there is no such prompt, or no trace through it.
    """
    rows = source.rows("prompt_graph", prompt_id=prompt_id)
    if not rows:
        raise QueryError(_why_none(source, prompt_id))
    prompt_id = int(rows[0]["prompt_id"])
    tokens = source.select(_TOKENS, prompt_id=prompt_id)
    (prompt,) = source.select(_PROMPT, prompt_id=prompt_id)
    graph = Graph(*source.shape)
    graph.add_tokens([row["token_id"] for row in tokens])
    for row in sorted({row["pair_id"]: row for row in rows}.values(), key=itemgetter("weight")):
        _add_pair(graph, row)
    for row in rows:
        if row["side"] is not None:
            up = graph.add_writer(*_writer(row), row[row["side"]])
            down = graph.add_writer("head", row["layer"], row["head"], row["dest"])
            graph.link(up, down, row[source.weight], {key: row[key] for key in _EDGE})
    direct = source.rows("prompt_answer", prompt_id=prompt_id)
    if direct:
        _add_answer(graph, prompt, direct[0]["pos"], direct)
    for node in graph.heads():
        if "pairs" not in node:
            node |= {"clerp": f"{node['clerp']}, not traced here", "pairs": []}
    columns = [row["token"] for row in tokens]
    return source.document(graph, f"prompt-{prompt_id}", prompt["text"], columns)


def circuit_document(source: Source) -> Document:
    """Return the traced graph that is shown (step 2); QueryError when it has no edge."""
    edges = source.rows("graph_links")
    if not edges:
        raise QueryError("the traced graph shows no edge; lower trace.min_share")
    end = source.trace["root_dest"]
    used = {end, *(row["role"] for row in edges), *(row["dest_role"] or NO_ROLE for row in edges)}
    order = [NO_ROLE, *(row["role"] for row in source.rows("place_order")), *sorted(used)]
    columns = [role for role in dict.fromkeys(order) if role in used]
    at = {role: i for i, role in enumerate(columns)}
    graph = Graph(*source.shape)
    graph.add_tokens(range(len(columns)))
    for row in edges:
        row["contribution"] = row["mean"]
        up = graph.add_writer(*_writer(row), at[row["role"]])
        down = graph.add_writer("head", row["layer"], row["head"], at[row["dest_role"] or NO_ROLE])
        graph.link(up, down, row[source.weight], {key: row[key] for key in _MEAN_EDGE})
    direct = source.rows("answer_edges")
    if direct:
        (mean,) = source.select(_MEAN)
        answer = {"answer": "the answer", "token_id": len(columns), **mean}
        _add_answer(graph, answer, at[end], [row | {"effect": row["mean"]} for row in direct])
    _name_heads(graph, source, columns)
    return source.document(graph, "circuit", "the traced graph, over roles", columns)


def _why_none(source: Source, prompt_id: int | None) -> str:
    """Return why a prompt has no graph, and which have one."""
    if prompt_id is None:
        return "the trace reaches no pair of any prompt, so there is nothing to export"
    there = source.select("SELECT 1 FROM prompts WHERE prompt_id = $id", id=prompt_id)
    ids = [row["prompt_id"] for row in source.rows("traced_prompts")]
    shown = ", ".join(map(str, ids[:MOST_NAMED])) + (", ..." if len(ids) > MOST_NAMED else "")
    why = "the trace reaches no pair of it" if there else "there is no such prompt"
    return f"prompt {prompt_id}: {why}; traced are {shown}"


def _writer(row: Row) -> tuple[str, int | None, int | None]:
    return row["component"], row["up_layer"], row["up_head"]


def _add_pair(graph: Graph, row: Row) -> None:
    """Add a firing to the node of its head; the last one gives the node its label."""
    name = graph.add_writer("head", row["layer"], row["head"], row["dest"])
    node = graph.nodes[name]
    node["pairs"] = [*node.get("pairs", ()), {key: row[key] for key in _PAIR}]
    ends = (row[f"{end}_role"] or repr(row[f"{end}_token"]) for end in ("dest", "src"))
    node |= {"role": row["dest_role"], "activation": row["weight"]}
    node["clerp"] = _label(row, row["pattern"], *ends)
    _select(graph, name, row["is_root"], row["pattern"])


def _name_heads(graph: Graph, source: Source, columns: list[str]) -> None:
    """Label the heads of the traced graph by what they do from their role in most prompts."""
    roots = {(row["layer"], row["head"]) for row in source.rows("graph_nodes") if row["is_root"]}
    does: dict[tuple[int, int, str], Row] = {}
    for row in source.rows("head_roles"):
        does.setdefault((row["layer"], row["head"], row["dest_role"]), row)
    for node in graph.heads():
        head, role = (int(node["layer"]), node["head"]), columns[node["ctx_idx"]]
        row = does.get((*head, role), {})
        pattern = row.get("pattern")
        node["role"] = role
        node["clerp"] += f" at {role}"
        if row:
            node["clerp"] = _label(row, pattern, role, row["src_role"])
        is_root = head in roots and role == source.trace["root_dest"]
        _select(graph, node["node_id"], is_root, pattern)


def _label(row: Row, pattern: str | None, dest: str, src: str) -> str:
    """Return `17.4 induction (S2 -> S1+1)`."""
    name = f"{row['layer']}.{row['head']}"
    return f"{name}{f' {pattern}' if pattern else ''} ({dest} -> {src})"


def _select(graph: Graph, name: str, is_root: bool, pattern: str | None) -> None:
    if is_root or pattern:
        graph.pinned.append(name)
    if pattern and name not in graph.groups[pattern]:
        graph.groups[pattern].append(name)


def _add_answer(graph: Graph, answer: Row, pos: int, heads: Iterable[Row]) -> None:
    """Add the answer and the direct effects of heads on it (step 4)."""
    name = graph.add_answer(pos, answer["token_id"], answer["answer"], answer["probability"])
    for row in heads:
        up = graph.add_writer("head", row["layer"], row["head"], pos)
        graph.link(up, name, row["effect"], {key: row[key] for key in ("effect", "share")})
