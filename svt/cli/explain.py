"""Explain errors of libraries to users of the command line."""

from textwrap import shorten
from traceback import walk_tb

import duckdb
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from svt.errors import SvtError, suggestion
from svt.system.text import first_line

_LAUNCHERS = ("joblib.", "submitit.", "ray.")  # they raise errors about processes that died
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # in torch's errors
_HYDRA_ADVICE = ("full_key:", "object_type=", "Set the environment")

_HOW_TO_WRITE = (
    "write key=value, and quote a value with spaces, commas or brackets: "
    """"trace.roots=[[9,6]]", "dataset.text='Hi, you'\""""
)


def explain_refusal(error: Exception) -> str | None:
    """Return the message for an error of Hydra or a launcher, None for a defect of svt."""
    if isinstance(error, HydraException | OmegaConfBaseException | OSError):
        return to_one_line(error)
    if isinstance(error, ValueError | TypeError) and _is_hydra_error(error):
        return f"{to_one_line(error)}; a group is chosen by a name (model=ioi-mini); see svt --help"
    if type(error).__module__.startswith(_LAUNCHERS):
        return f"the process of a job died ({first_line(error)}); what was finished is kept"
    return None


def explain_error(error: Exception) -> str | None:
    """Return the message for an error that stopped the stages, None for a defect of svt."""
    if isinstance(error, SvtError):
        return str(error)
    if isinstance(error, duckdb.Error | OSError):
        return f"{to_one_line(error)} ({type(error).__name__}); what was finished is kept"
    no_memory = any(word in str(error) for word in _OUT_OF_MEMORY)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and no_memory):
        return (
            f"out of memory ({shorten(to_one_line(error), 200)}); lower dump.batch_size or "
            "dump.memory_gb, for interventions intervene.batch_size; what was finished is kept"
        )
    return None


def _is_hydra_error(error: BaseException) -> bool:
    """Return whether Hydra itself raised the error."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith(("hydra", "omegaconf"))


def is_interruption(error: BaseException) -> bool:
    """Return whether Ctrl-C caused the error, also inside a statement of DuckDB."""
    if isinstance(error, KeyboardInterrupt | duckdb.InterruptException):
        return True
    return "Query interrupted" in str(error)


def to_one_line(error: BaseException) -> str:
    """Return a library's message on one line, without Hydra's advice, which does not apply here."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(_HYDRA_ADVICE))
    if isinstance(error, OverrideParseException):
        text = f"{error.override}: {_HOW_TO_WRITE}"
    elif text.startswith("Ambiguous value for argument"):
        text = f"{text.split(chr(39))[1]}: more than one value; {_HOW_TO_WRITE}, or sweep: svt -m"
    unknown = error.__cause__
    if isinstance(unknown, ConfigKeyError | ConfigAttributeError):
        known = ", ".join(str(key) for key in unknown.parent_node or () if key != "hydra")
        near = suggestion(str(unknown.key), unknown.parent_node or ())
        text = f"unknown key {unknown.full_key}; known here: {known}{near}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, name = error.missing_cfg_file.rpartition("/")
        options = error.options or ()
        near = suggestion(name, options)
        text = f"{group}={name}: no such choice; known: {', '.join(options)}{near}"
    return text or type(error).__name__
