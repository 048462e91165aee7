"""The heap is kept during runs, whatever their number, and given back behind them."""

import json
import subprocess
import sys

import pytest

from lowdose.inference import heap
from lowdose.inference.heap import heap_kept

needs_gnu = pytest.mark.skipif(
    heap._gnu_library() is None, reason="only the GNU C library keeps a heap on request"
)

#: In a process of its own: once an allocation has failed, as some tests make it do, the
#: C library serves the thread from another heap, which cannot be kept.
SCRIPT = """\
import json, resource
import numpy as np
import psutil
from lowdose.inference.heap import heap_kept

SIDE = 64 * 2**20

def faults():
    "Return how many pages the system had to hand out for another array."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(SIDE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def memory():
    return psutil.Process().memory_info().rss / SIDE

faults()
found = {"outside": faults()}
with heap_kept():
    faults()
    found["inside"] = faults()
faults()
found["behind"] = faults()

before = memory()
with heap_kept():
    arrays = [np.ones(SIDE, np.uint8) for _ in range(4)]
    del arrays
    found["kept"] = memory() - before
found["left"] = memory() - before

first, second = heap_kept(), heap_kept()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
faults()
found["within the second"] = faults()
second.__exit__(None, None, None)
faults()
found["behind both"] = faults()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout)


@needs_gnu
def test_within_it_freed_memory_is_used_again(found):
    assert found["inside"] < 0.1 * found["outside"]
    assert found["behind"] > 0.5 * found["outside"]


@needs_gnu
def test_what_was_kept_is_given_back(found):
    assert found["kept"] > 3  # of four arrays
    assert found["left"] < 1


@needs_gnu
def test_of_two_runs_the_last_one_ends_it(found):
    assert found["within the second"] < 0.1 * found["outside"]
    assert found["behind both"] > 0.5 * found["outside"]


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
