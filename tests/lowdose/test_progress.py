import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.progress import Clock, Progress, format_seconds, never


def at(done, total, **more):
    return Progress(stage="denoise", done=done, total=total, **more)


@pytest.mark.parametrize(
    ("done", "total", "fraction"),
    [(0, 4, 0.0), (1, 4, 0.25), (4, 4, 1.0), (5, 4, 1.0), (0, 0, 1.0)],
)
def test_the_fraction_goes_from_nothing_to_one(done, total, fraction):
    assert at(done, total).fraction == fraction


def test_the_time_left_follows_from_the_pace():
    assert at(1, 4, seconds=10).seconds_left == 30
    assert at(4, 4, seconds=10).seconds_left == 0
    assert at(5, 4, seconds=10).seconds_left == 0


def test_nothing_is_promised_before_anything_is_done():
    assert at(0, 4, seconds=10).seconds_left is None
    assert at(1, 4).seconds_left is None
    assert at(1, 4, seconds=2).megapixels_per_second is None


def test_the_rate_is_in_megapixels_per_second():
    assert at(1, 2, pixels=6_000_000, seconds=3).megapixels_per_second == 2.0


def test_a_record_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        at(1, 2).done = 2


def test_before_any_frame_is_finished_there_is_none_to_show():
    assert at(0, 2).frame == -1


def test_a_job_that_is_never_stopped_is_never_stopped():
    assert never() is False


def test_a_clock_only_runs_forward():
    clock = Clock()
    first = clock.seconds
    assert 0 <= first <= clock.seconds
    assert Clock(start=clock.start - 60).seconds >= 60


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (90000, "25 h"),
    ],
)
def test_durations_read_as_people_write_them(seconds, text):
    assert format_seconds(seconds) == text


@given(st.floats(0, 1e7))
def test_a_written_duration_is_near_the_truth(seconds):
    units = {"s": 1, "min": 60, "h": 3600}
    words = format_seconds(seconds).split()
    written = sum(
        int(number) * units[unit]
        for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert abs(written - seconds) <= (0.5 if seconds < 3599 else 60)
