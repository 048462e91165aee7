from __future__ import annotations

import math

import pytest

from lowdose.denoiser import Needs
from lowdose.inference import DenoiseOptions, budget
from lowdose.inference.budget import LARGEST_TILE, MEMORY_SHARE, choose_work
from lowdose.inference.device import CPU, Place
from lowdose.inference.spans import padded_length, smallest_tile
from lowdose.inference.tiling import plan_tiles

GPU = Place(device="cuda:0", precision="float32")


@pytest.fixture
def with_memory(monkeypatch):
    def give(size):
        monkeypatch.setattr(budget, "free_memory", lambda _device: size)

    return give


def chosen(shape, needs, place=CPU, **options):
    work = choose_work(shape, needs, options=DenoiseOptions(**options), place=place)
    return work, plan_tiles(shape, needs, tile=work.tile)


SHAPES = [(4096, 4096), (2048, 2048), (3838, 3710), (512, 512), (100, 9000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("halo", [0, 5, 30, 58, 116, 478])
@pytest.mark.parametrize("memory", [2**28, 2**32, 2**38])
@pytest.mark.parametrize("place", [CPU, GPU])
def test_what_is_chosen_fits_the_share_of_memory(
    with_memory, shape, halo, memory, place
):
    with_memory(memory)
    needs = Needs(halo=halo, multiple=16, bytes_per_pixel=500)
    work, plan = chosen(shape, needs, place)
    height, width = plan.tile_shape
    kind = place.device.partition(":")[0]
    used = work.batch * height * width * needs.bytes_per_pixel
    smallest = smallest_tile(needs)
    at_floor = work.batch == 1 and max(height, width) <= smallest
    assert used <= MEMORY_SHARE[kind] * memory or at_floor
    assert max(height, width) <= max(LARGEST_TILE[kind], smallest)


@pytest.mark.parametrize("halo", [0, 5, 30, 58, 116])
@pytest.mark.parametrize("side", [1500, 2048, 3000, 4096, 6000])
def test_with_memory_to_spare_cutting_adds_at_most_an_eighth(with_memory, side, halo):
    with_memory(2**40)
    needs = Needs(halo=halo, multiple=16)
    _work, plan = chosen((side, side), needs)
    pixels = len(plan) * math.prod(plan.tile_shape)
    assert pixels <= 1.125 * padded_length(side, needs) ** 2 or (
        max(plan.tile_shape) > LARGEST_TILE["cpu"] / 2
    )


def test_large_frames_are_cut_even_where_they_would_fit(with_memory):
    with_memory(2**40)
    _work, plan = chosen((4096, 4096), Needs(halo=58, multiple=16, border=58))
    assert len(plan) >= 4
    _work, plan = chosen((4096, 4096), Needs(halo=5))
    assert len(plan) >= 36


def test_frames_share_the_memory_of_a_patch(with_memory):
    with_memory(2**28)
    one = chosen((4096, 4096), Needs(halo=3, bytes_per_pixel=400))[1]
    five = chosen(
        (4096, 4096),
        Needs(halo=3, bytes_per_pixel=400, frames_before=2, frames_after=2),
    )[1]
    assert math.prod(five.tile_shape) < math.prod(one.tile_shape)


def test_tile_and_batch_that_are_asked_for_are_taken(with_memory):
    with_memory(2**20)
    work, plan = chosen((4096, 4096), Needs(halo=3), tile=700, batch=9)
    assert max(plan.tile_shape) <= 700
    assert work.batch == 9


def test_global_operators_get_the_whole_frame_only_where_it_fits(with_memory):
    needs = Needs(halo=None, bytes_per_pixel=100)
    with_memory(2**34)
    assert chosen((3000, 3000), needs)[1].tile_shape == (3000, 3000)
    with_memory(2**28)
    height, width = chosen((3000, 3000), needs)[1].tile_shape
    assert height * width * 100 <= MEMORY_SHARE["cpu"] * 2**28


def test_global_operators_get_the_tile_they_want(with_memory):
    with_memory(2**36)
    needs = Needs(halo=None, tile=400, multiple=8)
    assert chosen((3000, 3000), needs)[1].tile_shape == (400, 400)
    assert chosen((3000, 3000), needs, tile=256)[1].tile_shape == (256, 256)
    assert chosen((300, 3000), needs)[1].tile_shape == (304, 400)
