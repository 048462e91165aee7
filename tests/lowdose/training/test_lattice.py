import numpy as np
import pytest

from lowdose.simulation import procedural
from lowdose.training.lattice import bragg_contrast, shows_lattice


def counted(image, dose, rng):
    return rng.poisson(dose * image / image.mean()).astype(np.float32)


def crystal(side=256, period=14.0, angle=0.3):
    """Return a hexagonal lattice of atoms, above 0."""
    y, x = np.mgrid[:side, :side].astype(np.float64)
    turns = angle + np.pi / 3 * np.arange(3)
    turns = [(np.cos(t), np.sin(t)) for t in turns]
    waves = [np.cos(2 * np.pi * (x * c + y * s) / period) for c, s in turns]
    return 1 + 0.2 * sum(waves)


@pytest.mark.parametrize("dose", [0.5, 50.0])
def test_a_crystal_is_recognised_through_its_noise(rng, dose):
    frames = [counted(crystal(), dose, rng) for _ in range(3)]
    assert shows_lattice(frames)


@pytest.mark.parametrize("kind", ["membranes", "particles", "dead-leaves"])
def test_other_specimens_are_no_crystals(rng, kind):
    image = procedural.draw(kind, rng, 256) + 0.2
    frames = [counted(image, dose, rng) for dose in (0.5, 5.0, 500.0)]
    assert not shows_lattice(frames)


def test_noise_alone_is_no_crystal(rng):
    frames = [rng.normal(0, 1, (300, 200)).astype(np.float32) for _ in range(8)]
    assert max(map(bragg_contrast, frames)) < 30


def test_frames_too_small_to_tell_are_no_crystals(rng):
    assert bragg_contrast(rng.normal(0, 1, (8, 16)).astype(np.float32)) < 40
    assert not shows_lattice([np.zeros((64, 64), np.float32)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("graphene-stem-grain-boundary.tif", True),
        ("graphene-stem-si-dopant.tif", True),
        ("isbi2012-sstem-stack.tif", False),
    ],
)
def test_real_micrographs_are_told_apart(real_data, name, expected):
    import lowdose

    micrograph = lowdose.read(real_data / name)
    frames = [micrograph.frame(n) for n in range(min(3, micrograph.n_frames))]
    assert shows_lattice([np.asarray(f, np.float32) for f in frames]) is expected
