"""The last lines of a run."""

from svt.cli.summary import summarise
from svt.config import from_mapping
from svt.db.stores import Stores
from svt.store.results import load_config
from tests.answers import answer
from tests.conftest import Finished


def test_the_strongest_chain_from_each_root_is_a_line(finished: Finished) -> None:
    """Of roots that have one: a root alone is no chain."""
    (run,) = finished.runs[:1]
    chains = answer(run, "head_chains", [])
    lines = summarise(
        from_mapping(load_config(run)), run, Stores.of(finished.stores[0])
    ).splitlines()
    at = lines.index("strongest chains, upwards to a root:")
    expected = [row["chain"] for row in chains.to_dicts() if row["n_heads"] > 1]
    assert expected
    assert lines[at + 1 :] == [f"  {chain}" for chain in expected]
    assert all(" > " in chain and "(end -> " in chain for chain in expected)
