"""What the numbers of a run mean, in sentences."""

import polars as pl

from svt.report.words import precision_sentences, terms

EVALUATED = pl.DataFrame({"reference": ["r"], "tp": [3], "n_heads": [26]})


def test_a_precision_is_a_sentence() -> None:
    random = pl.DataFrame(
        {
            "reference": ["r", "r"],
            "metric": ["precision", "recall"],
            "mean": [0.0636, 0.4137],
            "share_as_good": [0.186, 0.186],
        }
    )
    (message,) = precision_sentences(EVALUATED, {"r": 4}, random)
    assert message == (
        "3 of the graph's 26 heads are among the 4 of r; random sets of as many heads reach "
        "precision 0.06 and recall 0.41 on average, and 18.6% of them do as well"
    )
    (alone,) = precision_sentences(EVALUATED, {"r": 4}, random.clear())
    assert alone == "3 of the graph's 26 heads are among the 4 of r"


def test_every_term_is_defined_before_it_is_used() -> None:
    """A word of the list stands in no definition above its own."""
    found = terms(0.5, ["6.2"])
    assert list(found) == ["firing", "slice", "signal", "edge", "root", "role", "reachable"]
    for i, definition in enumerate(found.values()):
        assert not [word for word in list(found)[i + 1 :] if f" {word} " in f" {definition} "]
