import math

import pytest
import torch

from lowdose.errors import ParameterError
from lowdose.training.augmentation import (
    dihedral,
    inscribed_size,
    random_contrast,
    random_crop,
    random_dihedral,
    random_dose,
    random_rescale_and_rotate,
    rescale_and_rotate,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ramp(height=48, width=64):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([y, x]).float()[None]


def disc(height, width, radius=12.0):
    y, x = ramp(height, width)[0]
    far = torch.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    return torch.sigmoid(radius - far)[None, None]


def test_the_eight_symmetries_are_eight_and_lose_nothing():
    image = torch.rand(1, 1, 6, 6, generator=generator())
    moved = dihedral(image.expand(8, 1, 6, 6), torch.arange(8))
    assert len({tuple(m.flatten().tolist()) for m in moved}) == 8
    assert all(
        torch.equal(m.flatten().sort().values, image.flatten().sort().values)
        for m in moved
    )
    assert torch.equal(moved[0], image[0])
    assert torch.equal(moved[1], torch.rot90(image[0], 1, (-2, -1)))


def test_symmetries_want_squares_and_numbers_of_their_own():
    with pytest.raises(ParameterError, match="not square"):
        dihedral(torch.zeros(1, 1, 4, 5), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ParameterError, match="not all 0 to 7"):
        dihedral(torch.zeros(1, 1, 4, 4), torch.tensor([8]))


@pytest.mark.parametrize(
    "change",
    [
        random_dihedral,
        lambda b, g: random_rescale_and_rotate(b, g, size=16),
        lambda b, g: random_crop(b, g, size=16),
        lambda b, g: random_dose(b, g, low=0.1, high=10),
        random_contrast,
    ],
)
def test_a_seed_decides_and_each_image_has_its_own_choice(change):
    batch = torch.rand(1, 1, 40, 40, generator=generator(9)).expand(6, 1, 40, 40)
    first, same, other = (change(batch, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(batch[0], batch[5])  # the input is as it was


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60)])
def test_a_disc_stays_a_disc_of_the_magnified_size(height, width):
    scale = torch.tensor([0.8])
    moved = rescale_and_rotate(disc(height, width), scale, torch.tensor([0.3]), 36)[
        0, 0
    ]
    down, across = moved[:, 18].sum(), moved[18, :].sum()
    assert down == pytest.approx(float(across), rel=0.01)
    assert float(down) == pytest.approx(0.8 * 24, rel=0.03)


def test_nothing_is_invented_inside_the_inscribed_square():
    image = ramp()
    for scale, angle in ((0.75, 0.78), (0.82, -0.5), (1.0, 0.0), (1.3, 0.2)):
        size = inscribed_size(48, 64, scale, angle)
        moved = rescale_and_rotate(
            image, torch.tensor([scale]), torch.tensor([angle]), size
        )[0]
        c, s = math.cos(angle) / scale, math.sin(angle) / scale
        inner = moved[:, 2:-2, 2:-2]
        # A ramp stays a ramp of the turned and magnified slope, up to its corners.
        assert torch.allclose(inner[1].diff(dim=1), torch.tensor(c), atol=0.02)
        assert torch.allclose(inner[1].diff(dim=0), torch.tensor(-s), atol=0.02)
        assert torch.allclose(inner[0].diff(dim=0), torch.tensor(c), atol=0.02)
        with pytest.raises(ParameterError, match="at most"):
            rescale_and_rotate(
                image, torch.tensor([scale]), torch.tensor([angle]), size + 1
            )


def test_a_quarter_turn_is_that_of_rot90():
    image = torch.rand(1, 1, 9, 9, generator=generator())
    angle = torch.tensor([math.pi / 2])
    size = inscribed_size(9, 9, 1.0, math.pi / 2)
    moved = rescale_and_rotate(image, torch.ones(1), angle, size)
    assert size == 9
    assert torch.allclose(moved, torch.rot90(image, 1, (-2, -1)), atol=1e-5)


def test_making_smaller_averages_what_becomes_one_pixel():
    noise = torch.randn(1, 1, 200, 200, generator=generator())
    still = torch.zeros(1)
    half = rescale_and_rotate(noise, torch.tensor([0.5]), still, 90)
    assert half.std() < 0.75
    assert rescale_and_rotate(noise, torch.ones(1), still, 90).std() > 0.9


def test_doses_are_means_within_their_range():
    batch = torch.rand(200, 1, 8, 8, generator=generator()) + 0.1
    means = random_dose(batch, generator(), low=0.5, high=50).mean((1, 2, 3))
    assert means.min() >= 0.5
    assert means.max() <= 50.001
    middle = means.log().mean()
    assert float(middle) == pytest.approx(math.log(5), abs=0.25)
    black = random_dose(torch.zeros(1, 1, 8, 8), generator(), low=1, high=2)
    assert not black.any()
    with pytest.raises(ParameterError, match="positive and in order"):
        random_dose(batch, generator(), low=0, high=1)


def test_contrast_keeps_the_mean_and_the_sign():
    batch = torch.rand(50, 1, 8, 8, generator=generator())
    moved = random_contrast(batch, generator(), low=0.3, high=0.9)
    assert torch.allclose(moved.mean((1, 2, 3)), batch.mean((1, 2, 3)))
    share = moved.std((1, 2, 3)) / batch.std((1, 2, 3))
    assert 0.29 < share.min() < share.max() < 0.91
    assert moved.min() >= 0
    with pytest.raises(ParameterError, match="not within 0 to 1"):
        random_contrast(batch, generator(), high=2)


def test_crops_are_pieces_of_the_image_and_reach_its_corners():
    image = ramp(20, 30).expand(400, 2, 20, 30)
    crops = random_crop(image, generator(), size=16)
    corners = crops[:, :, 0, 0]
    assert torch.equal(crops[:, :, -1, -1], corners + 15)
    assert set(corners[:, 0].tolist()) == set(range(5))
    assert set(corners[:, 1].tolist()) == set(range(15))
    with pytest.raises(ParameterError, match="does not fit"):
        random_crop(image, generator(), size=21)
