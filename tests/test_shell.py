"""Commands for people to paste: the shell and Hydra read from them what was meant."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from svt.shell import override


@pytest.mark.parametrize(
    "path",
    [
        "outputs/imports/my circuit (1)", "it's", "a,b=[c]", "~/x", "$HOME/`x`!", 'say "x"',
        "back\\slash", "slash\\'quote", "end\\", "größe", "{x: y}", "${x}", "a\\${", "${'",
    ],
)  # fmt: skip
def test_any_path_comes_through_the_shell_and_hydra(path: str) -> None:
    (word,) = shlex.split(override("run.path", Path(path)))
    (read,) = OverridesParser.create().parse_overrides([word])
    composed = OmegaConf.create({read.key_or_group: read.value()})
    assert OmegaConf.to_container(composed, resolve=True) == {"run.path": path}


def test_quotes_only_where_needed() -> None:
    assert override("run.path", Path("outputs/a-1.0_b")) == "run.path=outputs/a-1.0_b"
    assert override("run.path", Path("a b")) == "\"run.path='a b'\""
