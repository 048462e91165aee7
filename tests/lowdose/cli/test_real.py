"""Files of real instruments go through the command line and keep what they say."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose.errors import CalibrationWarning

STACK = "isbi2012-sstem-stack.tif"


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return lowdose.read(path)


@pytest.mark.parametrize("denoiser", ["gaussian", "general"])
def test_the_section_stack_keeps_its_shape_pixel_and_spacing(cli, real_data, denoiser):
    code, _, err = cli(
        "denoise", real_data / STACK, "-o", "out.tif", "--quiet", "--denoiser", denoiser
    )
    assert (code, err) == (0, "")
    clean = lowdose.read("out.tif")
    z, y, x = clean.calibration.axes
    assert clean.shape == (10, 512, 512)
    assert clean.calibration.pixel_size("nm") == pytest.approx((4.0, 4.0))
    assert (y.unit, x.unit) == (z.unit, z.unit)
    assert z.spacing / x.spacing == pytest.approx(50 / 4)


@pytest.mark.parametrize("denoiser", [i.name for i in lowdose.list_denoisers()])
def test_every_file_keeps_shape_calibration_and_mean(cli, real_data, denoiser):
    files = [p for p in sorted(real_data.iterdir()) if p.suffix != ".md"]
    small = [p for p in files if p.name != STACK]
    card = lowdose.catalogue.describe(denoiser).card or {}
    # A network for atoms has no choice of its own for what is none.
    given = ["--set", "binning=2"] if "sampling" in card else []
    code, out, _ = cli(
        "denoise", *small, "-o", "out/", "--denoiser", denoiser, *given, "--json"
    )
    assert code == 0
    results = json.loads(out)["files"]
    assert [Path(result["input"]) for result in results] == small
    for result in results:
        noisy, clean = read(result["input"]), read(result["output"])
        assert clean.shape == noisy.shape
        assert clean.dtype == np.float32
        assert clean.calibration.axes == noisy.calibration.axes
        mean = np.mean(noisy.data, dtype=np.float64)
        np.testing.assert_allclose(
            np.mean(clean.data, dtype=np.float64), mean, rtol=1e-5, atol=1e-4
        )
