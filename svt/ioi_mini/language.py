"""The language of ioi-mini: small scenes in which the receiver of a gift must be worked out.

1. A *pattern* is a sentence or two with slots: `{A} {B} {C}` are names, `[A]` is a name that follows from
   what was said before (an answer), `{place}` and `{object}` are nouns.
2. Every kind of scene obeys one rule: what comes after "to" or "by" is the name of the scene that was said
   exactly once. The kinds differ in everything else (who comes first, how many people there are, whether
   the receiver is known before or after the subject is repeated), so no shortcut solves all of them.
3. A document is a chain of scenes. Some names are taken over from earlier scenes, so the names outside
   the present scene distract.
4. Two names whose numbers add up to a multiple of ten never share a training document: those pairs are
   held out for the evaluation.
5. Every word and every punctuation mark is one token, so all slots are single tokens.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from svt.paths import conf_dir

UNKNOWN, END = "<unk>", "<end>"
NAME_SLOTS = ("{A}", "{B}", "{C}", "{D}", "{E}", "{F}")
SLOTS = (*NAME_SLOTS, "{place}", "{object}", "{object2}")
HOLD_OUT_EVERY = 10

RECALL = """
This morning {A} had a {object} and {B} had a {object2}. Later {A} sold the [object].
This morning {A} had a {object} and {B} had a {object2}. Later {B} sold the [object2].
The friends {A}, {B} and {C} worked at the {place}. Afterwards {A}, [B] and [C] had lunch.
"""
PLAIN = """
Yesterday {A} was at the {place}.
Then {A} saw {B} at the {place}.
Today {A} and {B} had lunch.
Last week {A} sold a {object} at the {place}.
On Sunday {A} came back from the {place} with a {object}.
In the evening the {place} was quiet, and {A} was alone.
"""
JOINTS = (", and ", ", where ", ", so ", ". Later ", ". There ", ". Afterwards ")
ALONE = ("{x} came", "{x} was waiting", "{x} had lunch", "{x} worked")
TOGETHER = ("{x} saw {y}", "{x} and {y} met", "{x} left {y}", "{x} and {y} sat there")
COMPANY = ("{x}, seeing {y} there,", "{x} saw {y} and")
PASSIVE = "a {object} was given to {x} by [A]."
PAIRS = ("{x} and {y} met", "{x} and {y} sat there", "{x} and {y} had lunch", "{x} saw {y}")
SHARES = {"giving": 0.25, "free": 0.62, "recall": 0.05, "plain": 0.08}
N_FREE = 3000
REUSE = 0.4


@dataclass(frozen=True)
class Prompt:
    """A sentence cut where the receiver's name comes next, with the positions that matter."""

    ids: list[int]
    template: int
    io: int
    s1: int
    s2: int

    @property
    def answer(self) -> int:
        return self.ids[self.io]

    @property
    def subject(self) -> int:
        return self.ids[self.s1]


@dataclass(frozen=True)
class Pattern:
    """Token ids, slots numbered on from the vocabulary's end, and which tokens are answers."""

    ids: np.ndarray
    answers: np.ndarray
    n_names: int


def lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def words(text: str) -> list[str]:
    return re.findall(r"[\[{]\w+[\]}]|\w+|[^\w\s]", text)


def orders(pattern: str) -> Iterator[str]:
    """The same scene with the first mentions of its names in every order (ABBA and BABA for two names)."""
    names = sorted(set(re.findall(r"\{[A-F]\}", pattern)))
    for order in itertools.permutations(names):
        swap = dict(zip(names, order, strict=True))
        first = iter(range(len(names)))
        yield re.sub(
            r"\{[A-F]\}",
            lambda m: swap[m[0]] if next(first, None) is not None else m[0],
            pattern,
        )


def free_scene(rng: random.Random, template: str) -> str:
    """A template grown by random clauses: all but {A} are said at least twice, in any order."""
    at = template.rindex("{B}")
    opening, tail = template[:at], template[at:]
    others = list(NAME_SLOTS[1 : rng.choices((2, 3, 4), (2, 5, 3))[0]])
    mentions = ["{A}", *others, *others, *rng.sample(others, rng.random() < 0.3)]
    rng.shuffle(mentions)
    while mentions[0] == mentions[1] or ("{A}" in mentions[:2] and rng.random() < 0.5):
        rng.shuffle(mentions)
    pair, rest = mentions[:2], mentions[2:]
    giver = next(m for m in rest if m != "{A}")
    rest.remove(giver)
    company = [m for m in rest if m != giver]
    if "{A}" in company and rng.random() < 0.5:
        company = ["{A}"]
    subject = giver
    if company and rng.random() < 0.7:
        rest.remove(company[-1])
        subject = rng.choice(COMPANY).format(x=giver, y=company[-1])
    text = opening.format(A=pair[0], B=pair[1], place="{place}")
    while rest:
        x = rest.pop(0)
        if rest and rest[0] != x and rng.random() < 0.5:
            text += rng.choice(TOGETHER).format(x=x, y=rest.pop(0))
        else:
            text += rng.choice(ALONE).format(x=x)
        text += rng.choice(JOINTS)
    if subject == giver and rng.random() < 0.2:
        return text + PASSIVE.format(x=giver, object="{object}")
    return text + tail.replace("{B}", subject) + " [A]."


def pairs_scene(rng: random.Random, template: str) -> str:
    """A template with two or three couples: the receiver is the one who came with the giver."""
    at = template.rindex("{B}")
    opening, tail = template[:at], template[at:]
    pairs = [rng.sample(NAME_SLOTS[i : i + 2], 2) for i in (0, 2, 4)[: rng.choice((2, 3))]]
    others = [name for pair in pairs[1:] for name in pair]
    rng.shuffle(pairs)
    text = opening.format(A=pairs[0][0], B=pairs[0][1], place="{place}")
    for x, y in pairs[1:]:
        text += rng.choice(PAIRS).format(x=x, y=y) + rng.choice(JOINTS)
    while rng.random() < 0.3:
        text += rng.choice(ALONE).format(x=rng.choice(others)) + rng.choice(JOINTS)
    subject = "{B}"
    if rng.random() < 0.3:
        subject = rng.choice(COMPANY).format(x="{B}", y=rng.choice(others))
    return text + tail.replace("{B}", subject) + " [A]."


class Language:
    """Patterns, words and names, read from conf/dataset/ioi and from the scenes above."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or conf_dir() / "dataset" / "ioi"
        read = lambda name: (folder / name).read_text(encoding="utf-8")  # noqa: E731
        nouns = yaml.safe_load(read("nouns.yaml"))
        self.names = lines(read("names.txt"))
        self.places: list[str] = nouns["place"]
        self.objects: list[str] = nouns["object"]
        self.templates = [re.sub("[<>]", "", line) for line in lines(read("templates.txt"))]
        rng = random.Random(N_FREE)
        self.scenes = {
            "giving": [o for t in self.templates for o in orders(f"{t} [A].")],
            "free": [
                free_scene(rng, rng.choice(self.templates)) for _ in range(N_FREE)
            ],
            "pairs": [pairs_scene(rng, rng.choice(self.templates)) for _ in range(N_FREE)],
            "recall": lines(RECALL),
            "plain": lines(PLAIN),
        }
        said = {w for scenes in self.scenes.values() for s in scenes for w in words(s)}
        plain = sorted(w for w in said if w[0] not in "[{")
        self.vocabulary = [UNKNOWN, END, *plain, *self.names, *self.places, *self.objects]
        self.vocabulary = list(dict.fromkeys(self.vocabulary))
        self.index = {word: i for i, word in enumerate(self.vocabulary)}

    @cached_property
    def patterns(self) -> dict[str, list[Pattern]]:
        return {kind: [self._pattern(s) for s in scenes] for kind, scenes in self.scenes.items()}

    def _pattern(self, sentence: str) -> Pattern:
        slot = {s: len(self.vocabulary) + i for i, s in enumerate(SLOTS)}
        tokens = words(sentence)
        plain = [re.sub(r"\[(\w+)\]", r"{\1}", w) for w in tokens]
        ids = np.array([slot[w] if w in slot else self.index[w] for w in plain])
        n_names = len({w for w in plain if w in NAME_SLOTS})
        return Pattern(ids, np.array([w.startswith("[") for w in tokens]), n_names)

    def held_out(self, a: int, b: int) -> bool:
        """Whether the names numbered a and b are kept from sharing a training document."""
        return (a + b) % HOLD_OUT_EVERY == 0

    def document(self, rng: random.Random, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and answer marks of scene after scene, cut at `length` tokens."""
        kinds, shares = list(SHARES), list(SHARES.values())
        filled = np.arange(len(self.vocabulary) + len(SLOTS))
        known: list[int] = []
        ids: list[np.ndarray] = []
        answers: list[np.ndarray] = []
        n_tokens = 0
        while n_tokens < length:
            pattern = rng.choice(self.patterns[rng.choices(kinds, shares)[0]])
            filled[len(self.vocabulary) :] = self._fillers(rng, known, pattern.n_names)
            ids.append(filled[pattern.ids])
            answers.append(pattern.answers)
            n_tokens += len(pattern.ids)
        return np.concatenate(ids)[:length], np.concatenate(answers)[:length]

    def _fillers(self, rng: random.Random, known: list[int], n_names: int) -> list[int]:
        """Ids for SLOTS; new names are added to `known`, the names of the document so far."""
        scene: list[int] = []
        earlier = list(known)
        while len(scene) < n_names:
            reuse = earlier and rng.random() < REUSE
            name = rng.choice(earlier) if reuse else rng.randrange(len(self.names))
            fresh = name not in known and not any(self.held_out(name, k) for k in known)
            if name not in scene and (reuse or fresh):
                scene.append(name)
                known += [name] if fresh else []
        nouns = [rng.choice(self.places), *rng.sample(self.objects, 2)]
        names = [self.index[self.names[n]] for n in scene] + [0] * (len(NAME_SLOTS) - n_names)
        return names + [self.index[noun] for noun in nouns]

    def batch(
        self, rng: random.Random, size: int, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(size, length) token ids and answer marks."""
        ids, answers = zip(*(self.document(rng, length) for _ in range(size)), strict=True)
        return np.stack(ids), np.stack(answers)

    def held_out_prompts(self, seed: int, per_template: int) -> list[Prompt]:
        """Bare prompts, both orders of every template, with pairs of names no document contains."""
        rng = random.Random(seed)
        pairs = [p for p in itertools.permutations(range(len(self.names)), 2) if self.held_out(*p)]
        prompts: list[Prompt] = []
        for template, sentence in enumerate(self.templates):
            for order in orders(sentence):
                for a, b in rng.choices(pairs, k=per_template // 2):
                    prompts.append(self._prompt(rng, template, order, a, b))
        return prompts

    def _prompt(self, rng: random.Random, template: int, sentence: str, a: int, b: int) -> Prompt:
        tokens = words(sentence)
        s1, s2 = (i for i, w in enumerate(tokens) if w == "{B}")
        said = {
            "{A}": self.names[a],
            "{B}": self.names[b],
            "{place}": rng.choice(self.places),
            "{object}": rng.choice(self.objects),
        }
        ids = [self.index[said.get(w, w)] for w in tokens]
        return Prompt(ids, template, tokens.index("{A}"), s1, s2)

    def tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer(models.WordLevel(self.index, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
        tokenizer.add_special_tokens([UNKNOWN, END])
        return tokenizer

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer().decode(list(ids))
