"""Simulated low-dose data under File > Open Sample, to try everything on."""

from __future__ import annotations

from napari_lowdose._layers import (
    LayerData,
    micrograph_to_layer,
)


def sample_movie() -> list[LayerData]:
    """Return a simulated low-dose movie, shape (T, H, W), in electron counts."""
    from lowdose.simulation import samples

    return [micrograph_to_layer(samples.sample_movie())]


def sample_frame() -> list[LayerData]:
    """Return one simulated low-dose frame, shape (H, W), in electron counts."""
    from lowdose.simulation import samples

    return [micrograph_to_layer(samples.sample_frame())]
