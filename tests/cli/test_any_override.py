"""Anything on the command line of `svt` that is wrong: one message, nothing done or left."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import svt_in
from tests.marks import examples
from tests.settings import composed

_GROUPS = {key: sorted(values) for key, values in composed().items() if isinstance(values, dict)}
keys = st.sampled_from([f"{group}.{key}" for group, names in _GROUPS.items() for key in names])
values = st.text(max_size=8) | st.sampled_from(
    [
        *("null", "1", "-1", "1e999", "nan", "true", "''", "${run.path}", "${no}", "???", "1,2"),
        *("[", "[]", "[[1,2]", "[[1,2]]", "{a:1}", "'", '"', "\\", "\0", "é", "range(3)", "a=b"),
        *("no/such/file", "*.duckdb", "2147483648", "9" * 400, "[null]", "nothing,*"),
    ]
)
overrides = st.builds("{}={}".format, keys, values) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "+", "++", "~", "@"]),
    keys | st.sampled_from([*_GROUPS, "no.such", "experiment", "stages"]) | st.text(max_size=6),
    st.sampled_from(["", "=", "=none", "=paper", "==", "@x=y"]),
)


@settings(
    max_examples=examples(20),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example("+=none")
@example("dataset.n_shards=2147483648")  # as many shards were counted, and are not there
@example("dump.sample=" + "9" * 400)
@example("dump.seed=${no}")
@given(override=overrides.filter(lambda text: text[:1] != "-"))
def test_any_override_is_taken_or_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], override: str
) -> None:
    """There is no store, so that a trace must always be refused."""
    done = svt_in(tmp_path, override, "stages=[trace]", "store.dir=nowhere")
    err = capfd.readouterr().err
    assert done.code == 1
    assert err.count("svt: ") == 1
    assert "Traceback" not in err
    assert len(err) < 1500
    assert done.runs == []
