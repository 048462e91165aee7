"""Gain, offset and read noise of a detector, estimated from its micrographs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Micrograph
from lowdose.noise.blocks import (
    Blocks,
    block_edges,
    single_frame_blocks,
    temporal_blocks,
)
from lowdose.noise.verdict import NoiseEstimate, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Read no more frames than hold this many pixels together.
_MOST_PIXELS = 1 << 26
#: Blocks of one size to fit at most; more add seconds and little accuracy.
_MOST_BLOCKS = 40_000


def estimate_noise(
    image: Any,
    *,
    offset: float | None = None,
    read_noise: float | None = None,
    temporal: bool = False,
    max_frames: int = 16,
) -> NoiseEstimate:
    r"""Estimate gain and offset of a detector from what it recorded.

    Photon transfer on the micrograph itself [1]_ [2]_: the variance of counting noise
    is :math:`g (\mathrm{mean} - o) + r^2`, a line whose slope is the gain. Mean and
    variance are taken in blocks of pixels, the variance from the highest
    frequencies, where the specimen is weak; blocks that show structure at lower
    frequencies are left out, and the line is fitted with weights and without
    outliers. All averages are means of squares, never medians, so that counts of
    0.2 e-/px work.

    Parameters
    ----------
    image : Micrograph, array_like of shape (..., H, W), or sequence of frames
        Detector counts as the detector gave them: an image that was filtered,
        resampled or summed over shifted frames has lost the noise to be measured.
    offset : float, optional
        Reading without electrons [counts], where it is known.
    read_noise : float, optional
        Noise of that reading [counts rms], where it is known.
    temporal : bool, optional
        Whether the frames show an unmoving specimen. The variance is then taken
        from differences of consecutive frames, in which any specimen cancels.
    max_frames : int, optional
        Read at most this many frames, and of large ones no more than have 64
        Mpx together: spread over the stack, or, for `temporal`, consecutive ones
        from its middle, at least two.

    Returns
    -------
    NoiseEstimate
        The model, its standard errors, and which of four methods was used; it falls
        back explicitly where the data cannot tell the offset.

    Raises
    ------
    InvalidImageError
        If the image is none, or no block of it is finite and unsaturated.
    ParameterError
        If a parameter is out of its range, or `temporal` is asked of one frame.

    Notes
    -----
    The line tells only :math:`r^2 - g o`. Where neither offset nor read noise is
    given, a line that meets zero variance at a positive mean is read as an offset
    without read noise, and any other as read noise without offset. Both
    describe the same noise, and :func:`~lowdose.noise.gat` is the same for them.

    Blurring inside the detector (its point spread) lowers the high-frequency
    variance, and with it the gain. Where means differ between blocks by counting noise
    alone, read noise lowers the slope; give `offset` then.

    References
    ----------
    .. [1] J. R. Janesick, "Photon Transfer", SPIE Press 2007,
       doi:10.1117/3.725073.
    .. [2] A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical
       Poissonian-Gaussian noise modeling and fitting for single-image raw-data",
       IEEE Trans. Image Process. 17 (2008) 1737-1754, doi:10.1109/TIP.2008.2001399.
    """
    if read_noise is not None and not (math.isfinite(read_noise) and read_noise >= 0):
        msg = f"read_noise={read_noise} must be a finite number, at least 0."
        raise ParameterError(msg)
    if offset is not None and not math.isfinite(offset):
        msg = f"offset={offset} must be a finite number."
        raise ParameterError(msg)
    if max_frames < 1:
        msg = f"max_frames={max_frames} must be at least 1."
        raise ParameterError(msg)
    micrograph = _as_micrograph(image)
    frames = _chosen_frames(micrograph, max_frames, temporal=temporal)
    measured = [blocks for blocks in _measure(frames, temporal=temporal) if blocks.size]
    if not measured:
        msg = (
            "The noise cannot be estimated: every part of the image has NaN, Inf or "
            "saturated pixels."
        )
        raise InvalidImageError(msg)
    return judge(measured, offset, read_noise)


def _as_micrograph(image: Any) -> Micrograph:
    if isinstance(image, Micrograph):
        return image
    if isinstance(image, (list, tuple)) and all(
        isinstance(frame, np.ndarray) for frame in image
    ):
        shapes = {frame.shape for frame in image}
        if len(shapes) > 1:
            msg = f"The frames have different shapes: {sorted(shapes)}."
            raise InvalidImageError(msg)
    return Micrograph(image)


def _chosen_frames(
    micrograph: Micrograph, max_frames: int, *, temporal: bool
) -> list[NDArray[Any]]:
    height, width = micrograph.frame_shape
    max_frames = min(max_frames, max(1, _MOST_PIXELS // (height * width)))
    if not temporal:
        count = min(micrograph.n_frames, max_frames)
        numbers = np.linspace(0, micrograph.n_frames - 1, count).round().astype(int)
        return [micrograph.frame(int(number)) for number in numbers]
    count = min(micrograph.n_frames, max(2, max_frames))
    if count < 2:
        msg = "temporal=True needs at least two frames; this image has one."
        raise ParameterError(msg)
    first = (micrograph.n_frames - count) // 2
    return [micrograph.frame(number) for number in range(first, first + count)]


def _measure(frames: list[NDArray[Any]], *, temporal: bool) -> list[Blocks]:
    """Measure in blocks of several sizes, the largest first."""
    shape = frames[0].shape
    edges = block_edges((shape[0], shape[1]))
    if temporal:
        return [b.thinned(_MOST_BLOCKS) for b in temporal_blocks(frames, edges)]
    share = _MOST_BLOCKS // len(frames)
    of_frames = [
        [blocks.thinned(share) for blocks in single_frame_blocks(frame, edges)]
        for frame in frames
    ]
    return [Blocks.join(parts) for parts in zip(*of_frames, strict=True)]
