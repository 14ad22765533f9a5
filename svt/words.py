"""The words of enumerated values in settings, columns and figures.

sql/schema/*/_types.sql repeats them for DuckDB; a test compares the two.
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

NO_ROLE = "no role"  # label of a token without a role in a graph
