"""Denoisers small enough to know every answer of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from lowdose.denoiser import Needs


class Fake:
    """A denoiser of which a test says what it does to a patch.

    `function` takes (F, H, W) and returns (H, W). What the engine asked for is noted.
    """

    def __init__(self, function=None, *, fails=None, **needs: Any) -> None:
        self.name = "fake"
        self.values: dict[str, Any] = {}
        self.needs = Needs(**{"halo": 0, **needs})
        self.function = function or (lambda stack: stack[self.needs.frames_before])
        self.fails = fails or (lambda fake, patches: None)
        self.places: list[tuple[str, str]] = []
        self.patch_shapes: list[tuple[int, ...]] = []
        self.measured: list[np.ndarray] = []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "parameters": {}}

    def place(self, device: str, precision: str) -> None:
        self.places.append((device, precision))

    def measure(self, frame):
        self.measured.append(frame.copy())
        return {"mean": float(frame.mean())}

    def denoise_patches(self, patches, measures):
        assert patches.dtype == np.float32
        assert np.isfinite(patches).all()
        assert patches.shape[1] == self.needs.frames
        assert len(measures) == len(patches)
        assert patches.shape[2] % self.needs.multiple == 0
        assert patches.shape[3] % self.needs.multiple == 0
        self.patch_shapes.append(patches.shape)
        error = self.fails(self, patches)
        if error is not None:
            try:
                raise error
            finally:
                del error  # else it would hold this frame, and the frame it
        clean = [self.function(stack) for stack in patches]
        return np.array(clean, dtype=np.float32)


def crooked_maximum(reach: int):
    """Return a filter that sees exactly `reach` px, differently on each side.

    A maximum is exact in floating point, so that equality can be asked for. What lies
    outside the patch counts as zero: a tile cut too short shows.
    """
    footprint = np.random.default_rng(3).random((2 * reach + 1,) * 2) < 0.3
    footprint[0, 0] = footprint[-1, 1] = footprint[1, -1] = True

    def function(stack):
        patch = stack[len(stack) // 2]
        return ndimage.maximum_filter(
            patch, footprint=footprint, mode="constant", cval=1e6
        )

    return function


def pooled_maximum(multiple: int):
    """Return a filter that pools blocks from the corner of the patch, as U-Nets do.

    It sees ``2 * multiple - 1`` px: the block of a pixel and the eight round it.
    """

    def function(stack):
        patch = stack[len(stack) // 2]
        height, width = patch.shape
        blocks = patch.reshape(
            height // multiple, multiple, width // multiple, multiple
        ).max(axis=(1, 3))
        blocks = ndimage.maximum_filter(blocks, 3, mode="constant", cval=1e6)
        return blocks.repeat(multiple, 0).repeat(multiple, 1)

    return function


def untiled(image, fake):
    """Return what one pass over the whole padded frame gives."""
    needs, (height, width) = fake.needs, image.shape
    pads = [
        (needs.border, needs.border + -(n + 2 * needs.border) % needs.multiple)
        for n in image.shape
    ]
    padded = np.pad(image.astype(np.float32), pads, mode="reflect")
    clean = fake.function(padded[np.newaxis])
    b = needs.border
    return clean[b : b + height, b : b + width]


@pytest.fixture
def fake():
    return Fake


@pytest.fixture
def whole_pass():
    return untiled


@pytest.fixture
def crooked():
    return crooked_maximum


@pytest.fixture
def pooled():
    return pooled_maximum


@pytest.fixture
def counts():
    """Return images of random counts."""

    def make(*shape, mean=20.0, seed=0):
        rng = np.random.default_rng(seed)
        return rng.poisson(mean, shape).astype(np.float32)

    return make
