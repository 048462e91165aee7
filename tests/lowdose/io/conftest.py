"""A calibrated movie and a calibrated section stack, small and exactly known."""

import numpy as np
import pytest

from lowdose.micrograph import Axis, Calibration, Micrograph, Step

IMAGE_AXES = (
    Axis(label="y", spacing=0.1, unit="nm", origin=-1.5),
    Axis(label="x", spacing=0.11, unit="nm", origin=4.0),
)

STEP = Step(
    action="denoise",
    software="lowdose 0.1.0",
    when="2024-02-03T04:05:06+00:00",
    source="Aufnahme µ.tif",
    details={"denoiser": "gaussian", "sigma": 1.5, "sha256": None, "sizes": [1, 2]},
)


@pytest.fixture
def movie(rng):
    """Return 5 frames of 7 x 9 px, 0.25 s apart, of known gain and history."""
    return Micrograph(
        rng.poisson(8, (5, 7, 9)).astype(np.float32),
        Calibration(
            axes=(Axis(label="t", spacing=0.25, unit="s", origin=2.0), *IMAGE_AXES),
            counts_per_electron=7.5,
            provenance=(STEP,),
        ),
        "movie",
    )


@pytest.fixture
def sections(rng):
    """Return 4 sections of 7 x 9 px, 50 nm apart."""
    return Micrograph(
        rng.integers(0, 255, (4, 7, 9), np.uint8).astype(np.uint16),
        Calibration(axes=(Axis(label="z", spacing=50.0, unit="nm"), *IMAGE_AXES)),
        "sections",
    )
