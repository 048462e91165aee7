"""Tuning a filter: on images whose truth is known, or on the counts themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.filters.searching import SEARCH
from lowdose.filters.tuning import tune_by_thinning, tune_to_truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowdose.batch.spec import DenoiserSpec
    from lowdose.benchmark.study import Scene
    from lowdose.filters.tuning import Score
    from lowdose.micrograph import Micrograph

#: Binnings that are tried, where the image has at least this many blocks along a side.
_BINNINGS: Final = (1, 2, 4, 8, 12)
_FEWEST: Final = 24
#: Wrappers of every filter, which can be fixed while the rest is tuned.
WRAPPERS: Final = ("vst", "binning")
#: Images that all combinations are searched on.
_FIRST: Final = 3


def check_tunable(spec: DenoiserSpec, text: str) -> None:
    """Raise unless a filter can be tuned with what is fixed of it.

    Raises
    ------
    ParameterError
        If it has nothing to tune, or more is fixed than `vst` and `binning`.
    """
    if spec.name not in SEARCH:
        msg = f"{text!r}: {spec.name} has nothing to tune; leave that out."
        raise ParameterError(msg)
    if spec.preset is not None or set(spec.values) - set(WRAPPERS):
        msg = (
            f"{text!r}: only {' and '.join(WRAPPERS)} can be fixed while the other "
            "parameters are tuned."
        )
        raise ParameterError(msg)


def tune(
    spec: DenoiserSpec, scenes: Sequence[Scene], *, score: Score = "mse"
) -> dict[str, Any]:
    """Find the parameters of a filter that come nearest to the truth.

    Parameters
    ----------
    spec : DenoiserSpec
        The filter; `vst` and `binning` may be fixed.
    scenes : sequence of Scene
        Images, of any size: the middle that all of them have is used. Of stacks the
        middle frame is. Errors are in the units of each scene.
    score : {"mse", "psnr"}, optional
        What is to be best on average, as :func:`~lowdose.filters.tuning.tune_to_truth`
        has it.

    Returns
    -------
    dict
        Every parameter.
    """
    counts = _stack([np.asarray(scene.counts) for scene in scenes])
    units = np.array([scene.unit for scene in scenes])
    truth = _stack([scene.truth for scene in scenes]) / units[:, None, None]
    return tune_to_truth(
        spec.name,
        counts,
        truth,
        scale=units,
        score=score,
        first=_FIRST,
        **_combinations(spec, counts.shape[1:]),
    )


def tune_blindly(spec: DenoiserSpec, counts: Micrograph) -> dict[str, Any]:
    """Find the parameters of a filter on counts alone, by thinning.

    Parameters
    ----------
    spec : DenoiserSpec
        The filter; `vst` and `binning` may be fixed.
    counts : Micrograph
        Of a stack the middle frame is used.

    Returns
    -------
    dict
        Every parameter.
    """
    frame = counts.frame(counts.n_frames // 2)
    binnings = _combinations(spec, frame.shape)["binnings"]
    vst = (str(spec.values["vst"]),) if "vst" in spec.values else None
    tuned = tune_by_thinning(frame, spec.name, vst=vst, binnings=binnings)
    return dict(tuned.values)


def _combinations(spec: DenoiserSpec, shape: tuple[int, ...]) -> dict[str, Any]:
    binnings = tuple(b for b in _BINNINGS if b == 1 or min(shape) // b >= _FEWEST)
    vst: tuple[str, ...] = ("none", "counts")
    if "binning" in spec.values:
        binnings = (int(spec.values["binning"]),)
    if "vst" in spec.values:
        vst = (str(spec.values["vst"]),)
    return {"vst": vst, "binnings": binnings}


def _stack(images: Sequence[Any]) -> Any:
    """Return the middles that all images have, as one stack."""
    frames = [image[len(image) // 2] if image.ndim == 3 else image for image in images]
    height = min(frame.shape[0] for frame in frames)
    width = min(frame.shape[1] for frame in frames)
    return np.stack(
        [
            frame[
                (frame.shape[0] - height) // 2 : (frame.shape[0] - height) // 2
                + height,
                (frame.shape[1] - width) // 2 : (frame.shape[1] - width) // 2 + width,
            ]
            for frame in frames
        ]
    ).astype(np.float32)
