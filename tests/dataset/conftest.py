from pathlib import Path

import pytest

from svt.config import DatasetConfig
from svt.dataset import Tokenizer
from tests.dataset.samples import (
    KINDS,
    NAMES,
    OBJECTS,
    PLACES,
    RARE_NAMES,
    TEMPLATES,
    byte_level,
    few,
    word_level,
)


@pytest.fixture(scope="session", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer(KINDS[request.param]())


@pytest.fixture(scope="session")
def gpt2_like() -> Tokenizer:
    return Tokenizer(byte_level())


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    return Tokenizer(word_level())


@pytest.fixture
def config(tmp_path: Path) -> DatasetConfig:
    """The ioi dataset over the sample templates, names and nouns."""
    templates, names, nouns = (tmp_path / n for n in ("templates.txt", "names.txt", "nouns.yaml"))
    templates.write_text("# a comment\n\n" + "\n".join(TEMPLATES) + "\n")
    names.write_text("\n".join(NAMES + RARE_NAMES))
    nouns.write_text(f"place: [{', '.join(PLACES)}]\nobject: [{', '.join(OBJECTS)}]\n")
    return few(templates=str(templates), names=str(names), nouns=str(nouns))
