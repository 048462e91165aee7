"""Derivatives of any denoiser by central differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import Cancelled
from lowdose.progress import Clock, Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser, Measures
    from lowdose.progress import ShouldStop
    from lowdose.trust.pixel_patch import PixelPatch

#: Pixels of all patches of a batch together.
_BATCH_PIXELS: Final = 1 << 21


def difference_quotients(
    denoiser: Denoiser,
    measures: Measures,
    patch: PixelPatch,
    *,
    reach: int,
    step: float,
    should_stop: ShouldStop,
) -> Generator[Progress, None, tuple[float, NDArray[np.float32]]]:
    """Change one noisy pixel after another and see how the denoised one follows.

    Parameters
    ----------
    denoiser : Denoiser
        Any.
    measures : mapping
        What it measured on the frame; held fixed.
    patch : PixelPatch
        Round the denoised pixel.
    reach : int
        Distance along rows and columns up to which pixels are tried [px].
    step : float
        Change to either side [counts]. Where the denoiser has a kink (a median, a
        threshold) the result is the mean slope over both steps.
    should_stop : callable
        Asked between batches.

    Yields
    ------
    Progress

    Returns
    -------
    value : float
        The denoised pixel [counts].
    weights : ndarray, shape (F, H, W), float32
        Derivatives; NaN where none was computed.

    Raises
    ------
    Cancelled
        If `should_stop` said so.
    """
    clock = Clock()
    count = patch.data.shape[0]
    weights = np.full((count, *patch.shape), np.nan, np.float32)
    y, x = patch.rows[patch.row], patch.columns[patch.column]
    tried = [
        (frame, i, j)
        for frame in range(count)
        for i in range(max(0, y - reach), min(patch.shape[0], y + reach + 1))
        for j in range(max(0, x - reach), min(patch.shape[1], x + reach + 1))
    ]
    clean = denoiser.denoise_patches(patch.data[None], [measures])
    value = float(clean[0, patch.row, patch.column])
    batch = max(1, _BATCH_PIXELS // (2 * patch.data.size))
    for start in range(0, len(tried), batch):
        if should_stop():
            msg = f"Stopped after {start} of {len(tried)} pixels."
            raise Cancelled(msg)
        chosen = tried[start : start + batch]
        changed = np.repeat(patch.data[None], 2 * len(chosen), axis=0)
        for n, (frame, i, j) in enumerate(chosen):
            # A pixel near the border stands in its mirrored places too.
            places = np.ix_(patch.rows == i, patch.columns == j)
            changed[2 * n, frame][places] += np.float32(step)
            changed[2 * n + 1, frame][places] -= np.float32(step)
        results = denoiser.denoise_patches(changed, [measures] * len(changed))
        followed = results[:, patch.row, patch.column].astype(np.float64)
        for n, (frame, i, j) in enumerate(chosen):
            weights[frame, i, j] = (followed[2 * n] - followed[2 * n + 1]) / (2 * step)
        yield Progress(
            stage="equivalent filter",
            done=min(start + batch, len(tried)),
            total=len(tried),
            seconds=clock.seconds,
        )
    return value, weights
