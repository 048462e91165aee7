"""Block matching and 3D filtering."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import dct

from lowdose.filters.arguments import as_amplitude, as_frame, significant_noise
from lowdose.filters.block_matching import MOST_SEARCH, Matches, find_matches
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.noise import noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

STRENGTH = Parameter(
    name="strength",
    kind="float",
    default=1.0,
    minimum=0.0,
    maximum=100.0,
    help="Noise to assume, in units of the measured one; larger is smoother.",
)
PATCH = Parameter(
    name="patch",
    kind="choice",
    default="8",
    choices=("4", "8", "16"),
    unit="px",
    help="Edge of a patch; larger ones compare more surely, smaller ones fit better.",
)
SEARCH = Parameter(
    name="search",
    kind="int",
    default=19,
    minimum=1,
    maximum=MOST_SEARCH,
    unit="px",
    help="How far along either axis like patches are sought; time grows as its square.",
)
GROUP = Parameter(
    name="group",
    kind="choice",
    default="16",
    choices=("4", "8", "16", "32", "64"),
    help="Patches in a group, twice as many in the second stage; more is smoother.",
)
STEP = Parameter(
    name="step",
    kind="int",
    default=3,
    minimum=1,
    maximum=8,
    unit="px",
    help="Distance of the reference patches; time falls as its square.",
    advanced=True,
)
THRESHOLD = Parameter(
    name="threshold",
    kind="float",
    default=2.7,
    minimum=0.0,
    maximum=20.0,
    unit="sigma",
    help="Coefficients below this are removed in the first stage; larger is smoother.",
    advanced=True,
)
TRANSFORM = Parameter(
    name="transform",
    kind="choice",
    default="bior1.5",
    choices=("bior1.5", "dct", "haar"),
    help="Transform of a patch in the first stage; the second takes cosines.",
    advanced=True,
)
STAGES = Parameter(
    name="stages",
    kind="int",
    default=2,
    minimum=1,
    maximum=2,
    help="1 stops after thresholding, in less than half the time.",
    advanced=True,
)

#: Shape of the window that fades patches out towards their border, as published.
_KAISER_BETA: Final = 2.0


def bm3d(
    frame: ArrayLike,
    *,
    sigma: float,
    patch: int = 8,
    search: int = 19,
    group: int = 16,
    step: int = 3,
    threshold: float = 2.7,
    transform: str = "bior1.5",
    stages: int = 2,
) -> Frame:
    r"""Filter groups of like patches together.

    For every reference patch the most alike patches around it are stacked to a
    three-dimensional group and transformed along all its axes. The first stage removes
    the coefficients below a threshold; the second finds the groups anew on the result
    of the first, and multiplies the coefficients of the noisy groups by the Wiener
    factor :math:`b^2 / (b^2 + \sigma^2)` of the coefficients b of that result. The
    patches go back to their places, and where they overlap they are averaged, groups
    with little noise left weighing more [1]_.

    Every group has its full size: the published limit on the difference of patches
    changed the photograph "camera" of scikit-image by 0.01 dB at noise of 25 of 255,
    and made it 0.2 dB worse at 8. The mean of a group is never shrunk, so that a
    constant added to the frame is added to the result.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Values with noise that is white and alike everywhere, finite.
    sigma : float
        Standard deviation of the noise, in the unit of the values.
    patch : {4, 8, 16}, optional
        Edge of a patch [px].
    search : int, optional
        How far along either axis like patches are sought [px].
    group : {4, 8, 16, 32, 64}, optional
        Patches in a group of the first stage; the second takes twice as many.
    step : int, optional
        Distance of the reference patches [px]; at most `patch`.
    threshold : float, optional
        Coefficients below it are removed, in units of `sigma`.
    transform : {"bior1.5", "dct", "haar"}, optional
        Transform of the patches in the first stage. Along a group it is Haar's.
    stages : {1, 2}, optional
        1 leaves the Wiener stage out.

    Returns
    -------
    ndarray, shape (H, W), float64
        The denoised frame. Frames smaller than a patch go on as their mirror image.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, "Image denoising by sparse
       3-D transform-domain collaborative filtering", IEEE Trans. Image Process. 16
       (2007) 2080-2095, doi:10.1109/TIP.2007.901238.
    """
    values = as_frame(frame)
    sigma = as_amplitude("sigma", sigma)
    edge = int(str(PATCH.validate(patch)))
    size = int(str(GROUP.validate(group)))
    search, step = int(SEARCH.validate(search)), int(STEP.validate(step))
    threshold = float(THRESHOLD.validate(threshold))
    transform = str(TRANSFORM.validate(transform))
    stages = int(STAGES.validate(stages))
    step = min(step, edge)
    if not significant_noise(values, sigma):
        return values.copy()
    height, width = values.shape
    missing = [(0, max(0, edge - length)) for length in (height, width)]
    middle = float(values.mean())
    noisy = np.pad((values - middle) / sigma, missing, mode="symmetric")
    result = _stage(
        noisy,
        find_matches(noisy, patch=edge, step=step, search=search, most=size),
        transform=_transform(transform, edge),
        threshold=threshold,
    )
    if stages == 2:
        result = _stage(
            noisy,
            find_matches(result, patch=edge, step=step, search=search, most=2 * size),
            transform=_transform("dct", edge),
            guide=result,
        )
    return np.asarray(result[:height, :width] * sigma + middle)


_Pair = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def _stage(
    noisy: Frame,
    groups: Iterable[Matches],
    *,
    transform: _Pair,
    threshold: float = 0.0,
    guide: Frame | None = None,
) -> Frame:
    """Filter all groups, by threshold or by the Wiener factors of a guide."""
    # Here, because whoever lists the filters imports all of them.
    from scipy.signal import convolve2d
    from scipy.signal.windows import kaiser

    patch = int(np.sqrt(len(transform[0])))
    window = np.outer(kaiser(patch, _KAISER_BETA), kaiser(patch, _KAISER_BETA))
    forward, backward = transform[0].T, transform[1].T * window.ravel()
    total = np.zeros_like(noisy)
    # Weights are alike within a patch but for the window: they are added up at the
    # corners of the patches, and spread over their pixels at the end.
    corners = np.zeros_like(noisy)
    for found in groups:
        area = np.s_[
            found.top : found.top + found.height, found.left : found.left + found.width
        ]
        inside = np.arange(patch)[:, None] * found.width + np.arange(patch)
        # Groups whose size is a power of two, as Haar's transform needs it.
        sizes = 1 << np.floor(np.log2(found.counts)).astype(np.intp)
        for size in np.unique(sizes):
            rows = found.rows[sizes == size, :size] - found.top
            columns = found.columns[sizes == size, :size] - found.left
            corner = rows * found.width + columns
            pixels = corner[..., None] + inside.ravel()
            haar = _haar(int(size))
            spectra = haar @ (noisy[area].ravel()[pixels] @ forward)
            if guide is None:
                factors = (np.abs(spectra) > threshold).astype(np.float64)
            else:
                factors = haar @ (guide[area].ravel()[pixels] @ forward)
                factors *= factors
                factors /= factors + 1.0
            factors[:, 0, 0] = 1.0
            spectra *= factors
            # The inverse of the noise that is left in the group.
            weights = 1.0 / np.einsum("ijk,ijk->i", factors, factors)
            patches = (haar.T @ spectra) @ backward
            patches *= weights[:, None, None]
            _add(total[area], pixels, patches)
            _add(corners[area], corner, np.repeat(weights[:, None], size, axis=1))
    last = (noisy.shape[0] - patch + 1, noisy.shape[1] - patch + 1)
    return np.asarray(total / convolve2d(corners[: last[0], : last[1]], window))


def _add(region: Frame, places: NDArray[np.intp], values: NDArray[np.float64]) -> None:
    """Add values at flat places of a region, of which some come several times."""
    sums = np.bincount(places.ravel(), values.ravel(), minlength=region.size)
    region += sums.reshape(region.shape)


@lru_cache(maxsize=16)
def _haar(size: int) -> NDArray[np.float64]:
    """Return the orthonormal Haar transform of a power of two, the mean first."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        coarse = np.kron(matrix, [1.0, 1.0])
        fine = np.kron(np.eye(len(matrix)), [1.0, -1.0])
        matrix = np.vstack([coarse, fine]) / np.sqrt(2)
    return matrix


@lru_cache(maxsize=16)
def _transform(name: str, patch: int) -> _Pair:
    """Return the transform of flattened patches and its inverse, the mean first.

    Rows have the norm 1, so that every coefficient has the noise of a pixel; those of
    the biorthogonal wavelet are no orthogonal basis, so the inverse is computed.
    """
    if name == "dct":
        line = dct(np.eye(patch), norm="ortho", axis=0)
    elif name == "haar":
        line = _haar(patch)
    else:
        line = _wavelet(name, patch)
    rows = np.asarray(line, dtype=np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float64)
    inverse: NDArray[np.float64] = np.linalg.inv(rows)
    both, back = np.kron(rows, rows), np.kron(inverse, inverse)
    return np.asarray(both, dtype=np.float64), np.asarray(back, dtype=np.float64)


def _wavelet(name: str, patch: int) -> NDArray[np.float64]:
    import pywt

    lines = []
    for coarse in np.eye(patch):
        details: list[NDArray[np.float64]] = []
        while len(coarse) > 1:
            coarse, detail = pywt.dwt(coarse, name, mode="periodization")
            details.insert(0, detail)
        lines.append(np.concatenate([coarse, *details]))
    return np.transpose(lines)


def _reach(values: Values) -> int:
    # A pixel is covered by patches of a group whose reference is up to `search` and a
    # patch away, and that group depends on pixels as far away again.
    search, patch = int(values["search"]), int(values["patch"])
    once = 2 * search + patch - 1
    # The last reference patch of a tile is off the grid of the frame's; what it
    # changes in the first stage, the second sees.
    return once if values["stages"] == 1 else max(2 * once, 3 * (search + patch))


def _measure(frame: Frame, _values: Values) -> dict[str, float]:
    return {"noise_sigma": noise_sigma(frame)}


def _apply(frame: Frame, values: Values, measures: Measures) -> Frame:
    return bm3d(
        frame,
        sigma=float(values["strength"]) * measures["noise_sigma"],
        patch=int(values["patch"]),
        search=int(values["search"]),
        group=int(values["group"]),
        step=int(values["step"]),
        threshold=float(values["threshold"]),
        transform=str(values["transform"]),
        stages=int(values["stages"]),
    )


BM3D = FilterSpec(
    name="bm3d",
    title="BM3D",
    summary=(
        "Filters groups of like patches together: the best of the filters on most "
        "specimens, and the slowest; binned and stabilised it is strong on lattices."
    ),
    reference="K. Dabov et al., IEEE TIP 16 (2007) 2080, doi:10.1109/TIP.2007.901238",
    own=(STRENGTH, PATCH, SEARCH, GROUP, STEP, THRESHOLD, TRANSFORM, STAGES),
    apply=_apply,
    reach=_reach,
    multiple=lambda values: min(int(values["step"]), int(values["patch"])),
    measure=_measure,
    presets={
        "atoms": {"binning": 8, "vst": "counts", "search": 40},
        "fast": {"step": 6, "search": 12, "stages": 1},
    },
    bytes_per_pixel=90.0,
)
