from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.denoiser import Needs
from lowdose.errors import ParameterError
from lowdose.inference.spans import padded_length, reflected, smallest_tile
from lowdose.inference.tiling import plan_tiles

lengths = st.integers(1, 700)
multiples = st.sampled_from([1, 2, 3, 8, 16])
borders = st.integers(0, 40)
tiles = st.one_of(st.none(), st.integers(1, 400))


@st.composite
def halo_plans(draw):
    needs = Needs(
        halo=draw(st.integers(0, 70)), multiple=draw(multiples), border=draw(borders)
    )
    shape = draw(lengths), draw(lengths)
    tile = draw(tiles)
    return needs, shape, tile, draw(regions(shape))


@st.composite
def blended_plans(draw):
    needs = Needs(
        halo=None,
        multiple=draw(multiples),
        border=draw(borders),
        overlap=draw(st.integers(0, 150)),
    )
    shape = draw(lengths), draw(lengths)
    return needs, shape, draw(tiles), draw(regions(shape))


@st.composite
def regions(draw, shape=(1, 1)):
    if draw(st.booleans()):
        return None
    parts = []
    for length in shape:
        start = draw(st.integers(0, length - 1))
        parts.append(slice(start, draw(st.integers(start + 1, length))))
    return tuple(parts)


def check_common(plan, needs, shape):
    height, width = plan.tile_shape
    for number in range(len(plan)):
        tile = plan.tile(number)
        for part, length, side in zip(
            (tile.rows, tile.columns), shape, (height, width), strict=True
        ):
            assert 0 <= part.start < part.stop <= padded_length(length, needs)
            assert part.stop - part.start == side
            assert part.start % needs.multiple == 0
            assert side % needs.multiple == 0
        core = tile.core_rows, tile.core_columns
        target = tile.target_rows, tile.target_columns
        for inner, outer, side in zip(core, target, (height, width), strict=True):
            assert 0 <= inner.start < inner.stop <= side
            assert inner.stop - inner.start == outer.stop - outer.start


@given(halo_plans())
@settings(max_examples=300, deadline=None)
def test_cores_of_halo_tiles_cover_every_pixel_exactly_once(case):
    needs, shape, tile, region = case
    plan = plan_tiles(shape, needs, tile=tile, region=region)
    check_common(plan, needs, shape)
    covered = np.zeros(plan.region_shape, dtype=int)
    for number in range(len(plan)):
        t = plan.tile(number)
        covered[t.target_rows, t.target_columns] += 1
    assert (covered == 1).all()


@given(halo_plans())
@settings(max_examples=300, deadline=None)
def test_cores_keep_a_halo_from_every_edge_that_is_not_one_of_the_padded_frame(case):
    needs, shape, tile, region = case
    plan = plan_tiles(shape, needs, tile=tile, region=region)
    for number in range(len(plan)):
        t = plan.tile(number)
        for part, core, length in zip(
            (t.rows, t.columns), (t.core_rows, t.core_columns), shape, strict=True
        ):
            assert part.start == 0 or core.start >= needs.halo
            side = part.stop - part.start
            at_end = part.stop == padded_length(length, needs)
            assert at_end or side - core.stop >= needs.halo


@given(halo_plans())
@settings(max_examples=300, deadline=None)
def test_halo_tiles_are_no_longer_than_wanted_or_than_the_smallest(case):
    needs, shape, tile, region = case
    plan = plan_tiles(shape, needs, tile=tile, region=region)
    if tile is not None:
        assert max(plan.tile_shape) <= max(tile, smallest_tile(needs))
    else:
        assert len(plan) == 1


@given(halo_plans())
@settings(max_examples=100, deadline=None)
def test_one_tile_less_would_be_longer_than_wanted(case):
    needs, shape, tile, _region = case
    wanted = max(tile or 10**6, smallest_tile(needs))
    plan = plan_tiles(shape, needs, tile=wanted)
    for spans, length in zip((plan.rows, plan.columns), shape, strict=True):
        fewer = len(spans) - 1
        if fewer:
            # Fewer tiles of the wanted length would not reach across the axis.
            step = wanted // needs.multiple * needs.multiple
            step -= -(-2 * needs.halo // needs.multiple) * needs.multiple
            window = spans[-1].stop - spans[0].start
            assert (fewer - 1) * step + wanted // needs.multiple * needs.multiple < (
                window
            )
            assert length > 0


@given(blended_plans())
@settings(max_examples=300, deadline=None)
def test_weights_of_blended_tiles_sum_to_one_at_every_pixel(case):
    needs, shape, tile, region = case
    plan = plan_tiles(shape, needs, tile=tile, region=region)
    check_common(plan, needs, shape)
    canvas = np.zeros(plan.region_shape, dtype=np.float32)
    ones = np.ones(plan.tile_shape, dtype=np.float32)
    for number in range(len(plan)):
        plan.paste(canvas, ones, number)
    np.testing.assert_allclose(canvas, 1, rtol=1e-6)


@given(blended_plans())
@settings(max_examples=200, deadline=None)
def test_neighbouring_blended_tiles_overlap_as_far_as_asked(case):
    needs, shape, tile, _region = case
    plan = plan_tiles(shape, needs, tile=tile)
    for spans, side in zip((plan.rows, plan.columns), plan.tile_shape, strict=True):
        half = side // needs.multiple // 2 * needs.multiple
        for left, right in itertools.pairwise(spans):
            assert left.stop - right.start >= min(needs.overlap, half)
            assert left.start < right.start


@pytest.mark.parametrize("region", [(slice(3, 90), slice(50, 199)), None])
@pytest.mark.parametrize("tile", [64, 100, None])
def test_tiles_cut_and_pasted_give_the_frame_back(tile, region):
    frame = np.random.default_rng(0).random((131, 200)).astype(np.float32)
    wanted = frame if region is None else frame[region]
    for needs in (
        Needs(halo=9, multiple=8, border=21),
        Needs(halo=None, multiple=4, border=150, overlap=17),
    ):
        plan = plan_tiles(frame.shape, needs, tile=tile, region=region)
        canvas = np.zeros(plan.region_shape, dtype=np.float32)
        for number in range(len(plan)):
            plan.paste(canvas, plan.cut(frame, number), number)
        np.testing.assert_allclose(canvas, wanted, rtol=1e-6)


def test_the_far_tiles_are_moved_inward_and_waste_little():
    needs = Needs(halo=58, multiple=16)
    plan = plan_tiles((4096, 4096), needs, tile=2304)
    assert len(plan) == 4
    assert plan.tile_shape == (2112, 2112)  # (4096 + 128) / 2
    assert [(s.start, s.stop) for s in plan.rows] == [(0, 2112), (1984, 4096)]


def test_at_the_edges_of_the_padded_frame_the_core_reaches_to_the_edge():
    plan = plan_tiles((300, 300), Needs(halo=20), tile=128)
    assert plan.tile(0).core_rows.start == 0
    last = plan.tile(len(plan) - 1)
    assert last.core_rows.stop == plan.tile_shape[0]


def test_a_region_cuts_only_itself_and_its_halo():
    needs = Needs(halo=10, multiple=8)
    plan = plan_tiles(
        (4096, 4096), needs, tile=1024, region=(slice(1000, 1100), slice(2000, 2050))
    )
    assert len(plan) == 1
    height, width = plan.tile_shape
    assert height <= 100 + 2 * 10 + 2 * 8
    assert width <= 50 + 2 * 10 + 2 * 8


@pytest.mark.parametrize(
    "region", [slice(0, 0), slice(5, 3), slice(-1, 4), slice(0, 11)]
)
def test_a_region_that_is_empty_or_outside_is_refused(region):
    with pytest.raises(ParameterError, match="empty or outside"):
        plan_tiles((10, 10), Needs(halo=0), region=(slice(0, 10), region))


@given(st.integers(-40, 40), st.integers(0, 60), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_reflection_is_that_of_numpy(start, count, length):
    indices = reflected(start, start + count, length)
    period = max(1, 2 * (length - 1))
    # numpy's own, far enough out on both sides.
    reference = np.pad(np.arange(length), 100 * period, mode="reflect")
    np.testing.assert_array_equal(
        indices, reference[100 * period + start : 100 * period + start + count]
    )


def test_reflection_does_not_repeat_the_edge_pixel():
    assert reflected(-2, 6, 3).tolist() == [2, 1, 0, 1, 2, 1, 0, 1]


def test_planning_does_not_load_torch():
    code = (
        "import sys, lowdose.inference.tiling, lowdose.inference.engine;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
