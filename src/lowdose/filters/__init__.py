"""Classical denoisers: what a network has to beat, and often all that is needed.

Each filter is a plain function of one frame, and an entry of :data:`FILTERS` that
says how it is called, what can be set, and where it comes from; :func:`make` makes
a :class:`~lowdose.denoiser.Denoiser` of it. Any of them can be run on binned counts
(`binning`) and on counts whose noise has been made uniform (`vst`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import ParameterError, UnknownDenoiserError, did_you_mean
from lowdose.filters.bilateral import BILATERAL, bilateral_filter
from lowdose.filters.binning import bin_sum, interpolate
from lowdose.filters.bm3d import BM3D, bm3d
from lowdose.filters.bragg import BRAGG, bragg_filter
from lowdose.filters.butterworth import BUTTERWORTH, butterworth_lowpass
from lowdose.filters.classical import ClassicalDenoiser
from lowdose.filters.gaussian import GAUSSIAN, gaussian_blur
from lowdose.filters.hrtem import ABSF, HRTEM_WIENER, absf, hrtem_wiener
from lowdose.filters.median import MEDIAN, median_filter
from lowdose.filters.nonlocal_means import NL_MEANS, nl_means
from lowdose.filters.pca import PCA, pca_denoise
from lowdose.filters.pure_let import PURE_LET, pure_let
from lowdose.filters.spec import FilterSpec
from lowdose.filters.total_variation import (
    TV_BREGMAN,
    TV_CHAMBOLLE,
    tv_bregman,
    tv_chambolle,
)
from lowdose.filters.wavelet import BAYES_SHRINK, wavelet_shrink
from lowdose.filters.wiener import WIENER, wiener_filter
from lowdose.parameters import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FILTERS",
    "ClassicalDenoiser",
    "FilterSpec",
    "absf",
    "bilateral_filter",
    "bin_sum",
    "bm3d",
    "bragg_filter",
    "butterworth_lowpass",
    "gaussian_blur",
    "hrtem_wiener",
    "interpolate",
    "make",
    "median_filter",
    "nl_means",
    "pca_denoise",
    "pure_let",
    "tv_bregman",
    "tv_chambolle",
    "wavelet_shrink",
    "wiener_filter",
]

#: Every filter by its name in the catalogue.
FILTERS: Final[Mapping[str, FilterSpec]] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            GAUSSIAN,
            BUTTERWORTH,
            MEDIAN,
            BILATERAL,
            WIENER,
            BAYES_SHRINK,
            TV_CHAMBOLLE,
            TV_BREGMAN,
            NL_MEANS,
            BM3D,
            PURE_LET,
            HRTEM_WIENER,
            ABSF,
            BRAGG,
            PCA,
        )
    }
)


def make(name: str, preset: str | None = None, **values: Any) -> ClassicalDenoiser:
    """Make a denoiser of a filter.

    Parameters
    ----------
    name : str
        A key of :data:`FILTERS`.
    preset : str, optional
        One of the presets of the filter; `values` go before it.
    **values
        Values of its parameters, in the declared type or as text.

    Returns
    -------
    ClassicalDenoiser
        Ready to denoise.

    Raises
    ------
    UnknownDenoiserError
        If there is no such filter; the message has the nearest names.
    ParameterError
        If a parameter or the preset is unknown, or a value is not allowed.
    """
    spec = FILTERS.get(name)
    if spec is None:
        msg = f"There is no filter {name!r}. {did_you_mean(name, FILTERS)}"
        raise UnknownDenoiserError(msg)
    if preset is not None:
        if preset not in spec.presets:
            known = did_you_mean(preset, spec.presets)
            msg = f"{name} has no preset {preset!r}. {known}"
            raise ParameterError(msg)
        values = {**spec.presets[preset], **values}
    return ClassicalDenoiser(
        spec=spec,
        values=MappingProxyType(resolve(spec.parameters, values, owner=name)),
    )
