import numpy as np
import pytest

from lowdose.simulation.contrast import contrast_class


def columns(height, side=128):
    y, x = np.mgrid[:side, :side]
    dots = np.exp(-((y % 8 - 4) ** 2 + (x % 8 - 4) ** 2) / 4)
    image = np.ones((side, side))
    image[side // 2 :] += height * dots[side // 2 :]
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (columns(0.5), "white"),
        (columns(-0.5), "black"),
        (columns(0.5) + columns(-0.5)[:, ::-1].T - 1, "intermediate"),
        (columns(0.005), "none"),
    ],
)
def test_the_class_says_how_columns_differ_from_the_vacuum(image, expected):
    assert contrast_class(image, 1.0) == expected
    assert contrast_class(0.45 * image, 0.45) == expected
