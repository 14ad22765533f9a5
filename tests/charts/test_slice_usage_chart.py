"""Slices by prompt: data, fields and encodings."""

import json
import random

import polars as pl

from svt.charts.page import vl_convert
from svt.charts.slice_usage import MOST_PROMPTS, slice_usage
from svt.charts.style import specification
from tests.charts.frames import rows_of, subtitle


def usage(prompts: dict[int, list[int]], d_head: int = 8) -> pl.DataFrame:
    """The slices that each prompt's pair uses."""
    return pl.DataFrame(
        [(prompt, k, d_head) for prompt, slices in prompts.items() for k in slices],
        schema={"prompt_id": pl.Int32, "k": pl.UInt16, "d_head": pl.Int32},
        orient="row",
    )


FIRING = usage({3: [0, 2], 4: [2], 9: [2], 11: [0], 12: [2, 0]})
NOT_FIRING = usage({3: [7], 4: [7]})


def test_a_row_for_each_head_firing_beside_not_firing():
    both = {(5, 3): (FIRING, NOT_FIRING), (6, 0): (NOT_FIRING, FIRING)}
    spec = specification(slice_usage(both, notes=["Firings from end."]))
    titles = [[panel["title"]["text"] for panel in row["hconcat"]] for row in spec["concat"]]
    assert titles == [["5.3 firing", "5.3 not firing"], ["6.0 firing", "6.0 not firing"]]
    assert subtitle(spec).strip() == "Firings from end."
    (firing, other) = spec["concat"][0]["hconcat"]
    assert firing["title"]["subtitle"] == "5 prompts, 1.4 of 8 slices on average"
    assert other["title"]["subtitle"] == "2 prompts, 1.0 of 8 slices on average"


def test_runs_of_neighbouring_prompts_are_one_mark():
    """Slice 0: prompts 3, 11 and 12, columns 0, 3 and 4; slice 2: 3, 4, 9 and 12."""
    spec = specification(slice_usage({(5, 3): (FIRING, NOT_FIRING)}))
    firing, other = spec["concat"][0]["hconcat"]
    assert rows_of(spec, firing) == [
        {"k": 0, "prompts": 3, "from": [0, 3], "to": [1, 5]},
        {"k": 2, "prompts": 4, "from": [0, 4], "to": [3, 5]},
    ]
    assert rows_of(spec, other) == [{"k": 7, "prompts": 2, "from": [0], "to": [2]}]
    assert firing["transform"] == [{"flatten": ["from", "to"]}]


def test_every_slice_has_its_place_used_or_not():
    spec = specification(slice_usage({(5, 3): (FIRING, NOT_FIRING)}))
    encoding = spec["concat"][0]["hconcat"][0]["encoding"]
    assert (encoding["x"]["field"], encoding["x2"]["field"]) == ("from", "to")
    assert encoding["x"]["scale"]["domain"] == [0, 5]
    assert encoding["y"]["field"] == "k"
    assert encoding["y"]["scale"]["domain"] == list(range(8))
    assert encoding["y"]["scale"]["reverse"] is True  # 0 lowest


def test_the_axis_names_prompts_by_their_ids():
    """Columns 0 to 4 are the prompts 3, 4, 9, 11 and 12, each named below its middle."""
    spec = specification(slice_usage({(5, 3): (FIRING, NOT_FIRING)}))
    axis = spec["concat"][0]["hconcat"][0]["encoding"]["x"]["axis"]
    svg = vl_convert().vegalite_to_svg(spec)
    assert axis["values"] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert [text for text in ("3", "4", "9", "11", "12") if f">{text}</text>" not in svg] == []
    assert ">11</text>" in svg and ">5.3 firing</text>" in svg


def test_more_prompts_than_fit_are_thinned_evenly():
    """Of 512 prompts every second; slice 1 only in odd ones, which are left out."""
    many = usage({prompt: [prompt % 2] for prompt in range(2 * MOST_PROMPTS)})
    spec = specification(slice_usage({(5, 3): (many, many.clear())}))
    (panel,) = spec["concat"][0]["hconcat"]
    assert rows_of(spec, panel) == [{"k": 0, "prompts": 256, "from": [0], "to": [256]}]
    assert panel["title"]["subtitle"].startswith("512 prompts, ")
    assert "At most 256 prompts a panel, evenly spaced." in subtitle(spec)


def test_missing_usage_is_said():
    empty = FIRING.clear()
    both = {(5, 3): (FIRING, empty), (6, 0): (empty, empty)}
    spec = specification(slice_usage(both))
    assert [len(row["hconcat"]) for row in spec["concat"]] == [1]
    lacking = "The store holds no pair of 5.3 not firing, 6.0 firing, 6.0 not firing."
    assert lacking in subtitle(spec)
    (row,) = rows_of(specification(slice_usage({(6, 0): (empty, empty)}, notes=["From end."])))
    assert row["message"] == "From end. The store holds no pair of 6.0 firing, 6.0 not firing."


def test_four_heads_of_64_slices_stay_light():
    """256 prompts with a third of the slices at random, the worst there is."""
    draw = random.Random(0)
    full = usage({p: [k for k in range(64) if draw.random() < 1 / 3] for p in range(256)}, 64)
    spec = specification(slice_usage({(9, head): (full, full) for head in range(4)}))
    assert len(json.dumps(spec, separators=(",", ":"))) < 300_000
