"""Sub-pixel fits of round Gaussians to many columns at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Radius of the window of a fit, in scales.
_WINDOW: Final = 2.5
#: Samples of a window per scale, in each direction.
_SAMPLES: Final = 3
#: Pairs of neighbours to hold in memory at once.
_PAIRS: Final = 1000
_ITERATIONS: Final = 15
#: Relative gain of a step below which a fit is finished.
_SETTLED: Final = 1e-6
#: How often the neighbours are taken off anew.
_SWEEPS: Final = 3
#: Furthest that a fit may move, and the narrowest and widest it may be, in scales.
_SHIFT: Final = 1.0
_WIDTHS: Final = (0.4, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Gaussians fitted to columns.

    Parameters
    ----------
    positions : ndarray, shape (N, 2)
        Row and column [px].
    height, background, sigma : ndarray, shape (N,)
        Height over the background, background, standard deviation [px].
    held : ndarray, shape (N,), bool
        Whether the fit stayed near its start and has the right sign.
    """

    positions: NDArray[np.float64]
    height: NDArray[np.float64]
    background: NDArray[np.float64]
    sigma: NDArray[np.float64]
    held: NDArray[np.bool_]


def fit_gaussians(
    image: NDArray[np.float64],
    peaks: NDArray[np.float64],
    scale: float,
    sign: float,
    *,
    move: bool = True,
) -> Fit:
    """Fit a Gaussian on a sloping background to every column.

    Least squares by the Levenberg-Marquardt method, all columns side by side. After
    each sweep the columns next to it are taken off the window of a column, so that
    overlapping ones do not pull at each other.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Finite values.
    peaks : ndarray, shape (N, 2)
        Where to start: row and column [px].
    scale : float
        Expected standard deviation [px].
    sign : {1, -1}
        Bright or dark columns.
    move : bool, optional
        Whether position and width are fitted, or height and background only.

    Returns
    -------
    Fit
        In the order of `peaks`. A column whose fit did not hold is given the height
        of a fit at its start.
    """
    windows = _Windows(image, peaks, scale)
    start = np.zeros((len(peaks), 6))
    start[:, :2] = peaks
    start[:, 2] = np.log(scale)
    parameters = start.copy()
    held = np.ones(len(peaks), bool)
    for _ in range(_SWEEPS):
        data = windows.without_neighbours(parameters)
        if move:
            parameters, held = _fit(windows, data, parameters, start, sign)
            if not held.all():
                # Where the width runs away (overlapping, oblong columns) it is fixed.
                narrow, also = _fit(windows, data, start, start, sign, width=False)
                parameters = np.where(held[:, None], parameters, narrow)
                held = held | also
        parameters[~held, :3] = start[~held, :3]
        linear = _linear(windows, data, parameters)
        fixed = np.ones(len(peaks), bool) if not move else ~held
        parameters[fixed, 3:] = linear[fixed][:, :3]
    data = windows.without_neighbours(parameters)
    linear = _linear(windows, data, parameters)
    return Fit(
        positions=parameters[:, :2].copy(),
        height=linear[:, 0],
        background=linear[:, 1],
        sigma=np.exp(parameters[:, 2]),
        held=held & (sign * linear[:, 0] > 0),
    )


class _Windows:
    """Samples of the pixels round every column: a disk, cut off at the border."""

    def __init__(
        self, image: NDArray[np.float64], peaks: NDArray[np.float64], scale: float
    ) -> None:
        self.scale = scale
        reach = max(2, int(np.ceil(_WINDOW * scale)))
        # A denoised image is smooth: some samples per column are as good as all.
        step = max(1, int(scale / _SAMPLES))
        side = np.arange(-(reach // step), reach // step + 1) * step
        grid = np.stack(np.meshgrid(side, side, indexing="ij")).reshape(2, -1)
        grid = grid[:, np.hypot(*grid) <= max(_WINDOW * scale, 2)]
        middle = np.rint(peaks).astype(int)
        rows, columns = middle[:, :1] + grid[0], middle[:, 1:] + grid[1]
        height, width = image.shape
        self.inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        self.rows = np.clip(rows, 0, height - 1).astype(np.float64)
        self.columns = np.clip(columns, 0, width - 1).astype(np.float64)
        self.pixels = image[self.rows.astype(int), self.columns.astype(int)]
        # Columns that reach into each other's windows.
        pairs = cKDTree(peaks).query_pairs(2 * _WINDOW * scale, output_type="ndarray")
        self.pairs = np.concatenate([pairs, pairs[:, ::-1]])
        self.pairs = self.pairs[np.argsort(self.pairs[:, 0], kind="stable")]

    def gaussians(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return unit Gaussians, (N, P)."""
        return _gaussians(self.rows, self.columns, parameters)

    def without_neighbours(
        self, parameters: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the samples with every other column taken off, (N, P)."""
        data: NDArray[np.float64] = self.pixels.copy()
        own, other = self.pairs.T
        for start in range(0, len(own), _PAIRS):
            i, j = own[start : start + _PAIRS], other[start : start + _PAIRS]
            drawn = _gaussians(self.rows[i], self.columns[i], parameters[j])
            np.subtract.at(data, i, parameters[j, 3:4] * drawn)
        return data


def _gaussians(
    rows: NDArray[np.float64], columns: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    square = (rows - p[:, :1]) ** 2 + (columns - p[:, 1:2]) ** 2
    return np.asarray(np.exp(-square / (2 * np.exp(2 * p[:, 2:3]))), np.float64)


def _fit(
    windows: _Windows,
    data: NDArray[np.float64],
    parameters: NDArray[np.float64],
    start: NDArray[np.float64],
    sign: float,
    *,
    width: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit position, height, background, slope and, if asked, width; say what held."""
    scale = windows.scale
    current = np.concatenate([parameters[:, :3], _linear(windows, data, parameters)], 1)
    damping = np.full(len(current), 1e-3)
    cost = _cost(windows, data, current)
    for _ in range(_ITERATIONS):
        residual, jacobian = _model(windows, data, current)
        if not width:
            jacobian[..., 2] = 0
        normal = jacobian.swapaxes(1, 2) @ jacobian
        gradient = (jacobian.swapaxes(1, 2) @ residual[..., None])[..., 0]
        diagonal = np.einsum("nii->ni", normal)
        # Where a parameter has no say (a flat image), the step stays finite.
        raised = damping[:, None] * diagonal + 1e-12 * (
            diagonal.max(1)[:, None] + 1e-300
        )
        normal[:, np.arange(7), np.arange(7)] += raised
        trial = current + np.linalg.solve(normal, gradient[..., None])[..., 0]
        # Width and place are kept where exponentials neither vanish nor overflow.
        trial[:, 2] = np.clip(trial[:, 2], np.log(scale / 8), np.log(scale * 8))
        trial[:, :2] = np.clip(
            trial[:, :2], start[:, :2] - 3 * scale, start[:, :2] + 3 * scale
        )
        trial_cost = _cost(windows, data, trial)
        better = trial_cost < cost
        gained = np.where(better, cost - trial_cost, 0.0)
        settled = bool((gained <= _SETTLED * cost).all())
        current[better], cost[better] = trial[better], trial_cost[better]
        if settled and (better | (damping > 1)).all():
            break
        damping = np.where(better, damping / 5, np.minimum(damping * 5, 1e6))
    moved = np.hypot(*(current[:, :2] - start[:, :2]).T)
    relative = np.exp(current[:, 2]) / scale
    held = (
        (moved <= _SHIFT * scale)
        & (relative >= _WIDTHS[0])
        & (relative <= _WIDTHS[1])
        & (sign * current[:, 3] > 0)
    )
    return current[:, :6].copy(), held


def _linear(
    windows: _Windows, data: NDArray[np.float64], parameters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit height, background and slope at given places and widths, (N, 4)."""
    shape = windows.gaussians(parameters)
    scale = windows.scale
    basis = np.stack(
        [
            shape,
            np.ones_like(shape),
            (windows.rows - parameters[:, :1]) / scale,
            (windows.columns - parameters[:, 1:2]) / scale,
        ],
        2,
    )
    basis *= windows.inside[..., None]
    normal = basis.swapaxes(1, 2) @ basis + 1e-9 * np.eye(4)
    right = (basis.swapaxes(1, 2) @ data[..., None])[..., 0]
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0], np.float64)


def _model(
    windows: _Windows, data: NDArray[np.float64], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return residual (N, P) and derivatives (N, P, 7)."""
    dy = windows.rows - p[:, :1]
    dx = windows.columns - p[:, 1:2]
    square = np.exp(2 * p[:, 2:3])
    shape = np.exp(-(dy**2 + dx**2) / (2 * square))
    lifted = p[:, 3:4] * shape
    scale = windows.scale
    slope_y, slope_x = p[:, 5:6] / scale, p[:, 6:7] / scale
    model = lifted + p[:, 4:5] + slope_y * dy + slope_x * dx
    jacobian = np.stack(
        [
            lifted * dy / square - slope_y,
            lifted * dx / square - slope_x,
            lifted * (dy**2 + dx**2) / square,
            shape,
            np.ones_like(shape),
            dy / scale,
            dx / scale,
        ],
        2,
    )
    inside = windows.inside
    return (data - model) * inside, jacobian * inside[..., None]


def _cost(
    windows: _Windows, data: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    dy = windows.rows - p[:, :1]
    dx = windows.columns - p[:, 1:2]
    shape = np.exp(-(dy**2 + dx**2) / (2 * np.exp(2 * p[:, 2:3])))
    slope = (p[:, 5:6] * dy + p[:, 6:7] * dx) / windows.scale
    residual = data - p[:, 3:4] * shape - p[:, 4:5] - slope
    return np.asarray((residual**2 * windows.inside).sum(1), np.float64)
