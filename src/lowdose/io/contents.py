"""What every reader returns: the image, unread, and what the file says about it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowdose.errors import CalibrationWarning
from lowdose.io.axes import Claim, believe
from lowdose.io.frame_array import reshape_lead
from lowdose.io.records import reconcile
from lowdose.micrograph import Calibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """The image in a file, unread, and what the file says about it.

    Parameters
    ----------
    data : array_like, shape ([T,] [Z,] H, W)
        Lazy where the format allows.
    calibration : Calibration
        From the record, or else from the tags of the format.
    format : str
        Kind of file, in words, such as ``"TIFF (ImageJ)"``.
    compression : str, optional
        Name of the codec.
    """

    data: Any
    calibration: Calibration
    format: str
    compression: str = "none"


def make_contents(
    data: Any,
    claims: Sequence[Claim],
    record: Mapping[str, Any] | None,
    *,
    source: str,
    format: str,  # noqa: A002  (the name of the field)
    compression: str = "none",
) -> Contents:
    """Return the contents of a file, its record and its tags reconciled.

    Parameters
    ----------
    data : array_like
        The image as the format has it.
    claims : sequence of Claim
        What the tags of the format say, one per axis of the data.
    record : mapping or None
        The record of :mod:`lowdose.io.records` in the file, if there is one.
    source : str
        Name of the file, for messages.
    format, compression : str
        See :class:`Contents`.

    Warns
    -----
    CalibrationWarning
        If the tags are absurd and there is no record to trust instead.
    """
    shape = tuple(int(n) for n in data.shape)
    axes, problems = believe(claims)
    found = Calibration(axes=axes)
    calibration, recorded_shape = reconcile(record, found, shape, source=source)
    if problems and calibration.axes is axes:
        msg = (
            f"{source}: {'; '.join(problems)}. This calibration is ignored; set the "
            "right one by hand."
        )
        warnings.warn(msg, CalibrationWarning, stacklevel=2)
    return Contents(
        data=reshape_lead(data, recorded_shape),
        calibration=calibration,
        format=format,
        compression=compression,
    )
