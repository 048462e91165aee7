from __future__ import annotations

import json

import numpy as np
import pytest

from lowdose.denoiser import Needs
from lowdose.inference import DenoiseOptions, budget, denoise, plan_step
from lowdose.inference.budget import choose_work
from lowdose.inference.device import CPU
from lowdose.inference.rates import (
    Rate,
    keep_rates,
    known_rates,
    measure_rates,
    rates_file,
    seconds_per_pixel,
)
from lowdose.micrograph import Micrograph


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWDOSE_CACHE", str(tmp_path / "cache"))


def rate(side, seconds, batch=1):
    return Rate(side=side, batch=batch, seconds=seconds)


def test_rates_are_kept_for_one_denoiser_on_one_machine(fake, monkeypatch):
    denoiser, other = fake(), fake()
    other.name = "other"
    other.describe = lambda: {"name": "other"}
    rates = (rate(64, 1e-8), rate(128, 2e-8, 4))
    keep_rates(denoiser, CPU, rates)
    keep_rates(other, CPU, rates[:1])
    assert known_rates(denoiser, CPU) == rates
    assert known_rates(other, CPU) == rates[:1]
    monkeypatch.setattr("lowdose.inference.rates._processor", lambda: "another")
    assert known_rates(denoiser, CPU) == ()


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"KEY": 3}', '{"KEY": [[1]]}', '{"KEY": [["a",1,1]]}'],
)
def test_a_damaged_file_of_rates_counts_as_none(fake, text):
    from lowdose.inference.rates import rates_key

    rates_file().parent.mkdir()
    rates_file().write_text(text.replace("KEY", rates_key(fake(), CPU)))
    assert known_rates(fake(), CPU) == ()


def test_values_that_cannot_be_are_left_out(fake):
    keep_rates(fake(), CPU, [rate(64, -1.0), rate(64, 1e-8)])
    record = json.loads(rates_file().read_text())
    assert len(next(iter(record.values()))) == 2
    assert known_rates(fake(), CPU) == (rate(64, 1e-8),)


def test_the_time_of_a_side_is_that_of_the_nearest_one_measured():
    rates = [rate(256, 3.0), rate(512, 2.0), rate(512, 1.0, 4), rate(1024, 5.0)]
    assert seconds_per_pixel(rates, 512) == (1.0, 4)
    assert seconds_per_pixel(rates, 600) == (1.0, 4)
    assert seconds_per_pixel(rates, 250) == (3.0, 1)
    assert seconds_per_pixel(rates, 4000) is None


def test_the_clock_measures_each_side_and_batch(fake):
    now = [0.0]

    def slow(stack):
        now[0] += 1e-6 * stack[0].size
        return stack[0]

    rates = measure_rates(
        fake(slow, multiple=8),
        CPU,
        sides=(30, 64),
        batches=(1, 3),
        seconds=0.0,
        clock=lambda: now[0],
    )
    assert [(r.side, r.batch) for r in rates] == [(32, 1), (32, 3), (64, 1), (64, 3)]
    assert [r.seconds for r in rates] == pytest.approx([1e-6] * 4)


def test_sides_that_do_not_fit_are_left_out(fake):
    denoiser = fake(fails=lambda _fake, p: MemoryError() if p.size > 5000 else None)
    rates = measure_rates(denoiser, CPU, sides=(64, 128), batches=(1, 2), seconds=0)
    assert [(r.side, r.batch) for r in rates] == [(64, 1)]


def test_the_work_is_what_takes_the_least_time_halos_included():
    needs = Needs(halo=32)
    options = DenoiseOptions()
    shape = (2048, 2048)

    def chosen(*rates):
        return choose_work(shape, needs, options=options, place=CPU, rates=rates)

    # Per pixel the small tile is a little faster; its halos cost more than that.
    assert chosen(rate(256, 1.0), rate(1024, 1.1)).tile == 1024
    assert chosen(rate(256, 1.0), rate(1024, 3.0)).tile == 256
    assert chosen(rate(512, 2.0), rate(512, 1.0, 4)).batch == 4
    assert chosen() == choose_work(shape, needs, options=options, place=CPU)


def test_what_was_asked_for_and_what_is_global_is_never_tuned():
    rates = [rate(256, 1.0, 7)]
    asked = DenoiseOptions(tile=512, batch=2)
    work = choose_work(
        (2048, 2048), Needs(halo=8), options=asked, place=CPU, rates=rates
    )
    assert (work.tile, work.batch) == (512, 2)
    whole = choose_work(
        (512, 512), Needs(halo=None), options=DenoiseOptions(), place=CPU, rates=rates
    )
    assert whole.tile is None


def test_a_tile_that_does_not_fit_the_memory_is_not_chosen(monkeypatch):
    monkeypatch.setattr(budget, "free_memory", lambda _device: 40_000_000)
    needs = Needs(halo=8, bytes_per_pixel=64)
    rates = [rate(1024, 1.0), rate(256, 9.0)]
    work = choose_work(
        (2048, 2048), needs, options=DenoiseOptions(), place=CPU, rates=rates
    )
    assert work.tile == 256


def test_the_engine_takes_what_was_measured_and_gives_the_same_pixels(
    fake, crooked, counts
):
    image = counts(300, 300)
    before = denoise(image, fake(crooked(4), halo=4)).data
    denoiser = fake(crooked(4), halo=4)
    keep_rates(denoiser, CPU, [rate(100, 1e-9, 3)])
    step = plan_step(Micrograph(image), denoiser)
    assert max(step.details["tile"]) <= 100
    assert step.details["batch"] == 3
    np.testing.assert_array_equal(denoise(image, denoiser).data, before)
