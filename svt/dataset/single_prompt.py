"""One prompt from the configuration: dataset=prompt.

The values are those of a row of a prompt file (prompt_file.py) and are checked like one. The only
role is `end`; trace.unlabelled selects how a graph shows the other tokens.
"""

from svt.config import SinglePromptConfig
from svt.dataset.prompt import Dataset
from svt.dataset.prompt_file import InvalidRow, make_prompt
from svt.dataset.table import drop_nulls
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

_KEYS = ("text", "answer", "distractor")


def make_single_prompt(config: SinglePromptConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompt with prompt_id 0; a DataError names the invalid value."""
    values = drop_nulls({key: getattr(config, key) for key in _KEYS})
    lists = {key: list(value) for key, value in values.items() if isinstance(value, tuple)}
    try:
        prompt = make_prompt(values | lists, 0, tokenizer)
    except InvalidRow as error:
        raise DataError(f"dataset=prompt: {error}") from None
    return Dataset((prompt,))
