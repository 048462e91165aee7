from __future__ import annotations

import threading

import numpy as np
import pytest

from lowdose.errors import OutputError
from lowdose.inference import DenoiseOptions, denoise
from lowdose.inference.overlap import (
    WriteBehind,
    in_threads,
    read_ahead,
    usable_threads,
)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("lowdose-")]


def test_reading_ahead_gives_the_same_items_and_leaves_no_thread():
    with read_ahead(iter(range(50))) as items:
        assert list(items) == list(range(50))
    assert threads() == []


def test_the_next_item_is_made_while_one_is_used():
    second = threading.Event()

    def source():
        yield 1
        second.set()
        yield 2

    with read_ahead(source()) as items:
        assert next(items) == 1
        assert second.wait(10)


def test_an_error_of_reading_comes_where_its_item_would():
    def source():
        yield 1
        text = "cut short"
        raise OSError(text)

    with read_ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="cut short"):
            next(items)
    assert threads() == []


def test_an_iteration_that_is_given_up_leaves_no_thread():
    with read_ahead(iter(range(50))) as items:
        next(items)
    assert threads() == []


def test_frames_are_written_in_order_and_errors_are_not_lost():
    seen = []

    def write(number, frame):
        if number == 3:
            text = "The disk is full."
            raise OutputError(text)
        seen.append(number)

    with WriteBehind(write) as writer:
        for number in range(3):
            writer.write(number, np.zeros((2, 2)))
        writer.wait()
        assert (seen, writer.last) == ([0, 1, 2], 2)
        writer.write(3, np.zeros((2, 2)))
        with pytest.raises(OutputError, match="disk is full"):
            writer.write(4, np.zeros((2, 2)))
    assert threads() == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_give_the_results_in_order(count):
    assert in_threads(lambda n: n * n, list(range(20)), count) == [
        n * n for n in range(20)
    ]


def test_the_number_of_threads_is_what_the_batch_system_allows(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    cores = usable_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert usable_threads() == cores


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_threads_change_no_pixel_of_a_filter(fake, crooked, counts, monkeypatch, batch):
    stack = counts(5, 150, 90)
    results = []
    for number in ("1", "3"):
        monkeypatch.setattr(
            "lowdose.inference.patches.usable_threads", lambda n=int(number): n
        )
        denoiser = fake(crooked(4), halo=4, threads=True)
        options = DenoiseOptions(tile=64, batch=batch)
        results.append(denoise(stack, denoiser, options=options).data)
    np.testing.assert_array_equal(*results)


def test_only_the_frames_asked_for_are_denoised(fake, counts):
    stack, out = counts(8, 20, 20), np.full((8, 20, 20), -1, np.float32)

    def mean(frames):
        return frames.mean(axis=0)

    needs = {"frames_before": 1, "frames_after": 1}
    whole = denoise(stack, fake(mean, **needs)).data
    denoise(stack, fake(mean, **needs), out=out, frames=[5, 0, 2])
    for number in range(8):
        wanted = whole[number] if number in (0, 2, 5) else -1
        np.testing.assert_array_equal(out[number], np.broadcast_to(wanted, (20, 20)))


def test_frames_that_do_not_exist_and_frames_without_an_output_are_refused(
    fake, counts
):
    from lowdose.errors import ParameterError

    stack = counts(3, 20, 20)
    with pytest.raises(ParameterError, match="no frame 3"):
        denoise(stack, fake(), out=np.zeros_like(stack), frames=[3])
    with pytest.raises(ParameterError, match="Give `out`"):
        denoise(stack, fake(), frames=[1])
