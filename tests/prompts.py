"""Random prompts for small checkpoints."""

import numpy as np

from svt.dataset.prompt import Prompt


def prompts_of(
    seed: int, n_prompts: int, lengths: tuple[int, int], d_vocab: int = 100
) -> tuple[Prompt, ...]:
    """Random tokens, lengths between the two; every prompt asks for an answer.

    From the third prompt on, in turn, two or three answers or distractors are asked for as well.
    """
    numbers = np.random.default_rng(seed)
    prompts = []
    for i in range(n_prompts):
        n = int(numbers.integers(lengths[0], lengths[1] + 1))
        tokens = tuple(int(token) for token in numbers.integers(d_vocab, size=n))
        answer, distractor = (int(token) for token in numbers.choice(d_vocab, 2, replace=False))
        more = [t % d_vocab for t in range(answer + 1, answer + 9) if t % d_vocab != distractor]
        answers, distractors = (answer, *more[: i // 2 % 3]), (distractor, *more[4 : 4 + i // 3])
        roles = {"end": n - 1}
        prompts.append(Prompt(i, "", tokens, (), roles, answers, distractors[:3]))
    return tuple(prompts)
