"""The equivalent filter: which noisy pixels made a denoised one, and with what weight.

Near the recorded image every denoiser is a filter whose weights differ from place to
place: the row of its Jacobian, that is the derivative of one denoised pixel by every
noisy one. Of a network it is found by backpropagation, of any other denoiser by finite
differences, one noisy pixel after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.inference.fitting import fitted
from lowdose.inference.preview import loaded_denoiser
from lowdose.micrograph import Micrograph
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.difference_quotients import difference_quotients
from lowdose.trust.filter_shape import EquivalentFilter, describe_filter
from lowdose.trust.pixel_patch import PixelPatch, cut_patch

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser, Measures

__all__ = [
    "Differentiable",
    "EquivalentFilter",
    "FilterOptions",
    "equivalent_filter",
    "iter_equivalent_filter",
]

#: Largest reach of finite differences that is computed without being asked for [px].
_REACH: Final = 12


@runtime_checkable
class Differentiable(Protocol):
    """A denoiser that knows its own derivatives."""

    def differentiate(
        self,
        patch: NDArray[np.float32],
        measures: Measures,
        row: int,
        column: int,
        *,
        guided: bool = False,
    ) -> tuple[float, NDArray[np.float32]]:
        """Return a denoised pixel of a patch and its derivative by the noisy ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """How the equivalent filter is computed.

    Parameters
    ----------
    guided : bool, optional
        Guided backpropagation instead of the derivative; networks only.
    reach : int, optional
        Of finite differences: distance [px] from the pixel, along rows and columns,
        up to which noisy pixels are tried. The halo of the denoiser by default, but
        no more than 12 px: the work grows with its square.
    step : float, optional
        Of finite differences: half the change of a noisy pixel [counts]. A tenth of
        the standard deviation of the frame by default.
    """

    guided: bool = False
    reach: int | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.reach is not None and self.reach < 0:
            msg = f"reach={self.reach} px must be at least 0."
            raise ParameterError(msg)
        if self.step is not None and not self.step > 0:
            msg = f"step={self.step} counts must be above 0."
            raise ParameterError(msg)


_DEFAULTS: Final = FilterOptions()


def iter_equivalent_filter(
    noisy: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    row: int,
    column: int,
    *,
    spacing_px: float | None = None,
    options: FilterOptions = _DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, EquivalentFilter]:
    """Find which noisy pixels made a denoised one, step by step.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (H, W) or (F, H, W)
        Counts, finite. For a denoiser that sees neighbouring frames, F is its
        ``needs.frames``; given one frame, it sees that in place of its neighbours.
    denoiser : Denoiser or str
        A denoiser, or its name in the catalogue.
    row, column : int
        The denoised pixel.
    spacing_px : float, optional
        Distance between columns [px] (:attr:`~lowdose.trust.columns.Columns.spacing`).
    options : FilterOptions, optional
        Guided backpropagation; reach and step of finite differences.
    should_stop : callable, optional
        Asked between batches of finite differences.

    Yields
    ------
    Progress

    Returns
    -------
    EquivalentFilter

    Raises
    ------
    InvalidImageError
        If the image is not finite or of a shape that the denoiser does not take.
    ParameterError
        If the pixel lies outside the image, the spacing is not positive, or guided
        backpropagation is asked of a denoiser that is no network.
    Cancelled
        If `should_stop` said so.
    OutOfMemoryError, DeviceError
        If the device failed.

    Notes
    -----
    The denoiser sees what :func:`~lowdose.inference.engine.denoise` gives it at this
    pixel, mirrored borders included. Mean and noise level are measured on the frame
    and held fixed, because each pixel's part in them is one of the whole frame's.

    References
    ----------
    .. [1] S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda, "Robust and
       Interpretable Blind Image Denoising via Bias-Free Convolutional Neural
       Networks", ICLR 2020. arXiv:1906.05478
    """
    clock = Clock()
    micrograph = noisy if isinstance(noisy, Micrograph) else Micrograph(noisy)
    loaded = fitted(loaded_denoiser(denoiser), micrograph)
    frames = _frames(micrograph, loaded)
    shape = micrograph.frame_shape
    if not (0 <= row < shape[0] and 0 <= column < shape[1]):
        msg = (
            f"The pixel ({row}, {column}) lies outside the image of {shape[0]} x "
            f"{shape[1]} px. Give a row and a column inside."
        )
        raise ParameterError(msg)
    if spacing_px is not None and not spacing_px > 0:
        msg = f"spacing_px={spacing_px} must be above 0, or None."
        raise ParameterError(msg)
    measures = loaded.measure(frames[loaded.needs.frames_before])
    yield Progress(stage="equivalent filter", done=0, total=1)
    caveats: tuple[str, ...] = ()
    if isinstance(loaded, Differentiable):
        patch = cut_patch(frames, loaded.needs, row, column)
        value, slopes = loaded.differentiate(
            patch.data, measures, patch.row, patch.column, guided=options.guided
        )
        weights = patch.gathered(slopes)
    elif options.guided:
        msg = (
            f"{loaded.name!r} is no network, and guided backpropagation goes through "
            "the ReLUs of one. Ask for the derivative."
        )
        raise ParameterError(msg)
    else:
        patch, reach, caveats = _tried(frames, loaded, row, column, options.reach)
        step = options.step or 0.1 * float(frames.std()) or 1.0
        value, weights = yield from difference_quotients(
            loaded, measures, patch, reach=reach, step=step, should_stop=should_stop
        )
    yield Progress(stage="equivalent filter", done=1, total=1, seconds=clock.seconds)
    return describe_filter(
        micrograph,
        frames,
        weights,
        (row, column),
        value,
        spacing_px,
        caveats,
        guided=options.guided,
        middle=loaded.needs.frames_before,
    )


def equivalent_filter(
    noisy: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    row: int,
    column: int,
    **arguments: Any,
) -> EquivalentFilter:
    """Find the weights; see :func:`iter_equivalent_filter`, which this runs."""
    steps = iter_equivalent_filter(noisy, denoiser, row, column, **arguments)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: EquivalentFilter = stop.value
            return found


def _frames(micrograph: Micrograph, denoiser: Denoiser) -> NDArray[np.float32]:
    """Return the frames that the denoiser sees, (F, H, W)."""
    wanted, there = denoiser.needs.frames, micrograph.n_frames
    if there not in (1, wanted):
        msg = (
            f"An image of shape {micrograph.shape} is none that {denoiser.name!r} can "
            f"be asked about: give (H, W) or ({wanted}, H, W)."
        )
        raise InvalidImageError(msg)
    frames = np.stack([frame.astype(np.float32) for frame in micrograph.frames()])
    if not np.isfinite(frames).all():
        msg = (
            f"{int((~np.isfinite(frames)).sum())} pixels are NaN or Inf, which have no "
            "derivative. Fill them first, such as with the mean of their neighbours."
        )
        raise InvalidImageError(msg)
    return frames if there == wanted else np.repeat(frames, wanted, axis=0)


def _tried(
    frames: NDArray[np.float32],
    denoiser: Denoiser,
    row: int,
    column: int,
    reach: int | None,
) -> tuple[PixelPatch, int, tuple[str, ...]]:
    """Return the patch for finite differences, and how far to try."""
    halo = denoiser.needs.halo
    if reach is None:
        reach = _REACH if halo is None else min(halo, _REACH)
    # An operator without a finite reach is shown the surroundings of what is tried.
    patch = cut_patch(frames, denoiser.needs, row, column, context=4 * max(reach, 16))
    if halo is not None and halo <= reach:
        return patch, reach, ()
    caveat = (
        f"Weights were computed within {reach} px only; {denoiser.name!r} sees "
        + ("the whole frame." if halo is None else f"{halo} px.")
    )
    return patch, reach, (caveat,)
