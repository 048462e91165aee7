"""The evidence of columns as images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.trust.likelihood import fill_disks, sbd_map
from lowdose.trust.maps import TrustMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.trust.columns import Columns
    from lowdose.trust.counting import Counted
    from lowdose.trust.vacuum import Vacuum


def evidence_maps(
    counted: Counted,
    columns: Columns,
    vacuum: Vacuum | None,
    *,
    llr: NDArray[np.float64],
    llr_vacuum: NDArray[np.float64],
    q: NDArray[np.float64],
    verdicts: Sequence[str],
    caveats: tuple[str, ...],
) -> tuple[TrustMap, ...]:
    """Draw the numbers of every column into its disk.

    Parameters
    ----------
    counted : Counted
        Counts and denoised rate.
    columns : Columns
        Where.
    vacuum : Vacuum or None
        Without it there is no map against vacuum, and none of SBD.
    llr, llr_vacuum : ndarray, shape (N,)
        Evidence [nats].
    q : ndarray, shape (N,)
        Adjusted p-values.
    verdicts : sequence of str
        One per column.
    caveats : tuple of str
        Written on every map.

    Returns
    -------
    tuple of TrustMap
        NaN between the columns.
    """
    numbers = {
        "columns": len(columns),
        **{
            v: list(verdicts).count(v)
            for v in ("supported", "contradicted", "undecided")
        },
    }
    maps = [
        TrustMap(
            name="evidence",
            image=counted.frame.replace(data=fill_disks(counted, columns, llr)),
            unit="nats",
            meaning="Above 0 the counts want this column rather than its surroundings "
            "going on, below 0 they want it gone.",
            scale="diverging",
            numbers=numbers,
            caveats=caveats,
        ),
        TrustMap(
            name="significance",
            image=counted.frame.replace(
                data=fill_disks(counted, columns, -np.log10(np.maximum(q, 1e-300)))
            ),
            unit="-log10 q",
            meaning="Above 1.3 at most 5 % of the columns shown as real are none "
            "(Benjamini and Hochberg).",
            numbers=numbers,
            caveats=caveats,
        ),
    ]
    if vacuum is not None:
        about = {
            "vacuum rate [e-/px]": vacuum.rate,
            "vacuum confidence": vacuum.confidence,
        }
        maps += [
            TrustMap(
                name="evidence against vacuum",
                image=counted.frame.replace(
                    data=fill_disks(counted, columns, llr_vacuum)
                ),
                unit="nats",
                meaning="Above 0 the counts want the denoised rate rather than vacuum "
                "in the disk of this column.",
                scale="diverging",
                numbers=numbers | about,
                caveats=caveats,
            ),
            sbd_map(counted, columns, vacuum.mask),
        ]
    return tuple(maps)
