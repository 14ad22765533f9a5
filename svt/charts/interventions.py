"""Names, colours and verdicts in the figures of interventions."""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREEN, GREY, ORANGE, plural

KIND_COLOURS = {"ablate": BLUE, "boost": ORANGE}
KIND_NAMES = {"ablate": "ablation", "boost": "boosting"}
RANDOM = "random slices"
SCOPE_NAMES = {
    "global": "global",
    "local_qk": "local: q or k",
    "local_qkv": "local: q, k and v",
}
SCOPE_COLOURS = {"global": BLUE, "local_qk": ORANGE, "local_qkv": GREEN}
ARRANGEMENTS = ("parallel", "serial", "outgoing")
EFFECT = "change of the logit difference"
DISCOVERIES = 0.05
"""The false discovery rate at which edges are counted."""
LEGEND = alt.Legend(orient="top", symbolType="circle")


def verdicts(rows: pl.DataFrame) -> str:
    """Return `5 of 9 (3 help, 2 hinder); 4 in too few prompts`: the effects beyond their control.

    rows: beyond helps, all with a control; beyond is null where the prompts are too few to decide.
    """
    decided = rows.drop_nulls("beyond")
    helping = int(decided["helps"].sum())
    hindering = int(decided["beyond"].sum()) - helping
    parts = [f"{n} {word}" for n, word in ((helping, "help"), (hindering, "hinder")) if n]
    few = rows.height - decided.height
    text = f"{helping + hindering} of {decided.height}" if decided.height else "none decided"
    text += f" ({', '.join(parts)})" if parts else ""
    return text + (f"; {few} in too few prompts" if few else "")


def discoveries(rows: pl.DataFrame) -> str:
    """Say how many effects are discoveries at a false discovery rate of 5%, or why none can be.

    rows: n_random q_value of one scope and kind, from `edge_effects`; "" if none has a q-value.
    With n controls no p-value is below 1 / (n + 1).
    """
    tested = rows.drop_nulls("q_value")
    if tested.is_empty():
        return ""
    repeats = int(tested["n_random"].max())  # type: ignore[arg-type]
    if 1 / (repeats + 1) > DISCOVERIES:
        enough = round(1 / DISCOVERIES) - 1
        return (
            f"with {plural(repeats, 'control')} a change the smallest possible p-value is "
            f"{1 / (repeats + 1):.2f}, and a discovery needs intervene.repeats={enough} or more"
        )
    counted = int((tested["q_value"] <= DISCOVERIES).sum())
    return f"{counted} of {tested.height} at a false discovery rate of {DISCOVERIES:.0%}"


def scopes_of(frame: pl.DataFrame) -> list[str]:
    """Return the scopes that have rows, global first."""
    present = set(frame["scope"].to_list())
    return [scope for scope in SCOPE_NAMES if scope in present]


def kinds_of(frame: pl.DataFrame) -> list[str]:
    """Return the kinds that have rows, ablation first."""
    present = set(frame["kind"].to_list())
    return [kind for kind in KIND_COLOURS if kind in present]


def kind_scale(kinds: list[str], random: bool) -> alt.Scale:
    """Return the colours of `kinds`, with `random` also that of random controls."""
    colours = {kind: KIND_COLOURS[kind] for kind in kinds} | ({RANDOM: GREY} if random else {})
    return alt.Scale(domain=list(colours), range=list(colours.values()))
