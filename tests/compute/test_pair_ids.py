"""Numbers of pairs: refused where 64 bits do not hold them."""

from dataclasses import replace
from pathlib import Path

import pytest

from svt.compute.pairs import check_pair_ids
from svt.errors import SvtError
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, prompts_of


def test_pairs_that_64_bits_cannot_number_are_refused(tmp_path: Path) -> None:
    model = replace(loaded(tiny_gpt2(tmp_path)), n_ctx=2**20)  # 3 layers of 4 heads
    (prompt,) = prompts_of(0, n_prompts=1, lengths=(3, 3))
    last = 2**63 // (12 * 2**40) - 1
    check_pair_ids(model, [replace(prompt, prompt_id=last)])
    with pytest.raises(SvtError, match=f"prompt_id {last + 1}: .* 64 bits"):
        check_pair_ids(model, [replace(prompt, prompt_id=last + 1)])
