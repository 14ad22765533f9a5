"""Generated prompts of ioi: roles by token texts, seeds, counts, and invalid files."""

import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svt.config import DATASETS, DatasetConfig
from svt.dataset import Prompt, Tokenizer, load_prompts
from svt.errors import SvtError
from svt.paths import conf_dir
from svt.system.memory import Limits
from tests.dataset.samples import NAMES, RARE_NAMES, TEMPLATES, few
from tests.marks import examples

ORDERS = {"ABBA": ("IO", "S1", "S2"), "BABA": ("S1", "IO", "S2")}


def word_at(prompt: Prompt, role: str) -> str:
    return prompt.token_texts[prompt.roles[role]].strip()


@pytest.mark.parametrize("pattern", ["ABBA", "BABA"])
def test_roles_of_every_template_in_every_kind_of_tokens(
    config: DatasetConfig, tokenizer: Tokenizer, pattern: str
) -> None:
    prompts = load_prompts(replace(config, pattern=pattern), tokenizer).prompts
    assert Counter(p.template for p in prompts) == dict.fromkeys(TEMPLATES, 8)
    for prompt in prompts:
        assert list(prompt.tokens) == tokenizer.encode(prompt.text)
        assert prompt.pattern == pattern
        io, subject = (t.strip() for t in (*prompt.answer_texts, *prompt.distractor_texts))
        names = dict(zip(("IO", "S1", "S2"), (io, subject, subject), strict=True))
        words = [(word_at(prompt, role), prompt.roles[role]) for role in ORDERS[pattern]]
        assert [word for word, _ in words] == [names[role] for role in ORDERS[pattern]]
        assert [pos for _, pos in words] == sorted({pos for _, pos in words})
        # the names' tokens are nowhere else, and the one that follows the text is the answer
        assert prompt.tokens.count(*prompt.answer) == 1
        assert prompt.tokens.count(*prompt.distractor) == 2
        assert tokenizer.encode(f"{prompt.text} {io}") == [*prompt.tokens, *prompt.answer]
        verb = re.search("<(.*)>", prompt.template)[1]
        before = tokenizer.decode(prompt.tokens[: prompt.roles["verb"]])
        assert verb.startswith(word_at(prompt, "verb"))
        assert before.replace(" ", "") == prompt.text[: prompt.text.index(verb)].replace(" ", "")
        at = prompt.roles
        assert at["end"] == len(prompt.tokens) - 1
        assert at["end-1"] == at["end"] - 1
        assert (at["IO-1"], at["IO+1"]) == (at["IO"] - 1, at["IO"] + 1)
        assert (at["S1-1"], at["S1+1"], at["S2-1"]) == (at["S1"] - 1, at["S1"] + 1, at["S2"] - 1)
        assert set(at.values()) <= set(range(len(prompt.tokens)))


def test_one_prompt_in_full(words: Tokenizer, tmp_path: Path) -> None:
    for name, text in (
        ("templates", "When {A} and {B} went to the {place}, {B} <gave> a ring to"),
        ("names", "Mary\nJohn"),
        ("nouns", "place: [store]"),
    ):
        (tmp_path / name).write_text(text)
    files = {name: str(tmp_path / name) for name in ("templates", "names", "nouns")}
    config = few(**files, n_prompts=4)
    prompts = {p.text: p for p in load_prompts(config, words).prompts}
    assert sorted(prompts) == [
        "When John and Mary went to the store, John gave a ring to",
        "When John and Mary went to the store, Mary gave a ring to",
        "When Mary and John went to the store, John gave a ring to",
        "When Mary and John went to the store, Mary gave a ring to",
    ]
    # When Mary and John went to the store , Mary gave a ring to
    #    0    1   2    3    4  5   6     7 8    9   10 1    2  3
    prompt = prompts["When Mary and John went to the store, Mary gave a ring to"]
    assert (prompt.pattern, prompt.answer_texts, prompt.distractor_texts) == (
        "BABA",
        ("John",),
        ("Mary",),
    )
    assert prompt.roles == {
        "end": 13,
        "IO": 3,
        "S1": 1,
        "S2": 9,
        "S1+1": 2,
        "verb": 10,
        "end-1": 12,
        "IO-1": 2,
        "IO+1": 4,
        "S1-1": 0,
        "S2-1": 8,
    }


def test_templates_of_another_code_give_the_same_texts(tmp_path: Path, words: Tokenizer) -> None:
    """By the recipe of conf/dataset/ioi/templates.txt; ABBA and BABA as both codes have them."""
    theirs = "Here [A] and [B] stood. So [B] offered a [OBJECT] of the [PLACE] to [A]"
    ours = theirs.replace("[", "{").replace("]", "}").removesuffix(" {A}")
    files = {"templates": ours.replace("offered", "<offered>"), "names": "Mary\nJohn"}
    files["nouns"] = "PLACE: [store]\nOBJECT: [ring]"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in files}
    wanted = set()
    for a, b in (("Mary", "John"), ("John", "Mary")):
        for first, second in ((a, b), (b, a)):
            text = theirs.replace("[A] and [B]", f"{first} and {second}")
            for slot, word in {"[A]": a, "[B]": b, "[PLACE]": "store", "[OBJECT]": "ring"}.items():
                text = text.replace(slot, word)
            wanted.add(text)
    prompts = load_prompts(few(**paths, n_prompts=4), words).prompts
    assert {f"{p.text} {p.answer_texts[0]}" for p in prompts} == wanted


def test_names_of_more_tokens_are_left_out_with_a_count(
    config: DatasetConfig, tokenizer: Tokenizer
) -> None:
    dataset = load_prompts(config, tokenizer)
    assert dataset.notes[0] == (
        "2 of 8 names left out, not one token of this model: Xqzwvyk, Anna-Maria"
    )
    used = {p.answer_texts[0].strip() for p in dataset.prompts}
    assert used <= set(NAMES)
    assert not used & set(RARE_NAMES)


def test_unknown_nouns_are_left_out_but_long_nouns_stay(
    config: DatasetConfig, words: Tokenizer, gpt2_like: Tokenizer
) -> None:
    dataset = load_prompts(config, words)
    left_out = "1 of 3 nouns (object) left out, unknown to this model's tokenizer: qxvz"
    assert dataset.notes[1:] == (left_out,)
    texts = [p.text for p in dataset.prompts]
    assert any("old mill" in text for text in texts)
    assert not any("qxvz" in text for text in texts)
    assert any("qxvz" in p.text for p in load_prompts(config, gpt2_like).prompts)


def test_leading_spaces_belong_to_tokens_as_in_the_tokenizer(
    config: DatasetConfig, words: Tokenizer, gpt2_like: Tokenizer
) -> None:
    assert load_prompts(config, gpt2_like).prompts[0].answer_texts[0][0] == " "
    assert load_prompts(config, words).prompts[0].answer_texts[0][0] != " "


def test_mixed_is_half_and_half_and_all_prompts_differ(
    config: DatasetConfig, tokenizer: Tokenizer
) -> None:
    prompts = load_prompts(replace(config, n_prompts=90), tokenizer).prompts
    assert len({p.text for p in prompts}) == 90
    each = Counter((p.template, p.pattern) for p in prompts)
    assert each == {(template, pattern): 15 for template in TEMPLATES for pattern in ORDERS}


def test_a_seed_makes_the_prompts_and_more_keep_the_first(
    config: DatasetConfig, gpt2_like: Tokenizer
) -> None:
    prompts = load_prompts(config, gpt2_like).prompts
    assert prompts == load_prompts(config, gpt2_like).prompts
    assert prompts == load_prompts(replace(config, n_prompts=60), gpt2_like).prompts[:24]
    assert prompts != load_prompts(replace(config, seed=1), gpt2_like).prompts


def test_all_distinct_prompts_and_not_one_more(config: DatasetConfig, gpt2_like: Tokenizer) -> None:
    # template 3 has no nouns: 6 * 5 pairs of names; it is turn 2 of 3, so prompt 30 * 3 + 2 = 92
    # is the first it cannot make
    config = replace(config, pattern="ABBA", n_prompts=92)
    assert len({p.text for p in load_prompts(config, gpt2_like).prompts}) == 92
    with pytest.raises(SvtError, match=r"n_prompts=93: only 92 distinct prompts"):
        load_prompts(replace(config, n_prompts=93), gpt2_like)


def test_more_prompts_than_memory_holds_are_refused_at_once(
    config: DatasetConfig, gpt2_like: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svt.dataset.draw.read_limits", lambda: Limits(24 * 1500, 0))
    assert len(load_prompts(replace(config, n_prompts=24), gpt2_like).prompts) == 24
    message = r"n_prompts=25: the prompts alone take at least 0\.0 GB; .* in all; set fewer"
    with pytest.raises(SvtError, match=message):
        load_prompts(replace(config, n_prompts=25), gpt2_like)


def test_shipped_files_make_prompts_for_their_own_words() -> None:
    from svt.ioi_mini.language import Language

    dataset = load_prompts(few(n_prompts=256), Tokenizer(Language().make_tokenizer()))
    assert dataset.notes == ()
    assert len({p.text for p in dataset.prompts}) == 256
    assert len({p.template for p in dataset.prompts}) == 15
    assert Counter(p.pattern for p in dataset.prompts) == {"ABBA": 128, "BABA": 128}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("When they left, he <gave> it to", "in this order, not none"),
        (
            "When {B} left, {B} <gave> it to",
            "slots must be {A}, {B}, {B} in this order, not {B}, {B}",
        ),
        ("So {B} and {A} left, {B} <gave> it to", "not {B}, {A}, {B}"),
        ("When {A} and {B} left, {B} gave it to", "there must be 1 verbs in <...>, not 0"),
        ("When {A} and {B} <left>, {B} <gave> it to", "there must be 1 verbs in <...>, not 2"),
        ("When {A} and {B} left, {B} <> it to", "the verb in <...> is empty"),
        ("When {A} and {B} left, {B} < gave> it to", "spaces around it"),
        ("When {A} and {B} saw {it}, {B} <gave> it to", "unknown placeholder {it}; "),
        ("When {A} and {B} saw {, {B} <gave> it to", "has no partner"),
        ("{A} and {B} left, {B} <gave> it to", "{A} is the first word"),
        (TEMPLATES[0], "this template is a duplicate"),
        ("When x{A} and {B} left, {B} <gave> it to", "is not a token of its own in: When x"),
    ],
)
def test_an_invalid_ioi_template_is_named_by_its_line(
    config: DatasetConfig, gpt2_like: Tokenizer, line: str, says: str
) -> None:
    with Path(config.templates).open("a") as templates:
        templates.write(line)
    with pytest.raises(SvtError) as error:
        load_prompts(config, gpt2_like)
    assert f"{config.templates}:6: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("templates", "# nothing", "has no template"),
        ("names", "", "0 of 0 names are single tokens of this model, two are needed"),
        ("names", "Mary\nXqzwvyk", "1 of 2 names are single tokens"),
        ("names", "Mary\nJohn\nMary", ":3: the name Mary is a duplicate"),
        ("nouns", "place: [store", "is not YAML"),
        ("nouns", "- store", "must map each kind to a list of words"),
        ("nouns", "place: store", "place must be a list of words"),
        ("nouns", "place: []", "place must be a list of words"),
        ("nouns", "place: [no]", "place has False, which is not a word"),
        ("nouns", "place: [store, store]", "place has store twice"),
        ("nouns", "A: [store]", "'A' cannot be a placeholder"),
        ("nouns", "place: [store]", "unknown placeholder {object}"),
    ],
)
def test_invalid_files_are_refused(
    config: DatasetConfig, gpt2_like: Tokenizer, key: str, text: str, says: str
) -> None:
    Path(getattr(config, key)).write_text(text)
    with pytest.raises(SvtError) as error:
        load_prompts(config, gpt2_like)
    assert says in str(error.value)
    assert str(config.templates if "placeholder {" in says else getattr(config, key)) in str(
        error.value
    )


@pytest.mark.parametrize("key", ["templates", "names", "nouns"])
def test_unreadable_files_are_refused(
    config: DatasetConfig, gpt2_like: Tokenizer, tmp_path: Path, key: str
) -> None:
    (tmp_path / "bytes").write_bytes(b"When \xff")
    for path, says in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        with pytest.raises(SvtError, match=rf"cannot read dataset\.{key} .*{says}"):
            load_prompts(replace(config, **{key: str(path)}), gpt2_like)
    with pytest.raises(SvtError, match=r"is not UTF-8 text \(byte 5\)"):
        load_prompts(replace(config, **{key: str(tmp_path / "bytes")}), gpt2_like)


def test_a_model_that_knows_none_of_the_nouns_is_refused(
    config: DatasetConfig, words: Tokenizer
) -> None:
    Path(config.nouns).write_text("place: [zzz]\nobject: [ring]")
    with pytest.raises(SvtError, match="this model knows no word of place"):
        load_prompts(config, words)


PARTS = ["{A}", "{B}", "{place}", "<gave>", "<", "}", " ", "\n", "When", ",", "é", "{", "# "]


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    key=st.sampled_from(["templates", "names", "nouns"]),
    parts=st.lists(
        st.sampled_from([*PARTS, "Mary", "place:", "[store]", "- ", "!!x"]), max_size=15
    ),
)
def test_any_file_makes_prompts_or_a_clear_error(
    config: DatasetConfig, gpt2_like: Tokenizer, tmp_path: Path, key: str, parts: list[str]
) -> None:
    (tmp_path / "any").write_text("".join(parts))
    try:
        dataset = load_prompts(replace(config, **{key: str(tmp_path / "any")}), gpt2_like)
    except SvtError as error:
        assert (
            "dataset." in str(error) or f"{config.templates}:" in str(error) or "any:" in str(error)
        )
    else:
        assert len(dataset.prompts) == 24


@pytest.mark.parametrize("name", DATASETS)
def test_conf_lists_every_setting(name: str) -> None:
    path = conf_dir() / "dataset" / f"{name}.yaml"
    assert yaml.safe_load(path.read_text()).keys() == {f.name for f in fields(DATASETS[name])}
    lines = [line for line in path.read_text().splitlines() if line[0] not in "# "]
    assert all("#" in line for line in lines if not line.startswith("name:"))
