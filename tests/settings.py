"""The trace settings that tests start from: the paper's."""

from svt.config import TraceConfig

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
