import numpy as np
import torch

from lowdose.zoo.standardising import restore, standardised


def column(*values):
    return np.array(values, np.float64)[:, None, None]


def test_a_large_offset_costs_no_digits(rng):
    # Float32 tells 60000.3 from its neighbours by 0.004, and the noise is 0.05.
    counts = (60000.3 + rng.normal(0, 0.05, (1, 1, 32, 32))).astype(np.float32)
    mean, sigma = column(counts.mean(dtype=np.float64)), column(0.05)
    seen = standardised(torch.from_numpy(counts), mean, sigma).numpy()
    np.testing.assert_allclose(seen, (counts - mean[:, None]) / 0.05, atol=1e-5)


def test_every_image_has_its_own_values_and_comes_back(rng):
    counts = torch.from_numpy(rng.poisson(9, (3, 1, 8, 8)).astype(np.float32))
    before, mean, sigma = counts.clone(), column(1, 9, 30), column(1, 3, 0.5)
    seen = standardised(counts, mean, sigma)
    assert torch.equal(counts, before)
    np.testing.assert_allclose(seen[2], (counts[2] - 30) / 0.5, rtol=1e-6)
    assert restore(seen, mean, sigma) is seen
    np.testing.assert_allclose(seen, counts, rtol=1e-5, atol=1e-5)
