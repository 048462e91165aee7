"""Principal components of patches, of one frame or of neighbouring ones together."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lowdose.errors import InvalidImageError
from lowdose.filters.arguments import as_amplitude, as_frame, significant_noise
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.noise import noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
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
NEIGHBOURS = Parameter(
    name="neighbours",
    kind="int",
    default=2,
    minimum=0,
    maximum=10,
    help="Frames of a stack to see on either side; time grows as its square.",
)
PATCH = Parameter(
    name="patch",
    kind="int",
    default=7,
    minimum=2,
    maximum=16,
    unit="px",
    help="Edge of a patch; larger ones average over more.",
)
WINDOW = Parameter(
    name="window",
    kind="int",
    default=32,
    minimum=16,
    maximum=256,
    unit="px",
    help="Components are sought within windows of this edge; larger asks for likeness.",
)
RULE = Parameter(
    name="rule",
    kind="choice",
    default="parallel",
    choices=("parallel", "gavish-donoho"),
    help="Keep components beyond those of noise alone, or by the optimal threshold.",
)
COMPONENTS = Parameter(
    name="components",
    kind="int",
    default=0,
    minimum=0,
    maximum=256,
    help="Keep as many components of every window; 0 chooses by the rule.",
    advanced=True,
)

#: Seed and number of the frames of noise alone for the parallel analysis.
_SEED, _DRAWS = 19650601, 4
#: Windows overlap by at least this share of their edge.
_OVERLAP: Final = 0.5


def pca_denoise(
    frames: ArrayLike,
    *,
    sigma: float,
    patch: int = 7,
    window: int = 32,
    rule: str = "parallel",
    components: int = 0,
) -> Frame:
    r"""Rebuild patches of their strongest principal components.

    In every window of the frame all overlapping patches, each with the patches at its
    place in the neighbouring frames, are vectors. Of their covariance those
    eigenvectors are kept whose eigenvalue v noise does not explain, the vectors are
    projected on them and shrunk by the Wiener factor :math:`1 - \sigma^2 / v`, and
    where the patches of the middle frame overlap, they are averaged [1]_ [2]_. With a
    single frame only what repeats itself *within* the window can be learnt (a lattice,
    edges of one direction); neighbouring frames add what stays while the noise changes.

    Parameters
    ----------
    frames : array_like, shape (H, W) or (F, H, W)
        Values whose noise is white and alike in all frames, finite. The middle one is
        denoised. Of frames that are equal, as at the ends of a stack, one is used.
    sigma : float
        Standard deviation of the noise, in the unit of the values.
    patch : int, optional
        Edge of a patch [px].
    window : int, optional
        Edge of a window [px].
    rule : {"parallel", "gavish-donoho"}, optional
        Which components are kept. ``"parallel"``: those whose eigenvalue is above the
        largest of noise alone in patches that overlap in the same way (Horn's parallel
        analysis [3]_, with noise of the measured strength). ``"gavish-donoho"``: those
        whose singular value is above :math:`\lambda(\beta) \sqrt{n} \sigma`, the
        optimal hard threshold [4]_ for n independent vectors, which keeps fewer.
    components : int, optional
        Keep as many in place of either rule; 0 for the rule.

    Returns
    -------
    ndarray, shape (H, W), float64
        The denoised frame. Frames smaller than a patch go on as their mirror image.

    Raises
    ------
    InvalidImageError
        If the frames are none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] C.-A. Deledalle, J. Salmon, A. Dalalyan, "Image denoising with patch based
       PCA: local versus global", BMVC 2011, 25, doi:10.5244/C.25.25.
    .. [2] J. Veraart et al., "Denoising of diffusion MRI using random matrix theory",
       NeuroImage 142 (2016) 394-406, doi:10.1016/j.neuroimage.2016.08.016.
    .. [3] J. L. Horn, "A rationale and test for the number of factors in factor
       analysis", Psychometrika 30 (1965) 179-185, doi:10.1007/BF02289447.
    .. [4] M. Gavish, D. L. Donoho, "The optimal hard threshold for singular values is
       4/√3", IEEE Trans. Inf. Theory 60 (2014) 5040-5053,
       doi:10.1109/TIT.2014.2323359.
    """
    stack = _as_stack(frames)
    sigma = as_amplitude("sigma", sigma)
    patch, window = int(PATCH.validate(patch)), int(WINDOW.validate(window))
    rule = str(RULE.validate(rule))
    components = int(COMPONENTS.validate(components))
    middle = stack[0]
    if not significant_noise(middle, sigma):
        return np.array(middle)
    height, width = middle.shape
    missing = [(0, max(0, patch - length)) for length in (height, width)]
    stack = np.pad(stack, [(0, 0), *missing], mode="symmetric")
    total, weight = np.zeros(stack.shape[1:]), np.zeros(stack.shape[1:])
    for rows in _windows(stack.shape[1], window):
        for columns in _windows(stack.shape[2], window):
            _add_window(
                stack[:, rows, columns],
                total[rows, columns],
                weight[rows, columns],
                sigma=sigma,
                patch=patch,
                rule=rule,
                components=components,
            )
    return np.asarray(total / weight)[:height, :width]


def optimal_threshold(ratio: float) -> float:
    r"""Return the optimal hard threshold of singular values for known noise.

    .. math::

        \lambda(\beta) = \sqrt{2 (\beta + 1) +
            \frac{8 \beta}{\beta + 1 + \sqrt{\beta^2 + 14 \beta + 1}}}

    Parameters
    ----------
    ratio : float
        :math:`\beta`, the shorter side of the matrix over the longer, 0 to 1.

    Returns
    -------
    float
        In units of the noise times the root of the longer side;
        :math:`4 / \sqrt{3}` for a square matrix. (Gavish and Donoho 2014, equation 11,
        doi:10.1109/TIT.2014.2323359.)
    """
    root = np.sqrt(ratio**2 + 14 * ratio + 1)
    return float(np.sqrt(2 * (ratio + 1) + 8 * ratio / (ratio + 1 + root)))


def _as_stack(frames: ArrayLike) -> NDArray[np.float64]:
    """Return the middle frame first, then the others that differ from those before."""
    images = np.asarray(frames)
    if images.ndim == 2:
        return as_frame(images)[None]
    if images.ndim != 3 or not len(images):
        msg = f"Frames of shape {images.shape}; (H, W) or (F, H, W) is needed."
        raise InvalidImageError(msg)
    middle = len(images) // 2
    order = sorted(range(len(images)), key=lambda number: abs(number - middle))
    chosen: list[Frame] = []
    for number in order:
        frame = as_frame(images[number])
        if not any(np.array_equal(frame, other) for other in chosen):
            chosen.append(frame)
    return np.stack(chosen)


def _stride(window: int) -> int:
    return max(1, int(window * (1 - _OVERLAP)))


def _windows(size: int, window: int) -> list[slice]:
    """Return windows that start at multiples of the stride, and one at the end."""
    stride = _stride(window)
    starts = list(range(0, max(size - window, 0) + 1, stride))
    if starts[-1] + window < size:
        starts.append(size - window)
    return [slice(start, min(start + window, size)) for start in starts]


def _vectors(stack: NDArray[np.float64], patch: int) -> NDArray[np.float64]:
    """Return all patches with those of the other frames, shape (n, F * patch²)."""
    views = sliding_window_view(stack, (patch, patch), axis=(1, 2))
    return views.transpose(1, 2, 0, 3, 4).reshape(-1, len(stack) * patch**2)


def _add_window(
    stack: NDArray[np.float64],
    total: Frame,
    weight: Frame,
    *,
    sigma: float,
    patch: int,
    rule: str,
    components: int,
) -> None:
    """Denoise one window and add its pixels, with how many patches covered them."""
    vectors = _vectors(stack, patch)
    number, length = vectors.shape
    mean = vectors.mean(axis=0)
    vectors = vectors - mean  # of frames as small as a patch they are a view
    variances, axes = np.linalg.eigh(vectors.T @ vectors / number)
    if components:
        chosen = np.arange(length) >= length - components
    else:
        chosen = variances > sigma**2 * _limit(rule, stack.shape, patch)
    kept = axes[:, chosen]
    # Wiener's factor of every component: the share of its variance that is no noise.
    left = np.maximum(variances[chosen] - sigma**2, 0.0)
    shares = left / np.maximum(variances[chosen], sigma**2)
    own = patch**2  # the middle frame comes first
    patches = (vectors @ kept) @ (kept[:own] * shares).T + mean[:own]
    down, across = stack.shape[1] - patch + 1, stack.shape[2] - patch + 1
    patches = patches.reshape(down, across, patch, patch)
    for y in range(patch):
        for x in range(patch):
            total[y : y + down, x : x + across] += patches[:, :, y, x]
            weight[y : y + down, x : x + across] += 1.0


@lru_cache(maxsize=64)
def _limit(rule: str, shape: tuple[int, int, int], patch: int) -> float:
    """Return the variance up to which a component is noise, for noise of variance 1."""
    frames, height, width = shape
    number = (height - patch + 1) * (width - patch + 1)
    length = frames * patch**2
    if rule == "gavish-donoho":
        ratio = min(number, length) / max(number, length)
        longer = max(number, length)
        return optimal_threshold(ratio) ** 2 * longer / number
    rng = np.random.default_rng(_SEED)
    largest = 0.0
    for _ in range(_DRAWS):
        vectors = _vectors(rng.standard_normal(shape), patch)
        vectors = vectors - vectors.mean(axis=0)
        variances = np.linalg.eigvalsh(vectors.T @ vectors / number)
        largest = max(largest, float(variances[-1]))
    return largest


def _measure(frame: Frame, _values: Values) -> dict[str, float]:
    return {"noise_sigma": noise_sigma(frame)}


def _apply(frames: Frame, values: Values, measures: Measures) -> Frame:
    return pca_denoise(
        frames,
        sigma=float(values["strength"]) * measures["noise_sigma"],
        patch=int(values["patch"]),
        window=int(values["window"]),
        rule=str(values["rule"]),
        components=int(values["components"]),
    )


PCA = FilterSpec(
    name="pca",
    title="Principal components (SVD)",
    summary=(
        "Keeps the components of patches that noise does not explain, over "
        "neighbouring frames of a stack: for movies, and for lattices in one frame."
    ),
    reference="C.-A. Deledalle et al., BMVC 2011, doi:10.5244/C.25.25",
    own=(STRENGTH, NEIGHBOURS, PATCH, WINDOW, RULE, COMPONENTS),
    apply=_apply,
    # Not one less: the window at the end of a tile is off the grid of the frame's.
    reach=lambda values: int(values["window"]),
    multiple=lambda values: _stride(int(values["window"])),
    neighbours=lambda values: int(values["neighbours"]),
    measure=_measure,
    presets={"frame": {"neighbours": 0}},
    bytes_per_pixel=150.0,
)
