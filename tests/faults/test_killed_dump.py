"""A dump that is killed: no store but a whole one; the next run goes on with what was finished."""

import shutil
from pathlib import Path

import duckdb
import pytest

from svt.store.writer import StoreWriter
from tests.faults.conftest import Job
from tests.faults.damaged import damaged
from tests.faults.forked import KILLED, Child, Limits, die, ran
from tests.faults.kills import killed, kills
from tests.faults.states import Content, check_store, content, stores
from tests.marks import first

N = kills(24)
NOTED = "batches.log"
PER_BATCH, PROMPTS = 2, 12
_finish = StoreWriter.commit_batch


def finish_and_note(store: StoreWriter, number: int) -> None:
    """StoreWriter.commit_batch, and the number in a file of the folder that the child runs in."""
    _finish(store, number)
    with Path(NOTED).open("a") as file:
        file.write(f"{number}\n")


def finish_until_the_third(store: StoreWriter, number: int) -> None:
    """Die where the third batch is to be kept."""
    if len(store.finished) == 2:
        die()
    finish_and_note(store, number)


def finish_the_third_and_die(store: StoreWriter, number: int) -> None:
    """Die where the third batch is kept and nothing else knows it."""
    _finish(store, number)
    if len(store.finished) == 3:
        die()


FINISH = "svt.store.writer.StoreWriter.commit_batch"
STEPS = {  # a function of the child, and what stands for it
    "behind a batch that is kept": (FINISH, finish_the_third_and_die),
    "before a batch is kept": (FINISH, finish_until_the_third),
    "before the first batch is kept": (FINISH, die),
    "before the checks": ("svt.store.writer.run_checks", die),
    "before it has its name": ("os.replace", die),
}
NOTING = {FINISH: finish_and_note}


@pytest.fixture(scope="module")
def undisturbed(
    made: Path, job: Job, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Content, float]:
    """What the store holds, and the seconds it took; the first child, which waits, made `made`."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    ended = ran(cwd, *job("dump"))
    assert ended.code == 0, ended.message
    (store,) = stores(cwd / "outputs/stores")
    return content(store), ended.seconds


def noted(cwd: Path) -> set[int]:
    """The batches that were finished since the last call."""
    log = cwd / NOTED
    found = {int(number) for number in log.read_text().split()} if log.exists() else set()
    log.unlink(missing_ok=True)
    return found


def kept(cwd: Path) -> set[int]:
    """The batches in a store that is not finished, read from a copy as the next run will.

    All of them, where only its name is missing.
    """
    copy = cwd / "copy.duckdb"
    for partial in (cwd / "outputs/stores").glob(".*.partial*"):
        shutil.copy(partial, f"{copy}.wal" if partial.suffix == ".wal" else copy)
    try:
        with duckdb.connect(copy) as con:
            if not con.execute("FROM duckdb_tables()").fetchall():
                return set()
            schemas = con.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()
            if ("unfinished",) not in schemas:
                return set(range(PROMPTS // PER_BATCH))
            rows = con.execute("SELECT number FROM unfinished.batches").fetchall()
            return {number for (number,) in rows}
    except duckdb.IOException:  # it died before the file had its header
        return set()
    finally:
        copy.unlink(missing_ok=True)


def goes_on(cwd: Path, job: Job, wanted: Content) -> None:
    """What is there is whole; the next run makes what is not, and no more."""
    folder = cwd / "outputs/stores"
    whole = stores(folder)
    for store in whole:
        check_store(store)
        assert content(store) == wanted
    measured, found = noted(cwd), set() if whole else kept(cwd)
    assert whole or measured <= found
    again = ran(cwd, *job("dump"), limits=Limits(values=NOTING))
    assert again.code == 0, again.message
    assert not noted(cwd) & found
    if found and "was complete when a run was stopped" not in again.message:
        n = len(found) * PER_BATCH
        assert f"{n} of {PROMPTS} prompts were finished by a run that was stopped" in again.message
    (store,) = stores(folder)
    assert content(store) == wanted
    assert list(folder.glob(".*.partial*")) == []


@pytest.mark.long
@pytest.mark.parametrize("k", range(N))
def test_a_killed_dump(
    job: Job, undisturbed: tuple[Content, float], tmp_path: Path, k: int
) -> None:
    wanted, seconds = undisturbed

    def begin() -> Child:
        shutil.rmtree(tmp_path / "outputs", ignore_errors=True)
        noted(tmp_path)
        return Child(tmp_path, *job("dump"), limits=Limits(values=NOTING))

    killed(begin, seconds, k, N)
    goes_on(tmp_path, job, wanted)


@pytest.mark.parametrize("step", first(1, [*STEPS]))
def test_a_dump_killed_at_a_commit(
    job: Job, undisturbed: tuple[Content, float], tmp_path: Path, step: str
) -> None:
    limits = Limits(values=dict([STEPS[step]]))
    assert ran(tmp_path, *job("dump"), limits=limits).code == KILLED
    assert stores(tmp_path / "outputs/stores") == []
    goes_on(tmp_path, job, undisturbed[0])


@pytest.mark.parametrize(
    ("ending", "ks"), first(1, [(".wal", range(1)), (".wal", range(1, 4)), ("", range(4))])
)
def test_a_damaged_unfinished_store(
    job: Job, undisturbed: tuple[Content, float], tmp_path: Path, ending: str, ks: range
) -> None:
    steps = {"svt.store.writer.run_checks": die}
    folder = tmp_path / "outputs/stores"
    assert ran(tmp_path, *job("dump"), limits=Limits(values=steps)).code == KILLED
    left = {path: path.read_bytes() for path in folder.glob(".*.partial*")}
    (hurt,) = (path for path in left if path.name.endswith(f".partial{ending}"))
    for k in ks:
        for store in stores(folder):
            store.unlink()
        for path, whole in left.items():
            path.write_bytes(whole)
        hurt.write_bytes(damaged(left[hurt], k))
        first = ran(tmp_path, *job("dump"))
        if first.code:
            assert "was deleted; repeat the command" in first.message
            second = ran(tmp_path, *job("dump"))
            assert second.code == 0, second.message
        (store,) = stores(folder)
        assert content(store) == undisturbed[0]
