"""One prompt out of the configuration: dataset=prompt.

The values are those of a row of a prompt file (prompt_file.py) and are checked like one. Its roles
are `end` alone, so trace.unlabelled says where its other tokens stand in a graph.
"""

from svt.config import SinglePromptConfig
from svt.dataset.prompt import Dataset
from svt.dataset.prompt_file import Wrong, make_prompt
from svt.dataset.table import given
from svt.dataset.tokenizer import Tokenizer
from svt.errors import SvtError

_KEYS = ("text", "answer", "distractor")


def single_prompt(config: SinglePromptConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompt, number 0; SvtError says which of its values cannot be."""
    values = given({key: getattr(config, key) for key in _KEYS})
    lists = {key: list(value) for key, value in values.items() if isinstance(value, tuple)}
    try:
        prompt = make_prompt(values | lists, 0, tokenizer)
    except Wrong as wrong:
        raise SvtError(f"dataset=prompt: {wrong}") from None
    return Dataset((prompt,))
