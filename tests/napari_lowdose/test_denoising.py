from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import Cancelled
from lowdose.inference.options import DenoiseOptions
from lowdose.micrograph import Micrograph
from napari_lowdose._denoising import DenoiseRequest, Loader, PreviewRequest
from napari_lowdose._storage import FrameStore


def drain(generator):
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture
def stack(rng):
    return Micrograph(rng.poisson(5, (3, 40, 50)).astype(np.uint16), name="stack")


def _request(stack, name="box", **values):
    return DenoiseRequest(
        image=stack,
        denoiser=name,
        values={"width": 3, "gain": 2.0, **values},
        options=DenoiseOptions(device="cpu", keep_mean=False, batch=1),
        out=FrameStore(np.zeros(stack.shape, np.float32)),
        loader=Loader(),
    )


def test_the_job_fills_its_store_and_returns_the_micrograph(fakes, stack):
    request = _request(stack)
    seen, result = drain(request.run(lambda: False))
    np.testing.assert_allclose(request.out.array, 2.0 * stack.data)
    assert request.out.done.all()
    assert seen[-1].fraction == 1
    assert result.calibration.provenance[-1].details["denoiser"]["name"] == "box"


def test_frames_that_are_not_done_are_transparent(fakes, stack):
    request = _request(stack, "gated")
    # Frames are written behind: the first is there for sure once the second is made.
    fakes.gate.release(2)
    job = request.run(lambda: False)
    while not request.out.done.any():
        next(job)
    assert np.isfinite(request.out.array[0]).all()
    assert np.isnan(request.out.array[2]).all()
    fakes.gate.release(100)
    drain(job)
    assert np.isfinite(request.out.array).all()


def test_a_job_that_is_told_to_stop_raises_cancelled(fakes, stack):
    with pytest.raises(Cancelled):
        drain(_request(stack).run(lambda: True))


def test_the_preview_has_the_pixels_of_the_run(fakes, stack):
    request = PreviewRequest(
        image=stack,
        source_id="0",
        frame=2,
        rows=slice(5, 25),
        columns=slice(10, 40),
        denoiser="box",
        values={"gain": 3.0},
        options=DenoiseOptions(device="cpu"),
        loader=Loader(),
    )
    _, preview = drain(request.run(lambda: False))
    np.testing.assert_allclose(preview.pixels, 3.0 * stack.data[2, 5:25, 10:40])
    assert preview.request is request
    assert preview.seconds > 0


def test_a_denoiser_is_loaded_once_for_the_same_parameters(fakes):
    loader = Loader()
    first = loader.load("box", {"gain": 2.0, "width": 3})
    assert loader.load("box", {"width": 3, "gain": 2.0}) is first
    assert loader.load("box", {"width": 3, "gain": 1.0}) is not first
    assert len(fakes.loaded) == 2
