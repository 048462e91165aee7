"""Bad input: a clear refusal, or maps with their caveat, never a confident picture."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose import catalogue, denoise
from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.noise import NoiseModel
from lowdose.progress import Progress
from lowdose.trust.inspection import Finding, MapMaker, inspect

SIZE, SPACING = 96, 16


def calibrated(data, spacing=0.02):
    axes = tuple(Axis(label=label, spacing=spacing, unit="nm") for label in "yx")
    return Micrograph(np.asarray(data), Calibration(axes=axes), "frame")


def rate(*, vacuum=True, columns=True, level=6.0):
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    image = np.full((SIZE, SIZE), level)
    for row in range(8, SIZE, SPACING):
        for column in range(8, SIZE // 2 if vacuum else SIZE, SPACING):
            square = (y - row) ** 2 + (x - column) ** 2
            image += columns * 14 * np.exp(-square / (2 * 2.5**2))
    return image if columns else image + 3 * np.sin(x / 40) + 2 * np.cos(y / 50)


@pytest.fixture(scope="module")
def blur():
    return catalogue.load("gaussian", sigma=1.5)


@pytest.fixture
def pair(rng, blur):
    noisy = calibrated(rng.poisson(rate()).astype(np.float32))
    return noisy, denoise(noisy, blur)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.replace(data=np.asarray(d)[:-1]), "shape"),
        (lambda d: calibrated(np.asarray(d), spacing=0.04), "pixels of 0.04 x 0.04 nm"),
        (lambda d: d.replace(data=np.asarray(d) / np.asarray(d).max()), "rescaled"),
        (lambda d: d.replace(data=np.asarray(d) + 5), "rescaled or shifted"),
        (lambda d: d.replace(data=20 - np.asarray(d)), "rescaled|inverted"),
        (lambda d: d.replace(data=np.full((SIZE, SIZE), 7.0)), "constant"),
    ],
)
def test_an_image_that_is_not_of_these_counts_is_refused_whole(pair, change, words):
    noisy, denoised = pair
    with pytest.raises(InvalidImageError, match=words):
        inspect(noisy, change(denoised))


def test_a_mean_that_moved_leaves_no_evidence_and_a_caveat_on_every_map(pair):
    noisy, denoised = pair
    moved = denoised.replace(data=1.05 * np.asarray(denoised))
    found = inspect(noisy, moved, maps=["residuals", "evidence", "deviance"])
    assert set(found.left_out) == {"evidence", "deviance"}
    assert "rescaled" in found.left_out["evidence"]
    assert found.maps
    assert all(any("mean is not kept" in c for c in m.caveats) for m in found.maps)


def test_data_that_are_no_counts_get_no_tests_by_counting(rng):
    smooth = gaussian_filter(rng.poisson(rate()).astype(float), 1.0)
    blurred = gaussian_filter(smooth, 1.5)
    blurred += smooth.mean() - blurred.mean()
    found = inspect(calibrated(smooth), blurred, maps=["evidence", "residuals"])
    assert "evidence" in found.left_out
    assert found.evidence is None
    assert any("gain of the detector is not known" in c for c in found.caveats)


def test_without_vacuum_in_view_there_is_no_map_against_it(rng):
    noisy = calibrated(rng.poisson(rate(vacuum=False)).astype(np.float32))
    found = inspect(noisy, rate(vacuum=False), maps=["evidence"])
    assert found.evidence is not None
    assert found.evidence.vacuum is None
    assert [m.name for m in found.maps] == ["evidence", "significance"]
    for one in found.maps:
        assert any("no vacuum in view" in c for c in one.caveats)


def test_an_image_without_columns_says_so_and_the_other_checks_go_on(rng):
    image = rate(columns=False)
    noisy = calibrated(rng.poisson(image).astype(np.float32))
    found = inspect(noisy, image, maps=["evidence", "deviance"])
    assert "columns" in found.left_out["evidence"]
    assert [m.name for m in found.maps] == ["local deviance"]
    with pytest.raises(InvalidImageError, match="No map could be made"):
        inspect(noisy, image, maps=["evidence"])


def test_a_gain_that_is_not_known_is_a_caveat_on_every_map(rng):
    wide = np.tile(rate(level=60.0), (2, 2))
    noisy = calibrated(17.3 * rng.poisson(wide) + 240.5)
    found = inspect(noisy, 17.3 * wide + 240.5, maps=["evidence", "residuals"])
    assert found.maps
    for one in found.maps:
        assert any("were estimated from this frame" in c for c in one.caveats)
    told = inspect(
        noisy,
        17.3 * wide + 240.5,
        noise=NoiseModel(gain=17.3, offset=240.5),
        maps=["evidence"],
    )
    assert not any("estimated" in c for m in told.maps for c in m.caveats)


def test_the_gain_of_the_file_is_used_for_the_evidence_too(rng):
    image = rate()
    electrons = rng.poisson(image)
    plain = inspect(calibrated(electrons.astype(np.float32)), image, maps=["evidence"])
    calibration = Calibration(
        axes=calibrated(image).calibration.axes, counts_per_electron=3.25
    )
    scaled = Micrograph((3.25 * electrons).astype(np.float32), calibration)
    found = inspect(scaled, 3.25 * image, maps=["evidence"])
    np.testing.assert_allclose(found.evidence.llr, plain.evidence.llr, rtol=1e-3)
    assert not any("estimated" in caveat for caveat in found.caveats)


def test_counts_that_cannot_be_split_are_tested_with_a_caveat(rng, blur):
    wide = np.tile(rate(level=60.0), (2, 2))
    noisy = calibrated(17.3 * rng.poisson(wide) + 240.5 + rng.normal(0, 4, wide.shape))
    found = inspect(noisy, denoise(noisy, blur), blur, maps=["evidence", "halves"])
    assert "whole electrons" in found.left_out["halves"]
    assert found.evidence is not None
    assert not found.evidence.independent
    assert found.verdicts[0].level != "good"


def test_a_denoiser_that_made_another_image_is_refused(pair):
    noisy, denoised = pair
    with pytest.raises(ParameterError, match="makes another image"):
        inspect(noisy, denoised, catalogue.load("gaussian", sigma=4))


def test_a_maker_of_ones_own_is_made_beside_those_by_name(pair):
    def make(subject, should_stop):
        yield Progress(stage="mine", done=1, total=1)
        return Finding(numbers={"pixels": int(subject.noisy.data.size)})

    mine = MapMaker(name="mine", title="Mine", needs_denoiser=False, make=make)
    found = inspect(*pair, maps=["deviance", mine])
    assert found.numbers["mine"] == {"pixels": SIZE * SIZE}
    assert [m.name for m in found.maps] == ["local deviance"]
    with pytest.raises(ParameterError, match="no map 'likelihood'"):
        inspect(*pair, maps=["likelihood"])
