import numpy as np
import pytest

from lowdose.training.blinding import blind, blinded_offsets, choose_pixels


@pytest.mark.parametrize(
    ("shape", "count"), [("pixel", 1), ("row", 5), ("column", 5), ("neighbours", 25)]
)
def test_so_many_pixels_are_hidden_with_each(shape, count):
    offsets = blinded_offsets(shape, 2)
    assert len(offsets) == count
    assert (0, 0) in offsets
    assert {(-y, -x) for y, x in offsets} == set(offsets)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.1])
def test_about_the_share_asked_for_is_drawn_and_each_pixel_as_often(rng, share):
    hits = np.zeros((60, 60))
    for _ in range(300):
        rows, columns = choose_pixels(rng, hits.shape, share)
        hits[rows, columns] += 1
    assert hits.mean() / 300 == pytest.approx(share, rel=0.15)
    scatter = np.sqrt(hits.mean() / 60)
    for means in (hits.mean(0), hits.mean(1)):
        assert np.abs(means - hits.mean()).max() < 5 * scatter


@pytest.mark.parametrize("shape", ["pixel", "row", "column", "neighbours"])
def test_what_is_hidden_tells_nothing_of_itself(rng, shape):
    """No hidden value depends on any value that is hidden with the same pixel."""
    image = np.arange(40 * 40, dtype=np.float32).reshape(40, 40)
    hidden = blinded_offsets(shape, 2)
    for y, x in [(0, 0), (39, 20), (20, 20), (5, 39), (39, 39)]:
        for _ in range(50):
            filled = blind(image, np.array([y]), np.array([x]), rng, hidden=hidden)
            inside = [
                (y + b, x + a) for b, a in hidden if 0 <= y + b < 40 and 0 <= x + a < 40
            ]
            own = {float(image[place]) for place in inside}
            assert all(float(filled[place]) not in own for place in inside)
            changed = {tuple(int(v) for v in p) for p in np.argwhere(filled != image)}
            assert changed == set(inside)
