"""What happens when memory runs out."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from lowdose.errors import DeviceError, MemoryWarning, OutOfMemoryError
from lowdose.inference import DenoiseOptions, denoise, iter_denoise, patches
from lowdose.inference.device import Place

RAW = {"keep_mean": False}


def pixels_over(limit, error=MemoryError, only=None):
    """Return a check that fails where a batch has more pixels than fit."""

    def fails(fake, batch):
        on = fake.places[-1][0]
        if batch[:, 0].size > limit and (only is None or on == only):
            return error("no room")
        return None

    return fails


@pytest.fixture(autouse=True)
def released(monkeypatch):
    """Return the devices whose memory was released; a real collection takes long."""
    devices = []
    monkeypatch.setattr(patches, "release_memory", devices.append)
    return devices


@pytest.fixture
def on_gpu(monkeypatch):
    """Let the engine believe in a GPU with memory to spare."""
    from lowdose.inference import budget

    monkeypatch.setattr(
        patches,
        "resolve_place",
        lambda _options, _needs: Place(device="cuda:0", precision="bfloat16"),
    )
    monkeypatch.setattr(budget, "free_memory", lambda _device: 2**34)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        OutOfMemoryError,
        lambda _text: RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        lambda _text: RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't "
            "allocate memory: you tried to allocate 68719476736 bytes."
        ),
    ],
)
def test_first_the_batch_is_halved_and_then_the_tile(
    fake, crooked, counts, whole_pass, error
):
    image = counts(256, 256)
    denoiser = fake(crooked(5), halo=5, fails=pixels_over(80 * 80, error))
    options = DenoiseOptions(tile=128, batch=4, **RAW)
    with pytest.warns(MemoryWarning) as caught:
        result = denoise(image, denoiser, options=options)
    np.testing.assert_array_equal(result.data, whole_pass(image, denoiser))
    tried = [(shape[0], max(shape[2:])) for shape in denoiser.patch_shapes[:3]]
    assert tried == [(4, 92), (2, 92), (1, 92)]
    assert denoiser.patch_shapes[3][0] == 1
    assert all(max(shape[2:]) <= 64 for shape in denoiser.patch_shapes[3:])
    assert len(caught) == 3


@pytest.mark.filterwarnings("ignore::lowdose.errors.MemoryWarning")
def test_what_did_not_fit_is_freed_before_the_next_try(fake, counts):
    tried = []

    def fails(_fake, batch):
        # The batch before this one must not be alive any more.
        assert not any(reference() is not None for reference in tried)
        tried.append(weakref.ref(batch))
        return RuntimeError("CUDA out of memory") if batch.size > 70 * 70 else None

    gc.disable()
    try:
        denoise(
            counts(256, 256),
            fake(halo=5, fails=fails),
            options=DenoiseOptions(tile=128, batch=4),
        )
    finally:
        gc.enable()
    assert len(tried) > 4


def test_each_smaller_step_is_reported_as_progress(fake, counts):
    denoiser = fake(halo=5, fails=pixels_over(80 * 80))
    options = DenoiseOptions(tile=128, batch=2)
    with pytest.warns(MemoryWarning):
        steps = list(iter_denoise(counts(256, 256), denoiser, options=options))
    messages = [step.message for step in steps if step.message]
    assert len(messages) == 2
    assert "continuing with 1" in messages[0]
    assert "at most 64 px" in messages[1]
    assert steps[-1].done == steps[-1].total


def test_frames_that_were_finished_are_not_computed_again(fake, counts):
    stack = counts(6, 128, 128)
    calls = []

    def fails(_fake, batch):
        calls.append(batch.shape)
        return MemoryError() if len(calls) == 8 else None

    denoiser = fake(halo=2, fails=fails)
    options = DenoiseOptions(tile=80, batch=1, **RAW)
    steps = iter_denoise(stack, denoiser, options=options)
    with pytest.warns(MemoryWarning):
        frames = [step.frame for step in steps]
    assert frames == sorted(frames)
    assert frames[-1] == 5
    # Frame 0 took four tiles; frame 1 failed at its last and began anew.
    assert calls[:8] == [(1, 1, 66, 66)] * 8
    assert len(calls) == 8 + 5 * 9
    assert len(denoiser.measured) == 6


def test_a_batch_of_frames_continues_after_those_that_were_finished(fake, counts):
    stack = counts(8, 32, 32)
    denoiser = fake(fails=pixels_over(2 * 32 * 32))
    with pytest.warns(MemoryWarning):
        result = denoise(stack, denoiser, options=DenoiseOptions(batch=8, **RAW))
    np.testing.assert_array_equal(result.data, stack)
    assert [shape[0] for shape in denoiser.patch_shapes] == [8, 4, 2, 2, 2, 2]


def test_last_of_all_the_work_moves_to_the_cpu(
    fake, crooked, counts, whole_pass, on_gpu, released
):
    image = counts(300, 300)
    denoiser = fake(
        crooked(5), halo=5, device=True, fails=pixels_over(0, only="cuda:0")
    )
    with pytest.warns(MemoryWarning) as caught:
        result = denoise(image, denoiser, options=DenoiseOptions(**RAW))
    assert "continuing on the CPU" in str(caught[-1].message)
    np.testing.assert_array_equal(result.data, whole_pass(image, denoiser))
    assert denoiser.places == [("cuda:0", "bfloat16"), ("cpu", "float32")]
    on_the_gpu = [max(shape[2:]) for shape in denoiser.patch_shapes[:-1]]
    assert on_the_gpu[0] == 300
    assert on_the_gpu[-1] <= 64
    step = result.calibration.provenance[-1]
    assert step.details["device"] == "cpu"
    assert step.details["precision"] == "float32"
    assert set(released) == {"cuda:0"}


def test_weights_that_do_not_fit_the_gpu_go_to_the_cpu_at_once(fake, counts, on_gpu):
    class Heavy(fake):
        def place(self, device, precision):
            super().place(device, precision)
            if device != "cpu":
                text = "CUDA out of memory."
                raise RuntimeError(text)

    denoiser = Heavy(device=True)
    with pytest.warns(MemoryWarning, match="continuing on the CPU"):
        denoise(counts(40, 40), denoiser)
    assert denoiser.places[-1] == ("cpu", "float32")
    assert len(denoiser.patch_shapes) == 1


@pytest.mark.filterwarnings("ignore::lowdose.errors.MemoryWarning")
def test_on_the_cpu_there_is_no_cpu_to_fall_back_to(fake, counts, monkeypatch):
    place = Place(device="cpu", precision="bfloat16")
    monkeypatch.setattr(patches, "resolve_place", lambda _options, _needs: place)
    denoiser = fake(device=True, fails=pixels_over(0))
    with pytest.raises(OutOfMemoryError):
        denoise(counts(100, 100), denoiser)
    assert denoiser.places == [("cpu", "bfloat16")]


def test_a_device_that_fails_otherwise_is_not_taken_for_full(fake, counts, on_gpu):
    class Dead(fake):
        def place(self, device, precision):
            text = "CUDA error: an illegal memory access was encountered"
            raise RuntimeError(text)

    with pytest.raises(DeviceError, match="illegal memory access"):
        denoise(counts(40, 40), Dead(device=True))


@pytest.mark.filterwarnings("ignore::lowdose.errors.MemoryWarning")
def test_where_nothing_fits_the_error_says_what_to_do(fake, counts):
    denoiser = fake(halo=5, fails=pixels_over(0))
    with pytest.raises(OutOfMemoryError, match="Close other programs"):
        denoise(counts(200, 200), denoiser)
    smallest = denoiser.patch_shapes[-1]
    assert smallest[0] == 1
    assert max(smallest[2:]) <= 64


@pytest.mark.filterwarnings("ignore::lowdose.errors.MemoryWarning")
@pytest.mark.parametrize(
    "needs",
    [
        {"halo": 50, "multiple": 16, "border": 20},
        {"halo": None, "multiple": 8},
        {"halo": None, "tile": 96, "overlap": 90},
    ],
)
def test_every_kind_of_plan_ends_at_the_smallest_pieces(fake, counts, needs):
    denoiser = fake(fails=pixels_over(0), **needs)
    with pytest.raises(OutOfMemoryError):
        denoise(counts(400, 300), denoiser)
    assert len(denoiser.patch_shapes) < 20


@pytest.mark.filterwarnings("ignore::lowdose.errors.MemoryWarning")
def test_a_global_operator_is_tiled_and_blended_when_whole_frames_do_not_fit(
    fake, counts
):
    image = counts(300, 300)
    denoiser = fake(halo=None, bytes_per_pixel=1, fails=pixels_over(200 * 200))
    result = denoise(image, denoiser, options=DenoiseOptions(**RAW))
    np.testing.assert_allclose(result.data, image, rtol=1e-5)
    assert denoiser.patch_shapes[0][2:] == (300, 300)
    assert denoiser.patch_shapes[-1][2:] == (150, 150)


def test_a_measurement_that_does_not_fit_says_so(fake, counts):
    class Greedy(fake):
        def measure(self, frame):
            raise MemoryError

    with pytest.raises(OutOfMemoryError, match="Close other programs"):
        denoise(counts(40, 40), Greedy())
