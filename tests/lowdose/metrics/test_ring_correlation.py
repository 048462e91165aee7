import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics import fourier_ring_correlation


def band_limited(rng, size, cutoff):
    """Return structure with equal power up to a frequency [1/px] and none above."""
    spectrum = np.fft.rfft2(rng.normal(size=size))
    radius = np.hypot(
        np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    )
    return np.fft.irfft2(np.where(radius < cutoff, spectrum, 0), s=size)


@pytest.mark.parametrize("cutoff", [0.1, 0.25])
@pytest.mark.parametrize("size", [(256, 256), (192, 256)])
def test_the_resolution_is_where_the_structure_ends(rng, cutoff, size):
    truth = band_limited(rng, size, cutoff)
    first, second = (truth + 0.3 * truth.std() * rng.normal(size=size) for _ in "ab")
    found = fourier_ring_correlation(first, second, pixel_size=0.02)
    assert found.resolution_px == pytest.approx(1 / cutoff, rel=0.12)
    assert found.resolution == pytest.approx(0.02 * found.resolution_px)
    assert found.unit == "nm"


def test_noise_alone_has_no_correlation(rng):
    found = fourier_ring_correlation(*rng.normal(size=(2, 128, 128)))
    assert abs(found.correlation[5:].mean()) < 0.03
    assert found.resolution_px is None or found.resolution_px > 20


def test_equal_images_resolve_the_nyquist_limit(rng):
    image = rng.normal(size=(64, 64))
    found = fourier_ring_correlation(image, image)
    assert found.correlation.min() > 0.999
    assert found.resolution_px == 2.0
    assert found.resolution is None


def test_more_dose_resolves_more(rng):
    truth = 1 + 0.1 * gaussian_filter(rng.normal(size=(128, 128)), 1.5) / 0.19
    found = [
        fourier_ring_correlation(*rng.poisson(dose * truth, (2, 128, 128)))
        for dose in (20, 2000)
    ]
    assert found[1].resolution_px < found[0].resolution_px


def test_bad_input_is_refused(rng):
    image = rng.normal(size=(32, 32))
    with pytest.raises(InvalidImageError, match="constant"):
        fourier_ring_correlation(image, np.ones((32, 32)))
    with pytest.raises(InvalidImageError, match="16 x 16"):
        fourier_ring_correlation(np.eye(8), np.eye(8))
    with pytest.raises(ParameterError, match="half-bit"):
        fourier_ring_correlation(image, image, criterion="0.143")
    with pytest.raises(ParameterError, match="pixel_size"):
        fourier_ring_correlation(image, image, pixel_size=0)
