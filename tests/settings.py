"""The settings that tests start from: those of conf/."""

from svt.config import ChartConfig, InterveneConfig, TraceConfig

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
    edges="graph_edges",
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
