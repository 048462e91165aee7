"""How columns are tested, and what is found of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lowdose.trust.columns import Columns
    from lowdose.trust.maps import TrustMap
    from lowdose.trust.vacuum import Vacuum

Verdict = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOptions:
    """How columns are tested.

    Parameters
    ----------
    level : float, optional
        False discovery rate up to which columns are called supported, and
        contradicted.
    splits : int, optional
        With a denoiser: how many random splits of the electrons are tested. One gives
        uniform p-values that depend on how the dice fell; several give p-values that
        do so less and are conservative.
    share : float, optional
        With a denoiser: share of the electrons that columns are found with.
    seed : int, optional
        Seed of the splits.
    """

    level: float = 0.05
    splits: int = 5
    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 0 < self.share < 1:
            msg = (
                f"level={self.level} and share={self.share} must be above 0 and "
                "below 1."
            )
            raise ParameterError(msg)
        if self.splits < 1:
            msg = f"splits={self.splits} must be at least 1."
            raise ParameterError(msg)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnEvidence:
    """What the counts say of every column.

    Parameters
    ----------
    columns : Columns
        The columns, on the denoised image; heights in electrons per pixel.
    mean_likelihood_ratio : ndarray, shape (N,)
        SBD's: against vacuum, on all electrons [nats per pixel]. NaN without vacuum.
    llr : ndarray, shape (N,)
        Evidence for the column against its absence in its surroundings, summed over
        its window [nats]; the mean over the splits.
    llr_vacuum : ndarray, shape (N,)
        The same against vacuum, summed over its disk. NaN without vacuum.
    p, p_vacuum : ndarray, shape (N,)
        p-values of absence and of vacuum.
    q : ndarray, shape (N,)
        `p` adjusted for the number of columns after Benjamini and Hochberg.
    p_holm : ndarray, shape (N,)
        `p` adjusted after Holm.
    p_presence, q_presence : ndarray, shape (N,)
        p-value of the column being there, and adjusted: small where it is not.
    claimed : ndarray, shape (N,)
        Height over the surroundings in the denoised image [e-/px].
    height, height_error : ndarray, shape (N,)
        Height that the counts say [e-/px], and its standard error.
    expected : ndarray, shape (N,)
        Standard deviations by which the counts should show the column if it is there,
        `faintness` times as high as claimed. Below about 3 they cannot decide.
    faintness : float
        How many times too faint the denoised image shows columns, by the counts of
        all of them (median over the columns; the mean of that over the splits).
    found : ndarray, shape (N,)
        Share of the splits in which the column was found on its part of the
        electrons; 1 without splits.
    verdicts : tuple of {"supported", "contradicted", "undecided"}
        Per column: absence rejected at the level; presence rejected; neither.
    vacuum : Vacuum or None
        The region used.
    maps : tuple of TrustMap
        Evidence, evidence against vacuum, significance, and SBD's likelihood.
    independent : bool
        Whether columns were found and tested on different electrons.
    caveats : tuple of str
        What to know before believing it.
    """

    columns: Columns
    mean_likelihood_ratio: NDArray[np.float64]
    llr: NDArray[np.float64]
    llr_vacuum: NDArray[np.float64]
    p: NDArray[np.float64]
    p_vacuum: NDArray[np.float64]
    q: NDArray[np.float64]
    p_holm: NDArray[np.float64]
    p_presence: NDArray[np.float64]
    q_presence: NDArray[np.float64]
    claimed: NDArray[np.float64]
    height: NDArray[np.float64]
    height_error: NDArray[np.float64]
    expected: NDArray[np.float64]
    faintness: float
    found: NDArray[np.float64]
    verdicts: tuple[Verdict, ...]
    vacuum: Vacuum | None
    maps: tuple[TrustMap, ...]
    independent: bool
    caveats: tuple[str, ...]
