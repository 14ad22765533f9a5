"""The trace in SQL against Algorithm 1 of the paper walked path by path, and what it refuses."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pytest

from svt.config import Head, TraceConfig
from svt.errors import SvtError
from svt.query.trace import TraceResult, trace
from tests.marks import first
from tests.settings import TRACE
from tests.store_rows import StoreRows

PAPER = replace(TRACE, coverage=0.75, roots=((3, 0),))

Up = tuple[Any, ...]
At = tuple[int, int, int, int, int]  # prompt, layer, head, dest, src


@dataclass(frozen=True)
class Pair:
    at: At
    weight: float
    score: float
    sides: dict[
        str, dict[Up, tuple[float, float, float]]
    ]  # side -> upstream -> contribution, over all slices, weight without it
    offsets: tuple[float, float, float, float]


@dataclass(frozen=True)
class Case:
    pairs: list[Pair]
    roles: dict[int, dict[str, int]]  # prompt -> role -> position

    def connect(self) -> duckdb.DuckDBPyConnection:
        rows = StoreRows(n_layers=5, n_heads=3, effects=True)
        for prompt, roles in self.roles.items():
            rows.prompt(prompt, roles, n_tokens=6)
        for p in self.pairs:
            rows.pair(p.at, p.weight, p.score, **p.sides, offsets=p.offsets)
        return rows.connect()


class Walk:
    """Algorithm 1: every path on its own, every choice made from the plain definition."""

    def __init__(self, case: Case, config: TraceConfig) -> None:
        self.case, self.config = case, config
        self.visits: Counter[tuple[Head, At]] = Counter()
        self.depth: dict[tuple[Head, At], int] = {}
        for pair in case.pairs:
            head = pair.at[1:3]
            roles = case.roles[pair.at[0]]
            at_src = config.root_src == "any" or roles.get(config.root_src) == pair.at[4]
            if head in config.roots and roles.get(config.root_dest) == pair.at[3] and at_src:
                self.visit((head[0], head[1]), pair, 0)

    def visit(self, root: Head, pair: Pair, depth: int) -> None:
        if pair.weight < self.config.firing_weight or pair.score < 0 or pair.at[4] == 0:
            return
        self.visits[root, pair.at] += 1
        self.depth[root, pair.at] = min(depth, self.depth.get((root, pair.at), depth))
        for side in ("dest", "src"):
            token = pair.at[3] if side == "dest" else pair.at[4]
            for up, _ in self.significant(pair, side):
                for other in self.case.pairs:
                    if (other.at[0], *other.at[1:3], other.at[3]) == (pair.at[0], *up, token):
                        self.visit(root, other, depth + 1)

    def significant(self, pair: Pair, side: str) -> Iterator[tuple[Up, float]]:
        every = self.config.slices == "all"
        offset = pair.offsets[2 * every + (side == "src")] * (self.config.offset == "include")
        values = {
            up: values[every] + offset * isinstance(up[0], int)
            for up, values in pair.sides[side].items()
            if isinstance(up[0], int) or self.config.components == "all"
        }
        if self.config.rule == "effect":
            for up, value in values.items():
                if pair.weight - pair.sides[side][up][2] >= self.config.min_effect:
                    yield up, value
            return
        falling = sorted(values, key=lambda up: (-values[up], order(up)))
        total = sum(values.values())
        if total <= 0:
            if self.config.nonpositive == "top" and falling:
                yield falling[0], values[falling[0]]
            return
        so_far = 0.0
        for up in falling:
            yield up, values[up]
            so_far += values[up]
            if so_far > self.config.coverage * total:
                return

    def edges(self) -> dict[tuple[Any, ...], tuple[float, int]]:
        by_place = {pair.at: pair for pair in self.case.pairs}
        return {
            (*root, *at, side, *columns(up)): (value, visits)
            for (root, at), visits in self.visits.items()
            for side in ("dest", "src")
            for up, value in self.significant(by_place[at], side)
        }

    def effects(self) -> dict[tuple[Any, ...], float]:
        """What the removal of each edge's upstream takes from the weight of its pair."""
        by_place = {pair.at: pair for pair in self.case.pairs}
        return {
            (*at, side, *columns(up)): by_place[at].weight - by_place[at].sides[side][up][2]
            for _, at in self.visits
            for side in ("dest", "src")
            for up, _ in self.significant(by_place[at], side)
        }

    def mean_effects(self) -> dict[tuple[Any, ...], float]:
        """Of graph edges, over their pairs."""
        found: dict[tuple[Any, ...], list[float]] = {}
        for (prompt, layer, head, dest, src, side, *up), effect in self.effects().items():
            labels = {pos: role for role, pos in self.case.roles[prompt].items()}
            role = labels.get(dest if side == "dest" else src)
            if role is not None:
                found.setdefault((layer, head, side, role, *up), []).append(effect)
        return {edge: sum(effects) / len(effects) for edge, effects in found.items()}

    def graph(self) -> dict[tuple[Any, ...], tuple[int, int, int, float]]:
        found: dict[tuple[Any, ...], dict[At, tuple[float, int]]] = {}
        for (_, _, *rest), (value, visits) in self.edges().items():
            prompt, layer, head, dest, src, side, *up = rest
            labels = {pos: role for role, pos in self.case.roles[prompt].items()}
            role = labels.get(dest if side == "dest" else src)
            if role is not None:
                firings = found.setdefault((layer, head, side, role, *up), {})
                at = (prompt, layer, head, dest, src)
                firings[at] = (value, visits + firings.get(at, (0.0, 0))[1])
        return {
            edge: (
                len({at[0] for at in firings}),
                len(firings),
                sum(visits for _, visits in firings.values()),
                sum(value for value, _ in firings.values()),
            )
            for edge, firings in found.items()
        }

    def firings(self) -> dict[tuple[Any, ...], tuple[int, int, int]]:
        """By head and the roles it attends between: prompts, pairs and visits."""
        found: dict[tuple[Any, ...], dict[At, int]] = {}
        for (_, at), visits in self.visits.items():
            labels = {pos: role for role, pos in self.case.roles[at[0]].items()}
            pairs = found.setdefault((*at[1:3], labels.get(at[3]), labels.get(at[4])), {})
            pairs[at] = visits + pairs.get(at, 0)
        return {
            firing: (len({at[0] for at in pairs}), len(pairs), sum(pairs.values()))
            for firing, pairs in found.items()
        }


def order(up: Up) -> tuple[int, ...]:
    """Ties: by layer and head, embeddings first, then by component."""
    component, layer, head = columns(up)
    kinds = ("head", "mlp", "embed", "pos_embed", "bias")
    return (-1 if layer is None else layer, -1 if head is None else head, kinds.index(component))


def columns(up: Up) -> tuple[str, int | None, int | None]:
    if isinstance(up[0], int):
        return "head", up[0], up[1]
    return up[0], up[1] if len(up) > 1 else None, None


def random_case(seed: int) -> Case:
    """Three prompts of six tokens; values are multiples of 1/8, so that every sum is exact."""
    rng, removal = random.Random(seed), random.Random(seed)

    def offset() -> float:
        return rng.choice(range(-3, 4)) / 32

    eighths = range(-5, 9)
    pairs = []
    for prompt in range(3):
        for layer in range(5):
            ups: list[Up] = [(low, head) for low in range(layer) for head in range(3)]
            ups += [("mlp", low) for low in range(layer)] + [("embed",), ("pos_embed",)]
            for head in range(3):
                for dest in range(1, 6):
                    n_src = rng.choice((0, 1, 1, 1, 2))
                    for src in rng.sample(range(max(0, dest - 2), dest + 1), n_src):
                        pairs.append(
                            Pair(
                                (prompt, layer, head, dest, src),
                                weight=rng.choice((0.25, 0.5, 0.75, 0.75)),
                                score=rng.choice((-1.0, 0.0, 1.0, 1.0, 2.0, 2.0)),
                                sides={
                                    side: {
                                        up: (
                                            rng.choice(eighths) / 8,
                                            rng.choice(eighths) / 8,
                                            removal.choice((0.0, 0.2, 0.6, 1.0)),
                                        )
                                        for up in ups
                                    }
                                    for side in ("dest", "src")
                                },
                                offsets=(offset(), offset(), offset(), offset()),
                            )
                        )
    roles = {prompt: {"end": 5, "IO": rng.choice((3, 4)), "S2": 2} for prompt in range(3)}
    return Case(pairs, roles)


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return con.execute(sql).fetchall()


def assert_same(con: duckdb.DuckDBPyConnection, walk: Walk) -> None:
    pairs = rows(
        con,
        "SELECT root_layer, root_head, t.prompt_id, layer, head, dest, src, depth, visits "
        "FROM trace_pairs AS t JOIN pairs USING (pair_id)",
    )
    assert len(pairs) == len(walk.visits)
    for *root, prompt, layer, head, dest, src, depth, visits in pairs:
        key = (tuple(root), (prompt, layer, head, dest, src))
        assert (depth, visits) == (walk.depth[key], walk.visits[key])
    edges = rows(
        con,
        "SELECT root_layer, root_head, prompt_id, layer, head, dest, src, side, component, "
        "up_layer, up_head, contribution, visits FROM trace_edges",
    )
    assert {row[:-2]: row[-2:] for row in edges} == walk.edges()
    assert len(edges) == len(walk.edges())
    effects = rows(
        con,
        "SELECT DISTINCT prompt_id, layer, head, dest, src, side, component, up_layer, up_head, "
        "effect FROM trace_edges",
    )
    assert {row[:-1]: row[-1] for row in effects} == pytest.approx(walk.effects(), abs=1e-6)
    mean_effects = rows(
        con, "SELECT layer, head, side, role, component, up_layer, up_head, effect FROM graph_edges"
    )
    assert {row[:-1]: row[-1] for row in mean_effects} == pytest.approx(
        walk.mean_effects(), abs=1e-6
    )
    graph = rows(
        con,
        "SELECT layer, head, side, role, component, up_layer, up_head, "
        "n_prompts, n_firings, n_visits, total FROM graph_edges",
    )
    assert {row[:7]: row[7:] for row in graph} == walk.graph()
    assert rows(con, "SELECT 1 FROM graph_edges WHERE mean <> total / n_firings") == []
    firings = rows(con, "FROM graph_firings")
    assert {row[:4]: row[4:] for row in firings} == walk.firings()
    assert len(firings) == len(walk.firings())


CHOICES: list[dict[str, Any]] = [
    {},
    {"coverage": 0.5, "firing_weight": 0.25},
    {"offset": "include", "nonpositive": "top"},
    {"slices": "all"},
    {"slices": "all", "offset": "include", "nonpositive": "top"},
    {"components": "all"},
    {"components": "all", "offset": "include", "slices": "all"},
    {
        "root_src": "IO",
        "firing_weight": 0.25,
        "roots": tuple((layer, head) for layer in (3, 4) for head in range(3)),
    },
    {"rule": "effect", "min_effect": 0.1, "nonpositive": "top"},
    {
        "rule": "effect",
        "min_effect": 0.25,
        "firing_weight": 0.25,
        "components": "all",
        "offset": "include",
        "slices": "all",
    },
]


SEEDS = first(10, range(30))  # one of each choice


def config_of(seed: int) -> TraceConfig:
    base = replace(PAPER, coverage=0.875, roots=((4, 0), (4, 1), (3, 0), (0, 0)))
    return replace(base, **CHOICES[seed % len(CHOICES)])


@pytest.mark.parametrize("seed", SEEDS)
def test_trace_against_the_walk(seed: int) -> None:
    case, config = random_case(seed), config_of(seed)
    walk = Walk(case, config)
    con = case.connect()
    result = trace(con, config)
    assert_same(con, walk)
    fired = {root for root, _ in walk.visits}
    assert result.roots == tuple(root for root in config.roots if root in fired)
    assert len(result.warnings) == len(config.roots) - len(fired)


def test_the_random_cases_hold_what_matters() -> None:
    """Paths that meet, a self-attending pair on the way, one pair reached at two depths."""
    walks = [Walk(random_case(seed), config_of(seed)) for seed in range(8)]
    assert sum(max(walk.visits.values()) >= 8 for walk in walks) >= 3
    assert sum(any(at[3] == at[4] and at[1] > 0 for _, at in walk.visits) for walk in walks) >= 3
    assert sum(max(walk.depth.values()) >= 3 for walk in walks) >= 3


def test_the_stored_order_and_the_windowed_order_agree() -> None:
    """Where both have the same contributions, slices=all must keep what slices=signal keeps."""
    case = random_case(5)
    same = [
        replace(
            pair,
            sides={
                s: {u: (c, c, w) for u, (c, _, w) in ups.items()} for s, ups in pair.sides.items()
            },
            offsets=(*pair.offsets[:2], *pair.offsets[:2]),
        )
        for pair in case.pairs
    ]
    con = replace(case, pairs=same).connect()
    for settings in ({}, {"offset": "include", "nonpositive": "top"}):
        config = replace(PAPER, roots=((4, 0), (4, 1)), **settings)
        trace(con, config)
        signal = rows(con, "SELECT * FROM trace_edges ORDER BY ALL")
        trace(con, replace(config, slices="all"))
        assert rows(con, "SELECT * FROM trace_edges ORDER BY ALL") == signal != []


def test_the_effect_rule_keeps_what_lowers_the_weight_enough() -> None:
    """Of a weight of 0.9 at least 0.2 must go; 0.9 - 0.6 does, 0.9 - 0.8 and 0.9 - 1 do not.

    Dest, total 2: 2.0 contributes most, yet 0.1 goes; 1.0 contributes -4 and 0.3 goes. Src, total
    -4: 0.0 is kept, and no top. 1.0 fires at 5 without anything that matters to it; 2.0 is not
    reached.
    """
    store = StoreRows(n_layers=4, n_heads=1, effects=True)
    store.prompt(0, {"end": 5})
    at_dest = {(2, 0): (5.0, 0.0, 0.8), (1, 0): (-4.0, 0.0, 0.6), (0, 0): (1.0, 0.0, 1.0)}
    at_src = {(2, 0): (-1.0, 0.0, 0.8), (0, 0): (-3.0, 0.0, 0.25)}
    store.pair((0, 3, 0, 5, 2), dest=at_dest, src=at_src)
    store.pair((0, 1, 0, 5, 2), dest={(0, 0): (1.0, 0.0, 0.8)})
    store.pair((0, 2, 0, 5, 2), dest={(0, 0): (1.0, 0.0, 0.1)})
    con = store.connect()
    trace(con, replace(PAPER, rule="effect", min_effect=0.2, nonpositive="top"))
    assert rows(con, "SELECT layer, side, up_layer, contribution FROM trace_edges") == [
        (3, "dest", 1, -4.0),
        (3, "src", 0, -3.0),
    ]
    assert rows(con, "SELECT layer, depth FROM trace_pairs JOIN pairs USING (pair_id)") == [
        (3, 0),
        (1, 1),
    ]


def test_self_attention_is_reached_by_each_side() -> None:
    """3.0 attends from 5 to itself and has 1.0 on both sides, so 1.0 has 2 visits, as has 0.0."""
    store = StoreRows(n_layers=4, n_heads=1)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 5), dest={(1, 0): 1.0}, src={(1, 0): 2.0})
    store.pair((0, 1, 0, 5, 2), dest={(0, 0): 1.0})
    store.pair((0, 0, 0, 5, 5))
    con = store.connect()
    trace(con, PAPER)
    assert rows(con, "SELECT depth, visits FROM trace_pairs ORDER BY depth") == [
        (0, 1),
        (1, 2),
        (2, 2),
    ]
    # the edges of 3.0 are two, by side; 1.0 -> 0.0 is one firing with two visits
    assert rows(
        con, "SELECT layer, side, n_firings, n_visits, total FROM graph_edges ORDER BY ALL"
    ) == [(1, "dest", 1, 2, 1.0), (3, "dest", 1, 1, 1.0), (3, "src", 1, 1, 2.0)]


def test_a_pair_that_two_roots_reach_counts_once() -> None:
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5})
    for head in (0, 1):
        store.pair((0, 3, head, 5, 1), dest={(2, 0): 1.0})
    store.pair((0, 2, 0, 5, 1), dest={(1, 1): 0.5})
    con = store.connect()
    trace(con, replace(PAPER, roots=((3, 0), (3, 1))))
    # 1.1 -> 2.0: one prompt, one firing, one visit from each root, its contribution once
    assert rows(
        con,
        "SELECT n_prompts, n_firings, n_visits, total, mean FROM graph_edges WHERE layer = 2",
    ) == [(1, 1, 2, 0.5, 0.5)]


def test_tokens_without_a_role_stay_out_of_the_graph() -> None:
    store = StoreRows(n_layers=4, n_heads=1)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), dest={(1, 0): 1.0}, src={(2, 0): 1.0})
    con = store.connect()
    trace(con, replace(PAPER, unlabelled="drop"))
    assert rows(con, "SELECT count(*) FROM trace_edges") == [(2,)]
    assert rows(con, "SELECT side, role FROM graph_edges") == [("dest", "end")]


def test_visits_do_not_overflow() -> None:
    """Every layer is reached by both sides of the one above: 2^59 visits at depth 59."""
    n_layers = 70
    store = StoreRows(n_layers=n_layers, n_heads=1)
    store.prompt(0, {"end": 5})
    for layer in range(n_layers):
        ups = {(layer - 1, 0): 1.0} if layer else {}
        store.pair((0, layer, 0, 5, 5), dest=ups, src=ups)
    con = store.connect()
    trace(con, replace(PAPER, roots=((n_layers - 1, 0),)))
    visits = dict(rows(con, "SELECT depth, visits FROM trace_pairs"))
    assert visits[59] == 2**59
    assert visits[69] == 9 * 10**18


def auto_store() -> StoreRows:
    """Effects 4, 2, 1 and -1: half of the positive sum of 7 is carried by 3.0 alone (4 >= 3.5)."""
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5, "IO": 2})
    for (layer, head), effect in {(3, 0): 4.0, (3, 1): 2.0, (2, 0): 1.0, (2, 1): -1.0}.items():
        store.pair((0, layer, head, 5, 1), dest={(0, 0): 1.0})
        store.add("head_effects", prompt_id=0, layer=layer, head=head, logit_diff_effect=effect)
    return store


def test_roots_by_default_are_the_top_heads() -> None:
    assert trace(auto_store().connect(), replace(PAPER, roots="auto")) == TraceResult(((3, 0),), ())


def test_a_second_trace_replaces_the_first() -> None:
    con = auto_store().connect()
    trace(con, PAPER)
    first = rows(con, "FROM trace_edges")
    trace(con, PAPER)
    assert rows(con, "FROM trace_edges") == first != []


def test_a_silent_root_is_a_warning() -> None:
    result = trace(auto_store().connect(), replace(PAPER, roots=((0, 1), (3, 0), (3, 0))))
    assert result.roots == ((3, 0),)
    assert result.warnings == (
        "root 0.1 never fires from end to any; the trace goes on without it",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roots": ((0, 1), (1, 0))}, r"no root fires: 0\.1, 1\.0 never attends from end to any"),
        ({"roots": ((4, 0),)}, r"no head 4\.0; the model has layers 0 to 3 and heads 0 to 1"),
        ({"roots": ((0, 2),)}, r"no head 0\.2"),
        ({"roots": ((0, -1),)}, r"no head 0\.-1"),
        ({"root_dest": "S2"}, r"trace.root_dest=S2: no such role; the prompts have IO, end"),
        ({"root_src": "S1"}, r"trace.root_src=S1: no such role; the prompts have IO, end"),
        ({"root_src": "IO"}, r"no root fires"),
        ({"firing_weight": 0.05}, r"firing_weight=0.05 lies below dump.min_weight=0.1"),
        ({"roots": "auto", "firing_weight": 0.95}, r"trace.roots=auto finds none"),
        (
            {"rule": "effect"},
            r"trace.rule=effect needs the attention weight without each upstream component, which "
            r"dump.effects=false does not store; make a new run with dump.effects=true",
        ),
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SvtError, match=message):
        trace(auto_store().connect(), replace(PAPER, **change))


def test_chosen_roots_that_never_fire_onto_root_src_are_silent() -> None:
    """Effects 4 and 4 of a sum of 12: 2.0 and 3.0 are taken; only 3.0 fires onto IO."""
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5, "IO": 2})
    for layer, head in ((3, 0), (3, 1), (2, 0)):
        store.pair((0, layer, head, 5, layer - 1), dest={(0, 0): 1.0})
        store.add("head_effects", prompt_id=0, layer=layer, head=head, logit_diff_effect=4.0)
    result = trace(store.connect(), replace(PAPER, roots="auto", root_src="IO"))
    assert result.roots == ((3, 0),)
    assert result.warnings == ("root 2.0 never fires from end to IO; the trace goes on without it",)


def test_a_store_without_heads_upstream_has_no_trace_of_heads() -> None:
    con = auto_store().connect()
    con.execute(
        """UPDATE store.dump SET config = '{"dump": {"min_weight": 0.1, "components": ["mlp"]}}'"""
    )
    message = r"dump.components=\[mlp\] stores no heads; make a new dump"
    with pytest.raises(SvtError, match=message):
        trace(con, PAPER)
    assert trace(con, replace(PAPER, components="all")).roots == ((3, 0),)


def test_auto_needs_answers() -> None:
    con = auto_store().connect()
    con.execute("DELETE FROM store.head_effects")
    with pytest.raises(SvtError, match="needs prompts with answers"):
        trace(con, replace(PAPER, roots="auto"))


def test_a_store_without_roles_has_nowhere_to_start() -> None:
    con = auto_store().connect()
    con.execute("DELETE FROM store.roles")
    with pytest.raises(SvtError, match="prompts have no roles"):
        trace(con, PAPER)


@pytest.mark.parametrize(
    ("unlabelled", "roles", "placed"),
    [
        ("drop", {"end": 3, "IO": 1}, {1: "IO", 3: "end"}),
        ("offset", {"end": 3, "IO": 1}, {0: "end-3", 1: "IO", 2: "end-1", 3: "end", 4: "end+1"}),
        ("text", {"end": 3}, {0: '"t0"', 1: '"t1"', 2: '"t2"', 3: "end", 4: '"t4"'}),
        ("auto", {"end": 3, "IO": 1}, {1: "IO", 3: "end"}),
        ("auto", {"end": 3}, {0: "end-3", 1: "end-2", 2: "end-1", 3: "end", 4: "end+1"}),
    ],
)
def test_tokens_without_a_role_get_a_place(
    unlabelled: str, roles: dict[str, int], placed: dict[int, str]
) -> None:
    """The writer 0.0 writes into token 2 alone, so its edge is in the graph if that has a place."""
    rows = StoreRows(n_layers=2, n_heads=1)
    rows.prompt(0, roles, n_tokens=5)
    rows.pair((0, 1, 0, 3, 2), src={(0, 0): 1.0})
    con = rows.connect()
    trace(con, replace(TRACE, roots=((1, 0),), unlabelled=unlabelled))
    assert dict(con.execute("SELECT pos, role FROM places").fetchall()) == placed
    into = con.execute("SELECT role FROM graph_edges").fetchall()
    assert into == ([(placed[2],)] if 2 in placed else [])
    firing = con.execute("SELECT dest_role, src_role FROM graph_firings").fetchall()
    assert firing == [("end", placed.get(2))]
