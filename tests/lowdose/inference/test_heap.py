"""The heap is kept during runs, whatever their number, and given back behind them."""

import gc
import resource

import numpy as np
import psutil
import pytest

from lowdose.inference import heap
from lowdose.inference.heap import heap_kept

needs_gnu = pytest.mark.skipif(
    heap._gnu_library() is None, reason="only the GNU C library keeps a heap on request"
)
SIDE = 64 * 2**20


def faults_of_another_array():
    """Return how many pages the system had to hand out for an array of 64 MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(SIDE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@needs_gnu
def test_within_it_freed_memory_is_used_again():
    faults_of_another_array()
    outside = faults_of_another_array()
    with heap_kept():
        faults_of_another_array()
        inside = faults_of_another_array()
    # Behind it, as before it.
    faults_of_another_array()
    behind = faults_of_another_array()
    assert inside < 0.1 * outside
    assert behind > 0.5 * outside


@needs_gnu
def test_what_was_kept_is_given_back():
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    with heap_kept():
        arrays = [np.ones(SIDE, np.uint8) for _ in range(4)]
        del arrays
        kept = process.memory_info().rss - before
    assert kept > 3 * SIDE
    assert process.memory_info().rss - before < SIDE


@needs_gnu
def test_of_two_runs_the_last_one_ends_it():
    first, second = heap_kept(), heap_kept()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    faults_of_another_array()
    assert faults_of_another_array() < 1000
    second.__exit__(None, None, None)
    faults_of_another_array()
    assert faults_of_another_array() > 5


def test_it_ends_with_an_error_too():
    with pytest.raises(ValueError, match="within"), heap_kept():
        raise ValueError("within")
    assert heap._runs == 0


def test_it_does_nothing_unless_wanted(monkeypatch):
    monkeypatch.setattr(heap, "_gnu_library", lambda: pytest.fail("asked for it"))
    with heap_kept(wanted=False):
        pass


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap, "_gnu_library", lambda: None)
    with heap_kept():
        assert heap._runs == 0
