import os
import threading
import time

import numpy as np
import pytest

from lowdose.errors import InvalidImageError
from lowdose.training import feed as feed_module
from lowdose.training.examples import Example
from lowdose.training.feed import Feed, spare_cores

MEASURES = {"mean": 0.0, "sigma": 1.0, "known": 0.0, "growth": 0.0}


class Source:
    """Draws noise, and takes note of which thread it was asked in."""

    def __init__(self, bad=None):
        self.threads, self.drawn, self.bad = set(), 0, bad

    def example(self, rng):
        self.threads.add(threading.current_thread().name)
        self.drawn += 1
        if self.drawn == self.bad:
            raise InvalidImageError("frame 3 is constant")
        noise = rng.normal(size=(1, 8, 8)).astype(np.float32)
        return Example(noisy=noise, measures=MEASURES, target=noise[0])


def feed_of(source, threads, **changes):
    settings = {"seed": 1, "numbers": range(3), "conditions": 0, "last": 5, **changes}
    return Feed(source, threads=threads, **settings)


def test_threads_change_nothing_of_the_examples():
    with feed_of(Source(), 0) as alone, feed_of(Source(), 3) as together:
        for step in range(5):
            expected, found = alone.batch(step), together.batch(step)
            np.testing.assert_array_equal(found.seen, expected.seen)
            np.testing.assert_array_equal(found.target, expected.target)


def test_a_feed_can_begin_in_the_middle():
    with feed_of(Source(), 0) as alone, feed_of(Source(), 2) as together:
        np.testing.assert_array_equal(alone.batch(3).seen, together.batch(3).seen)


def test_the_next_steps_are_drawn_by_other_threads_and_none_beyond_the_last():
    source = Source()
    with feed_of(source, 2) as feed:
        feed.batch(0)
        deadline = time.monotonic() + 10
        while source.drawn < 9 and time.monotonic() < deadline:
            threading.Event().wait(0.001)
        assert source.drawn == 9
        for step in range(1, 5):
            feed.batch(step)
    assert source.drawn == 15
    assert threading.current_thread().name not in source.threads


def test_what_a_thread_raises_is_raised_where_its_step_is_asked_for():
    with feed_of(Source(bad=5), 1) as feed:
        feed.batch(0)
        with pytest.raises(InvalidImageError, match="frame 3 is constant"):
            feed.batch(1)


def test_a_single_core_draws_in_turn(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert spare_cores() == 0
    source = Source()
    with feed_of(source, None) as feed:
        feed.batch(0)
    assert source.threads == {threading.current_thread().name}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert spare_cores() == feed_module._MOST_THREADS
