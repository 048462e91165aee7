from __future__ import annotations

import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from lowdose.denoiser import Needs
from lowdose.errors import DeviceError, OutOfMemoryError, is_out_of_memory
from lowdose.inference import DenoiseOptions, device
from lowdose.inference.device import (
    CPU,
    free_memory,
    release_memory,
    resolve_device,
    resolve_place,
    resolve_precision,
)

NETWORK = Needs(halo=1, device=True)
FILTER = Needs(halo=1)


@pytest.fixture
def machine(monkeypatch):
    """Return a function that pretends to be another machine."""

    def pretend(*, cuda=0, mps=False, capability=(8, 0), amx=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda _device: capability
        )
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old GPU")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(
            torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False
        )

    return pretend


@pytest.mark.parametrize(
    ("there", "name", "wanted"),
    [
        ({}, "auto", "cpu"),
        ({"mps": True}, "auto", "mps"),
        ({"cuda": 2, "mps": True}, "auto", "cuda:0"),
        ({"cuda": 2}, "cpu", "cpu"),
        ({"cuda": 2}, "cuda", "cuda:0"),
        ({"cuda": 2}, "cuda:1", "cuda:1"),
        ({"mps": True}, "mps", "mps"),
    ],
)
def test_the_device_is_the_one_asked_for_or_the_fastest(machine, there, name, wanted):
    machine(**there)
    assert resolve_device(name) == wanted


@pytest.mark.parametrize(
    ("there", "name", "named"),
    [
        ({}, "cuda", "there is cpu"),
        ({}, "mps", "there is cpu"),
        ({"cuda": 2}, "cuda:2", "there is cuda:0, cuda:1, cpu"),
        ({"mps": True}, "cuda:0", "there is mps, cpu"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_that_names_what_is(
    machine, there, name, named
):
    machine(**there)
    with pytest.raises(DeviceError, match=named):
        resolve_device(name)


@pytest.mark.parametrize(
    ("there", "where", "wanted"),
    [
        ({}, "cpu", "float32"),
        ({"amx": True}, "cpu", "bfloat16"),
        ({"cuda": 1}, "cuda:0", "bfloat16"),
        ({"cuda": 1, "capability": (7, 5)}, "cuda:0", "float32"),
        ({"mps": True}, "mps", "float32"),
    ],
)
def test_auto_precision_is_bfloat16_only_where_it_is_native(
    machine, there, where, wanted
):
    machine(**there)
    assert resolve_precision("auto", where) == wanted
    assert resolve_precision("float32", where) == "float32"


def test_bfloat16_on_a_gpu_without_it_is_an_error(machine):
    machine(cuda=1, capability=(7, 5))
    with pytest.raises(DeviceError, match="Old GPU"):
        resolve_precision("bfloat16", "cuda:0")


def test_a_torch_that_cannot_tell_has_no_amx(machine, monkeypatch):
    machine()
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert resolve_precision("auto", "cpu") == "float32"


def test_filters_run_on_the_cpu_but_a_missing_device_is_still_an_error(machine):
    machine(cuda=1)
    assert resolve_place(DenoiseOptions(device="cuda"), FILTER) == CPU
    assert resolve_place(DenoiseOptions(), NETWORK).device == "cuda:0"
    machine()
    with pytest.raises(DeviceError):
        resolve_place(DenoiseOptions(device="cuda"), FILTER)


def test_a_filter_does_not_load_torch():
    code = """
import sys
import numpy as np
from lowdose.denoiser import Needs
from lowdose.inference import denoise

class Copy:
    name, values, needs = "copy", {}, Needs(halo=0)
    def describe(self): return {}
    def place(self, device, precision): pass
    def measure(self, frame): return {}
    def denoise_patches(self, patches, measures): return patches[:, 0]

denoise(np.ones((20, 20)), Copy())
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("x"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
            "allocate memory: you tried to allocate 4 bytes. Error code 12"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublas`"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_lack_of_memory_is_recognised(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory"),
        OSError("Cannot allocate memory"),
    ],
)
def test_other_errors_are_not_taken_for_lack_of_memory(error):
    assert not is_out_of_memory(error)


def test_torch_really_says_what_is_looked_for():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_what_an_error_held_in_a_cycle_is_freed():
    error = MemoryError()
    error.arrays = [np.zeros(3)]
    error.itself = error
    alive = weakref.ref(error.arrays[0])
    del error
    assert alive() is not None
    release_memory("cpu")
    assert alive() is None


def test_free_memory_is_at_most_what_the_system_has():
    assert 0 < free_memory("cpu") <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (
            {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 9\n"},
            300,
        ),
        (
            {
                "memory.max": "1000",
                "memory.current": "700",
                "memory.stat": "anon 500\ninactive_file 200\nactive_file 4\n",
            },
            500,
        ),
        (
            {
                "memory.limit_in_bytes": "1000",
                "memory.usage_in_bytes": "1200",
                "memory.stat": "total_inactive_file 50\n",
            },
            0,
        ),
    ],
)
def test_the_limit_of_a_container_or_batch_job_counts(
    monkeypatch, tmp_path, files, left
):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(device, "_control_groups", lambda _root: [tmp_path])
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=10**12)
    )
    assert free_memory("cpu") == left


def test_a_group_without_a_limit_does_not_count(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")
    monkeypatch.setattr(
        device, "_control_groups", lambda _root: [tmp_path, tmp_path / "no"]
    )
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=123)
    )
    assert free_memory("cpu") == 123
