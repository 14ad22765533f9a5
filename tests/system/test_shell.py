"""Commands for people to paste: the shell and Hydra read from them what was meant."""

import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from svt.system.shell import find_command, format_override, python_command


@pytest.mark.parametrize(
    "path",
    [
        "outputs/imports/my circuit (1)", "it's", "a,b=[c]", "~/x", "$HOME/`x`!", 'say "x"',
        "back\\slash", "slash\\'quote", "end\\", "größe", "{x: y}", "${x}", "a\\${", "${'",
    ],
)  # fmt: skip
def test_any_path_comes_through_the_shell_and_hydra(path: str) -> None:
    (word,) = shlex.split(format_override("run.path", Path(path)))
    (read,) = OverridesParser.create().parse_overrides([word])
    composed = OmegaConf.create({read.key_or_group: read.value()})
    assert OmegaConf.to_container(composed, resolve=True) == {"run.path": path}


def test_a_python_command_starts_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(folder))
    assert shlex.split(python_command()) == [sys.executable]
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    assert python_command() == "python"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(python_command()) == [str(folder / "python")]


def test_quotes_only_where_needed() -> None:
    assert format_override("run.path", Path("outputs/a-1.0_b")) == "run.path=outputs/a-1.0_b"
    assert format_override("run.path", Path("a b")) == "\"run.path='a b'\""


def test_a_command_is_written_as_it_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "a b" / "bin"
    scripts.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    assert find_command("svt") == "svt"  # there is no script beside this Python
    (scripts / "svt").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(find_command("svt")) == [str(scripts / "svt")]
    monkeypatch.chdir(tmp_path)
    assert find_command("svt") == "'a b/bin/svt'"
    monkeypatch.setenv("PATH", str(scripts))
    assert find_command("svt") == "svt"
