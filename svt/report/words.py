"""What the numbers of a run mean, in sentences: for the last lines of a run, and for its report."""

from collections.abc import Sequence

import polars as pl

from svt.charts.style import plural, ratio


def precision_sentences(
    evaluated: pl.DataFrame, n_known: dict[str, int], random: pl.DataFrame
) -> list[str]:
    """Return a sentence on every reference: hits, heads, and what random sets reach.

    evaluated: rows of the query `precision_recall` at one threshold; n_known: the heads of each
    reference; random: rows of `random_baseline`, empty where there is nothing to draw from.
    """
    sentences = []
    for row in evaluated.to_dicts():
        name = row["reference"]
        sentence = (
            f"{row['tp']} of the graph's {plural(row['n_heads'], 'head')} are among the "
            f"{n_known[name]} of {name}"
        )
        of_metric = {
            each["metric"]: each for each in random.to_dicts() if each["reference"] == name
        }
        if {"precision", "recall"} <= of_metric.keys():
            precision, recall = of_metric["precision"], of_metric["recall"]
            sentence += (
                f"; random sets of as many heads reach precision {ratio(precision['mean'])} and "
                f"recall {ratio(recall['mean'])} on average, and "
                f"{precision['share_as_good']:.1%} of them do as well"
            )
        sentences.append(sentence)
    return sentences


def rare_edges_sentences(n: int) -> list[str]:
    """Return a sentence on `n` edges of the graph that are not shown, none without such edges."""
    return [f"{plural(n, 'edge')} of the graph below the threshold of counts."] if n else []


def terms(firing_weight: float, roots: Sequence[str]) -> dict[str, str]:
    """Return what the words of a report mean, in the order in which one needs the other."""
    return {
        "firing": "a head attends from a token (its destination) to another (its source) with a "
        f"weight of at least {firing_weight:g}",
        "slice": "one pair of singular vectors of the matrix by which a head scores two tokens; "
        "the score is the sum over its slices",
        "signal": "the fewest slices whose sum reaches the score of a firing: what the head reads "
        "at the two tokens",
        "edge": "a head writes, at one of the two tokens, a large share of the signal that a head "
        "above reads there",
        "root": "a head that the trace starts from, down to those that write for it: "
        + (", ".join(roots) or "none"),
        "role": "what a token is in its prompt, such as end for the last one; edges are counted by "
        "the role of the token written to",
        "reachable": "heads of the reference that are roots or lie below the lowest root's layer; "
        "a trace can reach no other",
    }
