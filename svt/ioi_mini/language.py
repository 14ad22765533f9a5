"""The language of ioi-mini: short scenes whose receiver of a gift can be inferred.

1. A pattern is one or two sentences with slots: `{A}` to `{D}` are names, `[A]` is a name that the
   text before it determines (an answer), `{place}` and `{object}` are nouns. Every word,
   punctuation mark and filled slot is one token.
2. `giving` scenes are the templates of conf/dataset/ioi in both orders. `crowd` and `company`
   scenes extend a template by random clauses with up to four people. In all of them, the receiver
   is the one person who is named exactly once. In a `company` scene another name, often the
   receiver's, may follow the giver's, so that the last name is not informative.
3. `recall` and `plain` sentences are the other sentences of the language.
4. A document is a sequence of scenes, truncated to a length. Some names are reused from earlier
   scenes, so that a name that occurs once in its scene may occur more often in the document.
5. Two names whose numbers add up to a multiple of ten never share a training document: these pairs
   are held out for the evaluation.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
import numpy.typing as npt
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from svt.paths import conf_dir

UNKNOWN, END = "<unk>", "<end>"
NAMES = ("{A}", "{B}", "{C}", "{D}")
SLOTS = (*NAMES, "{place}", "{object}", "{object2}")
HELD_OUT_EVERY = 10
REUSE = 0.4
N_EXTENDED = 3000

SIMPLE = {"giving": 0.45, "crowd": 0.4, "recall": 0.05, "plain": 0.1}
FULL = {"giving": 0.25, "company": 0.62, "recall": 0.05, "plain": 0.08}
NO_GIVING = {"recall": 0.3, "plain": 0.7}

JOINTS = (", and ", ", where ", ", so ", ". Later ", ". There ", ". Afterwards ")
ALONE = ("{x} came", "{x} was waiting", "{x} had lunch", "{x} worked")
TOGETHER = ("{x} saw {y}", "{x} and {y} met", "{x} left {y}", "{x} and {y} sat there")
COMPANY = ("{x}, seeing {y} there,", "{x} saw {y} and")
PASSIVE = "a {object} was given to {x} by [A]."
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
While {A} was waiting at the {place}, {B} had lunch.
Because the {place} was quiet, {A} often worked there.
Once {A} had arrived at the {place}, {B} turned and left.
"""

Ids = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pattern:
    """Token ids, with ids of slots above the vocabulary, and which tokens are answers."""

    ids: Ids
    answers: Marks
    n_names: int


@dataclass(frozen=True)
class Prompt:
    """A sentence up to the receiver's name, with the positions of names."""

    ids: list[int]
    io: int
    s1: int
    s2: int

    @property
    def answer(self) -> int:
        return self.ids[self.io]

    @property
    def subject(self) -> int:
        return self.ids[self.s1]


def read_lines(text: str) -> list[str]:
    """Return the stripped lines that are neither blank nor a comment (#)."""
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def split_words(text: str) -> list[str]:
    """Return the words, punctuation marks and slots of a text."""
    return re.findall(r"[\[{]\w+[\]}]|\w+|[^\w\s]", text)


def make_orders(template: str) -> tuple[str, str]:
    """Return the template and its copy with the first two names swapped: ABBA and BABA."""
    a, b = template.index("{A}"), template.index("{B}")
    return template, f"{template[:a]}{{B}}{template[a + 3 : b]}{{A}}{template[b + 3 :]}"


def extend_template(rng: random.Random, template: str, company: bool) -> str:
    """Return a template with added clauses; all names but {A} occur at least twice."""
    at = template.rindex("{B}")
    opening, gift = template[:at], template[at:]
    others = list(NAMES[1 : rng.choices((2, 3, 4), (2, 5, 3))[0]])
    mentions = ["{A}", *others, *others, *rng.sample(others, int(rng.random() < 0.3))]
    rng.shuffle(mentions)
    while mentions[0] == mentions[1] or ("{A}" in mentions[:2] and rng.random() < 0.5):
        rng.shuffle(mentions)
    (first, second), rest = mentions[:2], mentions[2:]
    giver = next(name for name in rest if name != "{A}")
    rest.remove(giver)
    subject = giver
    companions = [name for name in rest if name != giver]
    if company and companions and rng.random() < 0.7:
        companion = "{A}" if "{A}" in companions and rng.random() < 0.5 else companions[-1]
        rest.remove(companion)
        subject = rng.choice(COMPANY).format(x=giver, y=companion)
    text = opening.format(A=first, B=second, place="{place}")
    while rest:
        x = rest.pop(0)
        if rest and rest[0] != x and rng.random() < 0.5:
            text += rng.choice(TOGETHER).format(x=x, y=rest.pop(0))
        else:
            text += rng.choice(ALONE).format(x=x)
        text += rng.choice(JOINTS)
    if subject == giver and rng.random() < 0.2:
        return text + PASSIVE.format(x=giver, object="{object}")
    return text + gift.replace("{B}", subject) + " [A]."


class Language:
    """Vocabulary, scenes and documents, from the files of conf/dataset/ioi and the texts above."""

    def __init__(self) -> None:
        folder = conf_dir() / "dataset" / "ioi"
        nouns = yaml.safe_load((folder / "nouns.yaml").read_text(encoding="utf-8"))
        self.names = read_lines((folder / "names.txt").read_text(encoding="utf-8"))
        self.places: list[str] = nouns["place"]
        self.objects: list[str] = nouns["object"]
        templates = read_lines((folder / "templates.txt").read_text(encoding="utf-8"))
        self.templates = [re.sub("[<>]", "", template) for template in templates]
        rng = random.Random(N_EXTENDED)

        def extend(company: bool) -> list[str]:
            scenes = range(N_EXTENDED)
            return [extend_template(rng, rng.choice(self.templates), company) for _ in scenes]

        self.scenes = {
            "giving": [f"{order} [A]." for t in self.templates for order in make_orders(t)],
            "crowd": extend(False),
            "company": extend(True),
            "recall": read_lines(RECALL),
            "plain": read_lines(PLAIN),
        }
        used = {w for scenes in self.scenes.values() for s in scenes for w in split_words(s)}
        common = sorted(w for w in used if w[0] not in "[{")
        everything = [UNKNOWN, END, *common, *self.names, *self.places, *self.objects]
        self.vocabulary = list(dict.fromkeys(everything))
        self.index = {word: i for i, word in enumerate(self.vocabulary)}

    @cached_property
    def patterns(self) -> dict[str, list[Pattern]]:
        return {kind: [self._parse(s) for s in scenes] for kind, scenes in self.scenes.items()}

    def _parse(self, sentence: str) -> Pattern:
        slots = {slot: len(self.vocabulary) + i for i, slot in enumerate(SLOTS)}
        tokens = split_words(sentence)
        plain = [w.replace("[", "{").replace("]", "}") for w in tokens]
        ids = np.array([slots[w] if w in slots else self.index[w] for w in plain])
        answers = np.array([w[0] == "[" for w in tokens])
        return Pattern(ids, answers, len({*plain}.intersection(NAMES)))

    def is_held_out(self, a: int, b: int) -> bool:
        """Return whether the names numbered a and b never share a training document."""
        return (a + b) % HELD_OUT_EVERY == 0

    def make_document(
        self, rng: random.Random, length: int, shares: Mapping[str, float]
    ) -> tuple[Ids, Marks]:
        """Return token ids and answer marks of scenes, of `length` tokens or more."""
        kinds, weights = list(shares), list(shares.values())
        filled = np.arange(len(self.vocabulary) + len(SLOTS))
        known: list[int] = []
        ids: list[Ids] = []
        answers: list[Marks] = []
        while sum(map(len, ids)) < length:
            pattern = rng.choice(self.patterns[rng.choices(kinds, weights)[0]])
            filled[len(self.vocabulary) :] = self._draw_fillers(rng, known, pattern.n_names)
            ids.append(filled[pattern.ids])
            answers.append(pattern.answers)
        return np.concatenate(ids), np.concatenate(answers)

    def _draw_fillers(self, rng: random.Random, known: list[int], n_names: int) -> list[int]:
        """Return ids for SLOTS; new names are added to `known`, the names in the document."""
        scene: list[int] = []
        earlier = list(known)
        while len(scene) < n_names:
            reused = bool(earlier) and rng.random() < REUSE
            name = rng.choice(earlier) if reused else rng.randrange(len(self.names))
            fresh = name not in known and not any(self.is_held_out(name, k) for k in known)
            if name not in scene and (reused or fresh):
                scene.append(name)
                known += [name] if fresh else []
        names = [self.index[self.names[n]] for n in scene] + [0] * (len(NAMES) - n_names)
        nouns = [rng.choice(self.places), *rng.sample(self.objects, 2)]
        return names + [self.index[noun] for noun in nouns]

    def make_batch(
        self, rng: random.Random, size: int, length: int, shares: Mapping[str, float]
    ) -> tuple[Ids, Marks]:
        """Return (size, length) token ids and answer marks of truncated documents."""
        documents = [self.make_document(rng, length, shares) for _ in range(size)]
        ids, answers = zip(*documents, strict=True)
        return np.stack([i[:length] for i in ids]), np.stack([a[:length] for a in answers])

    def make_held_out_prompts(self, seed: int, per_order: int) -> list[Prompt]:
        """Return prompts of both orders of every template with held-out pairs of names."""
        rng = random.Random(seed)
        numbers = range(len(self.names))
        pairs = [pair for pair in permutations(numbers, 2) if self.is_held_out(*pair)]
        return [
            self._make_prompt(rng, order, pair)
            for template in self.templates
            for order in make_orders(template)
            for pair in rng.choices(pairs, k=per_order)
        ]

    def _make_prompt(self, rng: random.Random, sentence: str, pair: tuple[int, int]) -> Prompt:
        tokens = split_words(sentence)
        s1, s2 = (i for i, w in enumerate(tokens) if w == "{B}")
        fillers = {
            "{A}": self.names[pair[0]],
            "{B}": self.names[pair[1]],
            "{place}": rng.choice(self.places),
            "{object}": rng.choice(self.objects),
        }
        ids = [self.index[fillers.get(w, w)] for w in tokens]
        return Prompt(ids, tokens.index("{A}"), s1, s2)

    def make_tokenizer(self) -> Tokenizer:
        """Return the tokenizer of the vocabulary, one token per word or mark."""
        tokenizer = Tokenizer(models.WordLevel(self.index, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
        tokenizer.add_special_tokens([UNKNOWN, END])
        return tokenizer

    def make_texts(self, seed: int, count: int, length: int) -> list[str]:
        """Return documents of at least `length` tokens without gifts."""
        rng = random.Random(seed)
        tokenizer = self.make_tokenizer()
        documents = (self.make_document(rng, length, NO_GIVING)[0] for _ in range(count))
        return [tokenizer.decode(ids.tolist()) for ids in documents]
