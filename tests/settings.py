"""The settings that tests start from: those of conf/."""

from svt.config import ChartConfig, DatasetConfig, DumpConfig, InterveneConfig, TraceConfig

DATASET = DatasetConfig(
    name="ioi",
    path=None,
    split="train",
    revision=None,
    n_prompts=256,
    n_tokens=21,
    bos="auto",
    seed=0,
    pattern="mixed",
    counterfactual="none",
    only_correct=False,
    templates=None,
    names=None,
    nouns=None,
    shard=0,
    n_shards=1,
)

DUMP = DumpConfig(
    min_weight=0.1,
    pairs="eligible",
    sample=0.01,
    seed=0,
    batch_size=32,
    memory_gb=1.0,
    components=("head",),
    all_slices=False,
    effects=True,
    coordinates="none",
)

TRACE = TraceConfig(
    firing_weight=0.5,
    coverage=0.7,
    slices="signal",
    nonpositive="none",
    components="head",
    offset="exclude",
    roots="auto",
    root_dest="end",
    root_src="any",
    count="prompts",
    min_share=0.25,
    min_count=None,
)

CHART = ChartConfig(
    figures="default",
    format=("json",),
    heads=None,
    dest_role=None,
    src_role=None,
    prompt_id=None,
    min_firings=100,
    compare_store=None,
)

INTERVENE = InterveneConfig(
    edges="shown_edges",
    sets="edge_sets",
    scopes=("global", "local_qk", "local_qkv"),
    kinds=("ablate", "boost"),
    strength=1.0,
    homogeneous=True,
    local_base="live",
    repeats=5,
    seed=0,
    faithfulness="mean",
    batch_size=256,
)
