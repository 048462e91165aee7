"""The calibration as JSON: what the tags of a format cannot say, kept beside them.

Every written file but NPY holds this record: all axes exactly (label, spacing, unit,
origin), counts per electron and the provenance chain. Where it lies depends on the
format; see the modules that write. The format's own tags say the same as far as they
can, for other programs. If such a program crops, rescales or calibrates the image, its
tags are newer than our record: :func:`reconcile` then believes the tags.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from lowdose.errors import CalibrationWarning, ParameterError
from lowdose.micrograph import Axis, Calibration, Step
from lowdose.units import convert

#: Name of the record wherever a format names its metadata.
RECORD_NAME: Final = "lowdose"

#: Version of the layout of the record.
_SCHEMA: Final = 1

#: Tags hold rationals and float32: a larger relative difference is a disagreement.
_TOLERANCE: Final = 1e-3


def to_record(calibration: Calibration, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the record of a calibration, as JSON types.

    Parameters
    ----------
    calibration : Calibration
        Of data with this shape.
    shape : tuple of int
        Shape of the data.
    """
    record = {
        "schema": _SCHEMA,
        "shape": list(shape),
        "axes": [
            {
                "label": axis.label,
                "spacing": axis.spacing,
                "unit": axis.unit,
                "origin": axis.origin,
            }
            for axis in calibration.axes
        ],
        "counts_per_electron": calibration.counts_per_electron,
        "provenance": [step.to_dict() for step in calibration.provenance],
    }
    # Through text and back: numpy scalars in the details become JSON types.
    plain: dict[str, Any] = json.loads(json.dumps(record, default=_plain))
    return plain


def to_text(calibration: Calibration, shape: tuple[int, ...]) -> str:
    """Return the record as JSON text in ASCII, under the key ``"lowdose"``."""
    return json.dumps({RECORD_NAME: to_record(calibration, shape)})


def from_text(text: str | bytes | None, *, source: str) -> dict[str, Any] | None:
    """Return the record in a text, or None where the text holds none.

    A text that is not ours (any program may use the same place) is no fault; one that
    is ours and damaged is, with a :class:`~lowdose.errors.CalibrationWarning`.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not text or f'"{RECORD_NAME}"' not in text:
        return None
    try:
        found = json.loads(text.strip().strip("\x00"))
    except ValueError:
        _warn(f"{source}: the calibration record in the file is damaged and not used.")
        return None
    record = found.get(RECORD_NAME) if isinstance(found, dict) else None
    return record if isinstance(record, dict) else None


def reconcile(
    record: Mapping[str, Any] | None,
    found: Calibration,
    shape: tuple[int, ...],
    *,
    source: str,
) -> tuple[Calibration, tuple[int, ...]]:
    """Return the calibration and shape that record and tags together tell.

    Parameters
    ----------
    record : mapping or None
        The record in the file, None where there is none.
    found : Calibration
        What the tags of the format say.
    shape : tuple of int
        Shape of the data as the format has it.
    source : str
        Name of the file, for warnings.

    Returns
    -------
    calibration : Calibration
        The recorded one where it fits the data and agrees with the tags. Otherwise the
        one of the tags, with the recorded counts per electron and provenance.
    shape : tuple of int
        The recorded shape where it only splits or adds leading axes (formats that know
        nothing of an axis of length one, or hold a flat list of images).

    Warns
    -----
    CalibrationWarning
        If the record is damaged, or disagrees with the tags.
    """
    if record is None:
        return found, shape
    try:
        recorded, written = _from_record(record)
    except (KeyError, TypeError, ValueError) as error:
        _warn(
            f"{source}: the calibration record in the file is damaged ({error}) and "
            "not used."
        )
        return found, shape
    same_frames = (
        written[-2:] == shape[-2:]
        and math.prod(written) == math.prod(shape)
        and recorded.ndim == len(written)
    )
    conflict = _conflict(recorded, found) if same_frames else ""
    if conflict:
        _warn(
            f"{source}: the recorded calibration ({conflict}) is older than the file's "
            "own tags, which say otherwise and are used."
        )
    if same_frames and not conflict:
        return recorded, written
    kept = Calibration(
        axes=found.axes,
        counts_per_electron=recorded.counts_per_electron,
        provenance=recorded.provenance,
    )
    return kept, shape


def _warn(problem: str) -> None:
    warnings.warn(problem, CalibrationWarning, stacklevel=3)


def _from_record(
    record: Mapping[str, Any],
) -> tuple[Calibration, tuple[int, ...]]:
    shape = tuple(int(n) for n in record["shape"])
    axes = tuple(
        Axis(
            label=str(axis["label"]),
            spacing=None if axis["spacing"] is None else float(axis["spacing"]),
            unit=axis["unit"],
            origin=float(axis["origin"]),
        )
        for axis in record["axes"]
    )
    gain = record.get("counts_per_electron")
    provenance = record.get("provenance", ())
    calibration = Calibration(
        axes=axes,
        counts_per_electron=None if gain is None else float(gain),
        provenance=tuple(
            Step.from_dict(step) for step in provenance if isinstance(step, Mapping)
        ),
    )
    return calibration, shape


def _conflict(recorded: Calibration, found: Calibration) -> str:
    """Return the recorded spacing that the tags contradict, or an empty text."""
    # From the image backwards, whatever the axes are called; of axes that the format
    # does not know, nothing can be said.
    for axis, tag in zip(reversed(recorded.axes), reversed(found.axes), strict=False):
        if axis.calibrated and tag.calibrated and not _agree(axis, tag):
            return f"{axis.label} {axis.spacing:g} {axis.unit}"
    return ""


def _agree(axis: Axis, tag: Axis) -> bool:
    """Return whether two calibrated axes have the same spacing."""
    assert axis.spacing is not None
    assert axis.unit is not None
    assert tag.spacing is not None
    assert tag.unit is not None
    try:
        expected = convert(axis.spacing, axis.unit, tag.unit)
    except ParameterError:  # another dimension: the axis was given a new meaning
        return False
    return math.isclose(expected, tag.spacing, rel_tol=_TOLERANCE)


def _plain(value: Any) -> Any:
    """Return a JSON type for what a user may have put into the details of a step."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
