from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from lowdose import io
from lowdose.errors import Cancelled, InvalidImageError, MemoryWarning
from lowdose.inference import DenoiseOptions, bands, denoise, iter_denoise
from lowdose.micrograph import Calibration, Micrograph


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(bands, "LARGE_FRAME", 1000)


class Rows:
    """An array that can be read and written in rows only, and notes how many."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.most = 0

    def __getitem__(self, index):
        part = self.pixels[index]
        self.most = max(self.most, part.shape[-2])
        return part

    def __setitem__(self, index, value):
        assert self.pixels[index].shape[-2] < self.shape[-2]
        self.pixels[index] = value


@pytest.mark.parametrize("tile", [80, 100])
@pytest.mark.parametrize(
    ("halo", "multiple", "border"), [(1, 1, 0), (5, 1, 0), (7, 4, 8), (3, 8, 0)]
)
def test_bands_give_the_pixels_of_the_whole_frame(
    fake, crooked, whole_pass, counts, halo, multiple, border, tile
):
    image = counts(333, 221)
    denoiser = fake(crooked(halo), halo=halo, multiple=multiple, border=border)
    options = DenoiseOptions(tile=tile, keep_mean=False, batch=3)
    source, out = Rows(image), Rows(np.zeros_like(image))
    denoise(Micrograph(source), denoiser, options=options, out=out)
    np.testing.assert_array_equal(out.pixels, whole_pass(image, denoiser))
    assert source.most < 333
    assert max(shape[2] for shape in denoiser.patch_shapes) <= max(tile, 3 * halo + 64)


def test_each_row_is_read_once_but_for_the_sample(fake, crooked, counts):
    image = counts(400, 90)
    read = []

    class Noting(Rows):
        def __getitem__(self, index):
            read.append(range(400)[index[-1]])
            return self.pixels[index]

    out = np.zeros_like(image)
    denoiser = fake(crooked(6), halo=6)
    denoise(Noting(image), denoiser, options=DenoiseOptions(tile=64), out=out)
    rows = [row for part in read[16:] for row in part]
    assert sorted(rows) == list(range(400))


def test_blended_tiles_of_a_global_operator_are_those_of_the_whole_frame(
    fake, counts, monkeypatch
):
    image = counts(300, 200)

    def function(stack):
        return ndimage.gaussian_filter(stack[0], 2) + stack[0].mean()

    options = DenoiseOptions(tile=90, keep_mean=False)
    needs = {"halo": None, "overlap": 20}
    banded = denoise(image, fake(function, **needs), options=options).data
    monkeypatch.setattr(bands, "LARGE_FRAME", 10**9)
    whole = denoise(image, fake(function, **needs), options=options).data
    np.testing.assert_allclose(banded, whole, rtol=1e-6)


def test_the_mean_is_kept_although_it_is_known_only_at_the_end(fake, counts):
    image = counts(300, 100)
    denoiser = fake(lambda s: s[0] * 0.5)
    result = denoise(image, denoiser, options=DenoiseOptions(tile=64)).data
    assert result.mean(dtype=np.float64) == pytest.approx(image.mean(), rel=1e-6)
    np.testing.assert_allclose(np.ptp(result), np.ptp(image) / 2, rtol=1e-5)


def test_bad_pixels_come_back_and_spread_nowhere(fake, crooked, counts, rng):
    image = counts(300, 150)
    bad = rng.random(image.shape) < 0.01
    bad[100:180] = True
    image[bad] = np.nan
    image[5, 5] = np.inf
    result = denoise(image, fake(crooked(3), halo=3), options=DenoiseOptions(tile=64))
    np.testing.assert_array_equal(np.isfinite(result.data), np.isfinite(image))
    assert result.data[5, 5] == np.inf


def test_a_large_image_of_nothing_but_nan_is_an_error(fake):
    with pytest.raises(InvalidImageError, match="no finite pixel"):
        denoise(np.full((200, 100), np.nan), fake(), options=DenoiseOptions(tile=64))


def test_neighbouring_frames_are_seen_in_bands_too(fake, counts):
    stack = counts(4, 200, 80)
    needs = {"frames_before": 1, "frames_after": 1}

    def mean(frames):
        return frames.mean(axis=0)

    options = DenoiseOptions(tile=64, keep_mean=False)
    found = denoise(stack, fake(mean, **needs), options=options).data
    padded = np.concatenate([stack[1:2], stack, stack[2:3]])
    wanted = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".tif", ".mrc", ".zarr", ".h5"])
def test_a_large_image_goes_from_file_to_file(fake, crooked, counts, tmp_path, suffix):
    image = counts(257, 190)
    io.write(tmp_path / f"in{suffix}", Micrograph(image))
    sink = io.create(tmp_path / f"out{suffix}", image.shape, Calibration.unknown(2))
    source = io.read(tmp_path / f"in{suffix}")
    options = DenoiseOptions(tile=64, keep_mean=True)
    found = denoise(source, fake(crooked(4), halo=4), options=options, out=sink)
    wanted = denoise(image, fake(crooked(4), halo=4), options=options)
    np.testing.assert_array_equal(np.asarray(found), wanted.data)


def test_smaller_tiles_are_taken_when_memory_runs_out(fake, crooked, counts):
    def fails(_fake, patches):
        return MemoryError() if patches.shape[0] * patches.shape[2] > 100 else None

    image = counts(400, 200)
    denoiser = fake(crooked(2), halo=2, fails=fails)
    options = DenoiseOptions(tile=200, batch=2, keep_mean=False)
    with pytest.warns(MemoryWarning):
        found = denoise(image, denoiser, options=options).data
    wanted = denoise(image, fake(crooked(2), halo=2), options=options).data
    np.testing.assert_array_equal(found, wanted)


def test_progress_rises_to_the_end_and_cancelling_is_heard(fake, counts):
    image = counts(300, 100)
    options = DenoiseOptions(tile=64, batch=1)
    seen = list(iter_denoise(image, fake(), options=options))
    done = [step.done for step in seen]
    assert done == sorted(done)
    assert (done[0], done[-1], seen[-1].frame) == (0, seen[-1].total, 0)
    calls = itertools.count()
    with pytest.raises(Cancelled):
        denoise(image, fake(), options=options, should_stop=lambda: next(calls) > 3)


def test_a_large_image_is_measured_on_rows_from_all_over_it(fake, counts, monkeypatch):
    monkeypatch.setattr(bands, "SAMPLE_PIXELS", 6400)
    image = np.repeat(np.arange(800, dtype=np.float32)[:, None], 100, 1)
    denoiser = fake()
    denoise(image, denoiser, options=DenoiseOptions(tile=64))
    (sample,) = denoiser.measured
    assert sample.shape == (64, 100)
    assert (sample.min(), sample.max()) == (0, 799)
    assert sample.mean() == pytest.approx(image.mean(), rel=0.01)
