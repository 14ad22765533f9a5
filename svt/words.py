"""The words of enumerated values; settings, columns and figures take them from here.

sql/schema/*/_types.sql names them once more, for DuckDB; a test holds the two against each other.
"""

from typing import Literal, get_args

Side = Literal["dest", "src"]
Component = Literal["head", "mlp", "embed", "pos_embed", "bias"]
Count = Literal["prompts", "firings", "visits"]
Scope = Literal["global", "local_qk", "local_qkv"]
Kind = Literal["ablate", "boost"]
Base = Literal["live", "clean"]
Replacement = Literal["mean", "zero", "resample"]
EdgeChoice = Literal["all", "validated"]
BosChoice = Literal["auto", "always", "never"]

SIDES: tuple[Side, ...] = get_args(Side)
COUNTS: tuple[Count, ...] = get_args(Count)
SCOPES: tuple[Scope, ...] = get_args(Scope)
COMPONENTS: tuple[str, ...] = get_args(Component)

NO_ROLE = "no role"  # of a token, in a graph
