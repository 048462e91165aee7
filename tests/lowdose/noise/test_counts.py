import numpy as np
import pytest

from lowdose.noise import looks_like_counts


@pytest.mark.parametrize("dose", [0.2, 1, 10, 1000])
@pytest.mark.parametrize("shape", [(64, 64), (200, 131)])
def test_poisson_counts_are_recognised(rng, dose, shape):
    assert looks_like_counts(rng.poisson(dose, shape).astype(np.float32))


def test_counts_over_a_specimen_are_recognised(rng):
    rate = 20 * (1.5 + np.sin(np.arange(256) / 9))
    assert looks_like_counts(rng.poisson(np.broadcast_to(rate, (256, 256))))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda rng: 3 * rng.poisson(20, (128, 128)), id="gain 3"),
        pytest.param(lambda rng: 100 + rng.poisson(20, (128, 128)), id="offset"),
        pytest.param(lambda rng: rng.poisson(20, (128, 128)) - 30, id="negative"),
        pytest.param(lambda rng: rng.poisson(20, (128, 128)) / 2, id="fractions"),
        pytest.param(lambda rng: rng.normal(20, 4.5, (128, 128)), id="not whole"),
        pytest.param(lambda rng: np.zeros((64, 64)), id="zeros"),
        pytest.param(lambda rng: np.full((64, 64), 7), id="constant"),
    ],
)
def test_other_numbers_are_not(rng, frame):
    assert not looks_like_counts(frame(rng))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (5, 300)])
def test_any_size_gets_an_answer(rng, shape):
    assert looks_like_counts(rng.poisson(5, shape)) in (True, False)


@pytest.mark.parametrize("shape", [(3000, 2100), (700, 9000), (40000, 90)])
def test_of_a_large_frame_every_part_is_seen(rng, shape):
    counts = rng.poisson(5, shape).astype(np.float32)
    assert looks_like_counts(counts)
    assert not looks_like_counts(3 * counts)
    # More than three quarters of it come from another camera, wherever they lie.
    for part in (np.s_[shape[0] // 6 :], np.s_[: -shape[0] // 6]):
        mixed = counts.copy()
        mixed[part] *= 3
        assert not looks_like_counts(mixed)


def test_a_single_fraction_in_a_large_frame_is_seen(rng):
    counts = rng.poisson(5, (2500, 2500)).astype(np.float32)
    counts[1234, 567] += 0.5
    assert not looks_like_counts(counts)
