"""A filter as a denoiser: its scaling, variance stabilisation and binning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.denoiser import Measures, Needs
from lowdose.filters.binning import bin_sum, interpolate
from lowdose.noise import (
    NoiseModel,
    estimate_noise,
    gat,
    inverse_gat,
    noise_sigma,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.filters.spec import FilterSpec, Frame, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicalDenoiser:
    """A filter with its parameters, as :class:`~lowdose.denoiser.Denoiser`.

    A patch is summed in blocks (`binning`), its noise made uniform (`vst`), its
    amplitude divided by the noise or the range of the frame (`scale`), filtered, and
    then all of it undone in reverse order. Everything that depends on the frame
    as a whole is measured once, by :meth:`measure`.

    Parameters
    ----------
    spec : FilterSpec
        The filter.
    values : mapping
        A value for each of its parameters.
    """

    spec: FilterSpec
    values: Values

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.spec.name

    @property
    def needs(self) -> Needs:
        """What it asks of the engine, given its parameters."""
        binning = self._binning
        memory = self.spec.bytes_per_pixel
        if binning > 1:  # most of it is then held by what is put back on the full grid
            memory = max(44.0, 12.0 + memory / binning**2)
        neighbours = self.spec.neighbours(self.values)
        return Needs(
            halo=self.spec.halo(self.values),
            frames_before=neighbours,
            frames_after=neighbours,
            multiple=binning * self.spec.multiple(self.values),
            threads=True,
            bytes_per_pixel=memory,
        )

    def describe(self) -> dict[str, Any]:
        """Return name and parameters, for the provenance chain."""
        return {"name": self.name, "parameters": dict(self.values)}

    def place(self, device: str, precision: str) -> None:
        """Do nothing: filters compute on the CPU."""

    def measure(self, frame: NDArray[np.float32]) -> Measures:
        """Measure noise, range and noise model of a frame.

        Parameters
        ----------
        frame : ndarray, shape (H, W), float32
            One frame, without NaN or Inf.

        Returns
        -------
        mapping of str to float
            ``gain``, ``offset`` and ``read_noise`` where `vst` is on; ``centre`` and
            ``scale`` of filters with amplitudes (0 where there is no noise to
            remove); and what the filter itself asks for.
        """
        measures = _model_measures(frame, str(self.values["vst"]))
        work = self._stabilised(np.asarray(frame, dtype=np.float64), measures)
        if "scale" in self.values:
            measures |= _scale_measures(work, str(self.values["scale"]))
        return measures | self.spec.measure(work, self.values)

    def denoise_patches(
        self, patches: NDArray[np.float32], measures: Sequence[Measures]
    ) -> NDArray[np.float32]:
        """Denoise a batch of patches.

        Parameters
        ----------
        patches : ndarray, shape (N, F, H, W), float32
            Counts; the frame to denoise is the middle one. F is that of `needs`, but
            a filter for stacks takes 1 as well.
        measures : sequence of mapping, length N
            For each patch what :meth:`measure` found on its frame.

        Returns
        -------
        ndarray, shape (N, H, W), float32
            Denoised counts.
        """
        number, _, height, width = patches.shape
        several = self.needs.frames > 1
        result = np.empty((number, height, width), dtype=np.float32)
        for index in range(number):
            frames = patches[index] if several else patches[index, 0]
            result[index] = self._denoise(
                np.asarray(frames, dtype=np.float64), measures[index]
            )
        return result

    @property
    def _binning(self) -> int:
        return int(self.values["binning"])

    def _denoise(self, patch: Frame, measures: Measures) -> Frame:
        """Denoise a frame, or the middle one of several."""
        if patch.ndim == 3:
            work = np.stack([self._stabilised(frame, measures) for frame in patch])
        else:
            work = self._stabilised(patch, measures)
        work = self._filtered(work, measures)
        binning = self._binning
        model = _model(measures)
        if model is not None:
            work = inverse_gat(work, model.binned(binning))
        shape = (patch.shape[-2], patch.shape[-1])
        return interpolate(work / binning**2, binning, shape)

    def _filtered(self, work: Frame, measures: Measures) -> Frame:
        """Apply the filter, in the unit of its amplitudes where it has any."""
        if "scale" not in measures:
            return self.spec.apply(work, self.values, measures)
        # A filter of several frames has no amplitudes, so this is one frame.
        centre, scale = measures["centre"], measures["scale"]
        if scale == 0:
            return work
        scaled = self.spec.apply((work - centre) / scale, self.values, measures)
        return scaled * scale + centre

    def _stabilised(self, frame: Frame, measures: Measures) -> Frame:
        """Return the frame as the filter sees it, but for the amplitude."""
        binned = bin_sum(frame, self._binning)
        model = _model(measures)
        return binned if model is None else gat(binned, model.binned(self._binning))


def _model_measures(frame: NDArray[np.float32], vst: str) -> dict[str, float]:
    """Return the noise model to stabilise with; nothing where there is no need."""
    if vst == "none" or noise_sigma(frame) == 0:
        return {}
    model = NoiseModel() if vst == "counts" else estimate_noise(frame).model
    if model.gain == 0:  # the noise is uniform as it is, or there is none
        return {}
    return {
        "gain": model.gain,
        "offset": model.offset,
        "read_noise": model.read_noise,
    }


def _model(measures: Measures) -> NoiseModel | None:
    if "gain" not in measures:
        return None
    return NoiseModel(
        gain=measures["gain"],
        offset=measures["offset"],
        read_noise=measures["read_noise"],
    )


def _scale_measures(work: Frame, scale: str) -> dict[str, float]:
    """Return what to take off and divide by, for the amplitude to have its unit.

    A scale of 0 says that there is nothing to remove: the frame is constant, or its
    noise is no more than the rounding of float32.
    """
    low, high = float(work.min()), float(work.max())
    if scale == "range":
        return {"centre": low, "scale": high - low}
    sigma = noise_sigma(work)
    rounding = float(np.finfo(np.float32).eps) * max(abs(low), abs(high))
    return {
        "centre": float(work.mean()),
        "scale": sigma if sigma > rounding else 0.0,
    }
