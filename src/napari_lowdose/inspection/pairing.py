"""Whether two layers can be a noisy image and its denoised partner, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lowdose.units import UNITS, convert
from napari_lowdose._messages import readable

if TYPE_CHECKING:
    from napari.layers import Image

    from lowdose.micrograph import Axis, Micrograph
    from napari_lowdose.inspection.recorded import Recorded


def made_by_words(layer: Image | None, recorded: Recorded | None) -> str:
    """Return what made a layer, for the user; empty where there is no layer."""
    if layer is None:
        return ""
    if recorded is None:
        return (
            "What made the denoised layer is not recorded in it: checks that run the "
            "denoiser again are left out."
        )
    values = ", ".join(f"{name} {value}" for name, value in recorded.values.items())
    return f"Made by {recorded.denoiser}" + (f" ({values})." if values else ".")


def mismatch(noisy: Micrograph, denoised: Micrograph) -> str:
    """Return why two layers cannot be of the same frame, or an empty text."""
    if noisy.frame_shape != denoised.frame_shape:
        (h, w), (height, width) = noisy.frame_shape, denoised.frame_shape
        return (
            f"Frames of the denoised layer have {width} × {height} px, those of the "
            f"noisy one {w} × {h} px. Choose the denoised image of this very layer, "
            "neither binned nor cropped."
        )
    if denoised.n_frames not in (1, noisy.n_frames):
        return (
            f"The denoised layer has {denoised.n_frames} frames, the noisy one "
            f"{noisy.n_frames}. Choose two layers of the same frames."
        )
    for one, other in zip(
        noisy.calibration.axes[-2:], denoised.calibration.axes[-2:], strict=True
    ):
        if one.calibrated and other.calibrated and not _same_size(one, other):
            return (
                f"A pixel of the denoised layer is {readable(other)}, one of the noisy "
                f"layer {readable(one)}. Choose two layers of the same scale."
            )
    return ""


def _same_size(one: Axis, other: Axis) -> bool:
    assert one.spacing is not None
    assert one.unit is not None
    assert other.spacing is not None
    assert other.unit is not None
    if UNITS[one.unit][0] != UNITS[other.unit][0]:
        return False
    spacing = convert(other.spacing, other.unit, one.unit)
    return math.isclose(one.spacing, spacing, rel_tol=1e-3)
