"""Identities of the dump, and what must not change it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from svt.compute import dump as module
from svt.compute.batches import memory_share, plan_batches
from svt.compute.columns import Columns
from svt.compute.decompose import HeadSVD, decompose_model
from svt.compute.model import Model
from svt.compute.pairs import uniform_hash
from svt.compute.upstream import Outputs
from svt.compute.writers import list_writers
from svt.config import DumpConfig
from svt.dataset.prompt import Prompt
from svt.words import COMPONENTS
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import (
    LISTS,
    dumped,
    in_order,
    loaded,
    long_views,
    parts,
    prompts_of,
    with_signs,
)
from tests.settings import DUMP

ALL = replace(
    DUMP,
    min_weight=0.3,
    pairs="all",
    sample=0.1,
    seed=3,
    batch_size=4,
    components=COMPONENTS,
    all_slices=True,
    coordinates="all",
)
PROMPTS = prompts_of(0, n_prompts=6, lengths=(3, 12))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), sharp=4.0))


@pytest.fixture(scope="module")
def tables(model: Model) -> dict[str, Columns]:
    return dumped(model, PROMPTS, ALL)


def by_pair(tables: dict[str, Columns], table: str, column: str) -> np.ndarray:
    """Sums of a column over the rows of each stored pair."""
    pair_id = tables["pairs"]["pair_id"]
    place = np.searchsorted(pair_id, tables[table]["pair_id"])
    return np.bincount(place, tables[table][column].astype(float), len(pair_id))


def assert_same(one: dict[str, Columns], other: dict[str, Columns]) -> None:
    """The same rows, numbers to float32 rounding."""
    assert one.keys() == other.keys()
    for table, columns in one.items():
        for name, values in columns.items():
            what = f"{table}.{name}"
            if values.dtype.kind == "f":
                wanted = other[table][name]
                np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=5e-5, err_msg=what)
            else:
                assert np.ma.allequal(values, other[table][name], fill_value=False) or (
                    values.tolist() == other[table][name].tolist()
                ), what


def test_slices_sum_to_the_score(model: Model, tables: dict[str, Columns]) -> None:
    pairs = tables["pairs"]
    size = np.abs(pairs["omega_score"]).max()
    np.testing.assert_allclose(by_pair(tables, "slices", "contribution"), pairs["omega_score"])
    scores = model.d_head**0.5 * pairs["score"]
    np.testing.assert_allclose(pairs["omega_score"], scores, atol=1e-6 * size)
    assert pairs["residual"].max() < 1e-6 * size
    coords = tables["slices"]["dest_coord"] * tables["slices"]["src_coord"]
    np.testing.assert_allclose(coords, tables["slices"]["contribution"], atol=1e-6 * size)


def test_the_signal_carries_at_least_the_score(tables: dict[str, Columns]) -> None:
    slices = tables["slices"]
    masked = {"slices": slices | {"contribution": slices["contribution"] * slices["in_signal"]}}
    signal = by_pair(masked | {"pairs": tables["pairs"]}, "slices", "contribution")
    score = tables["pairs"]["omega_score"]
    assert (np.abs(signal) >= np.abs(score) * (1 - 1e-9)).all()
    assert (by_pair(tables, "slices", "in_signal") == tables["pairs"]["n_slices"]).all()


def test_all_components_together_close(tables: dict[str, Columns]) -> None:
    assert np.isfinite(tables["sides"]["closure"]).all()
    assert np.abs(tables["sides"]["closure"]).max() < 2e-5


def test_components_but_not_all_leave_closure_open(model: Model) -> None:
    sides = dumped(model, PROMPTS[:2], replace(ALL, components=("head", "mlp")))["sides"]
    assert np.isnan(sides["closure"]).all()


def test_shares_of_heads(tables: dict[str, Columns]) -> None:
    """The totals are sums of the rows."""
    upstream, sides = tables["upstream"], tables["sides"]
    heads = upstream["component"] == COMPONENTS.index("head")
    key = upstream["pair_id"] * 2 + upstream["side"]
    for pair_id, side, total, total_all, n_heads in zip(
        *(sides[c] for c in ("pair_id", "side", "total", "total_all", "n_heads")), strict=True
    ):
        at = heads & (key == pair_id * 2 + side)
        assert at.sum() == n_heads
        of_signal = upstream["contribution"][at].sum(dtype=float)
        np.testing.assert_allclose(total, of_signal, atol=1e-12)
        every = upstream["contribution_all"][at].sum(dtype=float)
        np.testing.assert_allclose(total_all, every, atol=1e-12)


def test_without_all_slices_only_the_signal_is_read(
    model: Model, tables: dict[str, Columns]
) -> None:
    few = dumped(model, PROMPTS, replace(ALL, all_slices=False))
    for table, column in (("upstream", "contribution_all"), ("sides", "total_all")):
        assert np.isnan(few[table].pop(column)).all()
    every = {table: dict(columns) for table, columns in tables.items()}
    del every["upstream"]["contribution_all"], every["sides"]["total_all"]
    for column in ("dest_offset_all", "src_offset_all"):
        assert column not in few["pairs"]
        del every["pairs"][column]
    assert_same(few, every)


def test_without_heads_there_is_no_total(model: Model) -> None:
    few = dumped(model, PROMPTS[:2], replace(ALL, components=("mlp", "bias")))
    assert not np.isin(few["upstream"]["component"], COMPONENTS.index("head")).any()
    assert not few["sides"]["total"].any() and not few["sides"]["n_heads"].any()


def test_upstream_lies_below(tables: dict[str, Columns]) -> None:
    pairs, upstream = tables["pairs"], tables["upstream"]
    layer = pairs["layer"][np.searchsorted(pairs["pair_id"], upstream["pair_id"])]
    assert (upstream["up_layer"] < layer).all()  # masked entries compare as masked
    names = np.array(COMPONENTS)[upstream["component"]]
    no_layer = np.isin(names, ("embed", "pos_embed"))
    assert (np.ma.getmaskarray(upstream["up_layer"]) == no_layer).all()
    assert (np.ma.getmaskarray(upstream["up_head"]) == (names != "head")).all()


def test_pair_ids_say_which_pair_and_rows_are_sorted(
    model: Model, tables: dict[str, Columns]
) -> None:
    pairs = tables["pairs"]
    prompt, layer, head, dest, src = (
        pairs[c].astype(int) for c in ("prompt_id", "layer", "head", "dest", "src")
    )
    n = model.n_ctx
    ids = (((prompt * model.n_layers + layer) * model.n_heads + head) * n + dest) * n + src
    assert (pairs["pair_id"] == ids).all()
    assert (np.diff(pairs["pair_id"]) > 0).all()
    assert (dest >= src).all()
    assert (pairs["eligible"] == ((pairs["score"] >= 0) & (src > 0))).all()


def test_sampled_pairs_have_slices_only(tables: dict[str, Columns]) -> None:
    pairs = tables["pairs"]
    assert (pairs["sampled"] == (pairs["weight"] < 0.3)).all()
    assert 0 < pairs["sampled"].sum() < len(pairs["sampled"])
    strong = pairs["pair_id"][~pairs["sampled"]]
    assert set(tables["sides"]["pair_id"]) == set(strong)
    assert set(tables["upstream"]["pair_id"]) <= set(strong)
    assert set(tables["slices"]["pair_id"]) == set(pairs["pair_id"])


def test_the_sample_is_a_share_drawn_by_pair_and_seed() -> None:
    ids = np.arange(200_000)
    drawn = uniform_hash(ids, 0)
    assert abs((drawn < 0.01).mean() - 0.01) < 0.001
    both = (drawn < 0.1) & (uniform_hash(ids, 1) < 0.1)
    assert abs(both.mean() - 0.01) < 0.002  # another seed, another sample
    assert (uniform_hash(ids[::-1], 0) == drawn[::-1]).all()


def test_no_sample_and_every_pair(model: Model) -> None:
    plain = replace(ALL, effects=False, components=("head",))
    only_strong = dumped(model, PROMPTS, replace(plain, sample=0.0))["pairs"]
    assert not only_strong["sampled"].any()
    every = dumped(model, PROMPTS, replace(plain, min_weight=0.0))["pairs"]
    lengths = [len(prompt.tokens) for prompt in PROMPTS]
    n_pairs = sum(n * (n + 1) // 2 for n in lengths) * model.n_layers * model.n_heads
    assert len(every["pair_id"]) == n_pairs
    assert not every["sampled"].any()


def test_batches_and_padding_change_nothing(model: Model, tables: dict[str, Columns]) -> None:
    for batch_size in (1, 100):
        assert_same(dumped(model, PROMPTS, replace(ALL, batch_size=batch_size)), tables)


def test_the_order_of_prompts_changes_nothing(model: Model, tables: dict[str, Columns]) -> None:
    assert_same(dumped(model, PROMPTS[::-1], ALL), tables)


def test_a_shard_holds_the_same_rows(model: Model, tables: dict[str, Columns]) -> None:
    part = dumped(model, PROMPTS[4:6], ALL)
    for table, columns in tables.items():
        if "prompt_id" in columns:
            keep = np.isin(columns["prompt_id"], (4, 5))
        else:
            keep = np.isin(columns["pair_id"], part["pairs"]["pair_id"])
        assert_same({table: part[table]}, {table: {c: v[keep] for c, v in columns.items()}})


def test_chunks_change_nothing(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    some, few = prompts_of(0, n_prompts=3, lengths=(3, 6)), replace(ALL, batch_size=2)
    whole = dumped(model, some, few)
    monkeypatch.setattr(module, "SLICE_BYTES", memory_share(ALL) / 50)
    found = parts(model, decompose_model(model), some, few)
    assert len(found) > len(some)
    assert sum("prompts" in part for part in found) == 2
    assert_same(dumped(model, some, few), whole)


def with_memory(dump: DumpConfig, memory_gb: float) -> DumpConfig:
    """Less memory than a configuration may ask for."""
    little = replace(dump)
    object.__setattr__(little, "memory_gb", memory_gb)
    return little


@pytest.mark.long
def test_little_memory_changes_nothing(model: Model) -> None:
    little, prompts = with_memory(ALL, 1e-9), PROMPTS[:2]
    assert [len(batch) for batch in plan_batches(model, prompts, little)] == [1] * len(prompts)
    assert Outputs(model, list_writers(model, COMPONENTS), memory_share(little)).n_tokens == 1
    assert_same(dumped(model, prompts, little), dumped(model, prompts, ALL))


def test_batches_have_like_lengths_and_fit_the_memory(model: Model) -> None:
    prompts = prompts_of(1, n_prompts=40, lengths=(2, 14))
    batches = plan_batches(model, prompts, replace(ALL, batch_size=7))
    assert sorted(p.prompt_id for batch in batches for p in batch) == list(range(40))
    assert max(len(batch) for batch in batches) == 7
    lengths = [[len(p.tokens) for p in batch] for batch in batches]
    assert all(max(one) <= min(other) for one, other in pairwise(lengths))
    fewer = plan_batches(model, prompts, with_memory(replace(ALL, batch_size=7), 1e-4))
    assert len(fewer) > len(batches)
    assert len(fewer[0]) > len(fewer[-1])  # the longer, the fewer


def test_tokens_after_end_change_nothing(model: Model, tables: dict[str, Columns]) -> None:
    longer = tuple(replace(p, tokens=(*p.tokens, 7, 8, 9)) for p in PROMPTS)
    assert_same(dumped(model, longer, ALL), tables)


def test_without_an_end_the_last_token_is_it(model: Model, tables: dict[str, Columns]) -> None:
    assert_same(dumped(model, tuple(replace(p, roles={}) for p in PROMPTS), ALL), tables)


def _dump_with(model: Model, svd: HeadSVD) -> dict[str, Columns]:
    dump = replace(ALL, batch_size=100)
    (batch,) = parts(model, svd, PROMPTS[:4], dump)
    return {name: batch[name] for name in batch.keys() - set(LISTS)} | long_views(
        model, dump, [batch]
    )


def test_signs_of_slices_change_nothing_but_the_coordinates(model: Model) -> None:
    svd = decompose_model(model)
    generator = torch.Generator().manual_seed(0)
    turn = torch.randint(2, svd.sigma.shape, generator=generator) * 2.0 - 1
    flipped = with_signs(svd, turn)
    one, other = _dump_with(model, svd), _dump_with(model, flipped)
    for tables in (one, other):
        for table in ("slices", "coordinates"):
            for column in ("dest_coord", "src_coord"):
                tables[table][column] = np.abs(tables[table][column])
    assert_same(one, other)


def test_the_order_of_slices_changes_nothing(model: Model) -> None:
    svd = decompose_model(model)
    order = torch.randperm(model.d_head, generator=torch.Generator().manual_seed(0))
    shuffled = in_order(svd, order)
    one, other = _dump_with(model, svd), _dump_with(model, shuffled)
    back = np.argsort(order.numpy())
    for name in ("slices", "coordinates"):
        for column, values in other[name].items():
            if column != "k":
                other[name][column] = values.reshape(-1, model.d_head)[:, back].ravel()
    assert_same(one, other)


def test_the_order_of_heads_only_renames_them(tmp_path: Path, model: Model) -> None:
    """Heads of layer 1 in another order: the same rows under other names."""
    from transformers import GPT2LMHeadModel

    from tests.checkpoints import save

    order = [2, 0, 3, 1]  # new head h is old head order[h]
    folder = tiny_gpt2(tmp_path / "old", sharp=4.0)
    whole = GPT2LMHeadModel.from_pretrained(folder)
    attn, r = whole.transformer.h[1].attn, model.d_head
    columns = torch.cat([torch.arange(h * r, (h + 1) * r) for h in order])
    joint = torch.cat([columns, columns + 32, columns + 64])
    attn.c_attn.weight.data = attn.c_attn.weight.data[:, joint]
    attn.c_attn.bias.data = attn.c_attn.bias.data[joint]
    attn.c_proj.weight.data = attn.c_proj.weight.data[columns]
    dump = replace(ALL, sample=0.0, effects=False)
    new = dumped(save(tmp_path / "new", whole), PROMPTS[:4], dump)
    old = dumped(model, PROMPTS[:4], dump)

    names = {(1, h): (1, order[h]) for h in range(4)}

    def rows(tables: dict[str, Columns], names: dict[tuple[int, int], tuple[int, int]]) -> dict:
        pairs, upstream = tables["pairs"], tables["upstream"]
        at = {}
        for i, pair_id in enumerate(pairs["pair_id"]):
            head = (int(pairs["layer"][i]), int(pairs["head"][i]))
            at[pair_id] = (
                int(pairs["prompt_id"][i]),
                names.get(head, head),
                int(pairs["dest"][i]),
                int(pairs["src"][i]),
            )
        found = {}
        for i, pair_id in enumerate(upstream["pair_id"]):
            up = upstream["up_layer"][i], upstream["up_head"][i]
            if up[1] is not np.ma.masked:
                up = names.get((int(up[0]), int(up[1])), (int(up[0]), int(up[1])))
                key = (*at[pair_id], int(upstream["side"][i]), up)
                found[key] = (upstream["contribution"][i], upstream["contribution_all"][i])
        return found

    renamed, wanted = rows(new, names), rows(old, {})
    assert renamed.keys() == wanted.keys()
    for key, values in renamed.items():
        np.testing.assert_allclose(values, wanted[key], rtol=1e-4, atol=5e-5)


def test_direct_effects_add_up_with_the_other_writers(
    model: Model, tables: dict[str, Columns]
) -> None:
    """Heads' effects, plus what MLPs, embeddings and biases add, is the logit difference."""
    prompts = tables["prompts"]
    for row, prompt in enumerate(PROMPTS):
        tokens = torch.tensor([prompt.tokens])
        _, cache = model.bridge.run_with_cache(tokens)
        w_u = model.weight("W_U")
        answer, distractor = list(prompt.answer), list(prompt.distractor)
        direction = (w_u[:, answer].mean(1) - w_u[:, distractor].mean(1)).detach()
        scale = cache["ln_final.hook_scale"][0, -1, 0]
        others = cache["hook_embed"][0, -1] + cache["hook_pos_embed"][0, -1]
        for layer in range(model.n_layers):
            others = others + cache[f"blocks.{layer}.hook_mlp_out"][0, -1]
            others = others + model.weight("b_O")[layer]
        b_u = model.weight("b_U")
        rest = others @ direction / scale + b_u[answer].mean() - b_u[distractor].mean()
        of_prompt = tables["head_effects"]["prompt_id"] == prompt.prompt_id
        heads = tables["head_effects"]["logit_diff_effect"][of_prompt].sum()
        logits = model.bridge(tokens)[0, -1]
        wanted = (logits[answer].mean() - logits[distractor].mean()).item()
        np.testing.assert_allclose(prompts["logit_diff"][row], wanted, atol=2e-5)
        np.testing.assert_allclose(heads + rest.item(), wanted, atol=2e-5)
        assert prompts["correct"][row] == (wanted > 0)


def test_prompts_without_answers(model: Model) -> None:
    tokens = PROMPTS[0].tokens
    with torch.no_grad():
        best = int(model.bridge(torch.tensor([tokens]))[0, -1].argmax())
    prompts = (
        Prompt(0, "", tokens, ()),
        Prompt(1, "", tokens, (), answer=(best,)),
        Prompt(2, "", tokens, (), answer=((best + 1) % 100,)),
        Prompt(3, "", tokens, (), answer=((best + 1) % 100, best)),
    )
    tables = dumped(model, prompts, ALL)
    assert tables["prompts"]["correct"].tolist() == [None, True, False, True]
    assert np.isnan(tables["prompts"]["logit_diff"]).all()
    assert "head_effects" not in tables


def test_coordinates_of_chosen_heads(model: Model, tables: dict[str, Columns]) -> None:
    some = replace(ALL, coordinates=((2, 1), (0, 3)), effects=False)
    few = dumped(model, PROMPTS, some)["coordinates"]
    every = tables["coordinates"]
    n_tokens = sum(len(prompt.tokens) for prompt in PROMPTS)
    assert len(every["k"]) == n_tokens * model.n_layers * model.n_heads * model.d_head
    chosen = np.isin(every["layer"] * 10 + every["head"], (21, 3))
    assert_same({"c": few}, {"c": {c: v[chosen] for c, v in every.items()}})
    assert "coordinates" not in dumped(model, PROMPTS[:1], replace(ALL, coordinates="none"))
    pairs, slices = tables["pairs"], tables["slices"]
    dest = np.repeat(pairs["dest"], model.d_head)
    keys = [np.repeat(pairs[c], model.d_head) for c in ("prompt_id", "layer", "head")]
    columns = [every[c] for c in ("prompt_id", "pos", "layer", "head", "k")]
    index = dict(
        zip(zip(*(c.tolist() for c in columns), strict=True), every["dest_coord"], strict=True)
    )
    for i in range(0, len(slices["k"]), 97):
        key = (keys[0][i], dest[i], keys[1][i], keys[2][i], slices["k"][i])
        np.testing.assert_allclose(index[key], slices["dest_coord"][i], atol=1e-5)


def test_bfloat16_is_close(tmp_path: Path, model: Model) -> None:
    """A half-precision forward pass is decomposed in float32 and stays near the full one."""
    half = loaded(tiny_gpt2(tmp_path, sharp=4.0), "bfloat16")
    settings = replace(ALL, min_weight=0.0, sample=0.0, effects=False, components=("head",))
    one, other = (dumped(m, PROMPTS, settings)["pairs"] for m in (half, model))
    size = np.abs(other["omega_score"]).max()
    assert np.abs(one["omega_score"] - other["omega_score"]).max() < 0.1 * size
    assert one["residual"].max() < 0.05 * size


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_another_device_dumps_the_same(tmp_path: Path, dtype: str) -> None:
    """float32: weights to 1e-4, float64: to 1e-9; of a bfloat16 model the decomposition alone."""
    folder = tiny_gpt2(tmp_path, sharp=4.0)
    here, there = (loaded(folder, dtype, device) for device in ("cpu", "cuda"))
    decomposed = [decompose_model(model) for model in (here, there)]
    assert there.weight("W_Q").device.type == decomposed[1].u.device.type == "cuda"
    assert decomposed[1].u.dtype == torch.float64
    one, other = (svd.sigma.cpu() for svd in decomposed)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    if dtype == "bfloat16":  # its forward pass rounds to two digits, on each device otherwise
        return
    every = replace(ALL, min_weight=0.0, sample=0.0)  # no pair near a threshold
    tables = [dumped(model, PROMPTS, every) for model in (here, there)]
    close = {"float32": 1e-4, "float64": 1e-9}[dtype]
    for column in ("pair_id", "weight", "score", "omega_score", "residual"):
        one, other = (np.asarray(found["pairs"][column], float) for found in tables)
        np.testing.assert_allclose(one, other, rtol=close, atol=close, err_msg=column)
    one, other = (by_pair(found, "upstream", "contribution_all") for found in tables)
    np.testing.assert_allclose(one, other, rtol=10 * close, atol=10 * close)
