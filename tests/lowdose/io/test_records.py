import json
from dataclasses import replace

import numpy as np
import pytest

from lowdose.errors import CalibrationWarning
from lowdose.io.records import from_text, reconcile, to_record, to_text
from lowdose.micrograph import Axis, Calibration, Step


def spaced(micrograph, **spacings):
    """Return the micrograph's calibration with other spacings, and nothing else."""
    axes = tuple(
        replace(axis, spacing=spacings.get(axis.label, axis.spacing))
        for axis in micrograph.calibration.axes
    )
    return Calibration(axes=axes)


def test_a_record_survives_its_text_exactly(movie):
    text = to_text(movie.calibration, movie.shape)
    assert text.isascii()
    record = from_text(text, source="f")
    found = Calibration.unknown(3)
    assert reconcile(record, found, movie.shape, source="f") == (
        movie.calibration,
        movie.shape,
    )


def test_numpy_values_in_the_details_become_json():
    step = Step(
        action="a",
        software="s",
        when="w",
        details={
            "scalar": np.float32(0.5),
            "array": np.arange(3),
            "path": pytest,
            "nested": {"n": np.int64(2)},
        },
    )
    calibration = Calibration(axes=Calibration.unknown(2).axes, provenance=(step,))
    (made,) = json.loads(json.dumps(to_record(calibration, (2, 2))))["provenance"]
    assert made["details"]["scalar"] == 0.5
    assert made["details"]["array"] == [0, 1, 2]
    assert made["details"]["nested"] == {"n": 2}
    assert isinstance(made["details"]["path"], str)


@pytest.mark.parametrize("text", [None, "", b"", "a note", '{"other": 1}', "lowdose"])
def test_texts_of_others_are_no_record_and_no_fault(text):
    assert from_text(text, source="f") is None


@pytest.mark.parametrize("text", ['{"lowdose": {', b'{"lowdose": \xff'])
def test_a_broken_text_warns(text):
    with pytest.warns(CalibrationWarning, match="damaged"):
        assert from_text(text, source="f") is None


@pytest.mark.parametrize(
    "change",
    [
        {"shape": "no"},
        {"axes": [{"label": "x"}]},
        {"axes": [{"label": "x", "spacing": -1, "unit": "nm", "origin": 0}]},
        {"axes": [{"label": "x", "spacing": 1, "unit": "furlong", "origin": 0}]},
        {"counts_per_electron": -3},
    ],
)
def test_a_damaged_record_warns_and_leaves_the_tags(movie, change):
    record = {**to_record(movie.calibration, movie.shape), **change}
    found = Calibration.unknown(3)
    with pytest.warns(CalibrationWarning, match="damaged"):
        result = reconcile(record, found, movie.shape, source="f")
    assert result == (found, movie.shape)


def test_tags_that_another_program_changed_win_over_the_record(movie):
    record = to_record(movie.calibration, movie.shape)
    found = spaced(movie, y=0.2, x=0.22)
    with pytest.warns(CalibrationWarning, match="older than the file's own tags"):
        calibration, shape = reconcile(record, found, movie.shape, source="f")
    assert calibration.axes == found.axes
    assert calibration.counts_per_electron == 7.5
    assert calibration.provenance == movie.calibration.provenance
    assert shape == movie.shape


def test_tags_in_another_dimension_win_over_the_record(movie):
    record = to_record(movie.calibration, movie.shape)
    pattern = Calibration(
        axes=(
            movie.calibration.axes[0],
            Axis(label="y", spacing=1, unit="1/nm"),
            Axis(label="x", spacing=1, unit="1/nm"),
        )
    )
    with pytest.warns(CalibrationWarning):
        calibration, _ = reconcile(record, pattern, movie.shape, source="f")
    assert calibration.axes == pattern.axes


def test_the_rounding_of_tags_is_no_disagreement(movie):
    record = to_record(movie.calibration, movie.shape)
    found = spaced(movie, y=0.1 * (1 + 1e-5), t=0.25 * (1 - 1e-5))
    calibration, _ = reconcile(record, found, movie.shape, source="f")
    assert calibration == movie.calibration


def test_the_same_spacing_in_another_unit_is_no_disagreement(movie):
    record = to_record(movie.calibration, movie.shape)
    found = Calibration(
        axes=(
            Axis(label="t", spacing=250, unit="ms"),
            Axis(label="row", spacing=1.0, unit="angstrom"),
            Axis(label="column", spacing=1.1e-4, unit="um"),
        )
    )
    calibration, _ = reconcile(record, found, movie.shape, source="f")
    assert calibration == movie.calibration


def test_a_crop_by_another_program_keeps_gain_and_history_but_not_the_axes(movie):
    record = to_record(movie.calibration, movie.shape)
    found = Calibration.unknown(3)
    calibration, shape = reconcile(record, found, (5, 4, 4), source="f")
    assert calibration.axes == found.axes
    assert calibration.counts_per_electron == 7.5
    assert shape == (5, 4, 4)


@pytest.mark.parametrize("written", [(1, 1, 7, 9), (2, 3, 7, 9)])
def test_leading_axes_that_a_format_cannot_say_come_back(written):
    calibration = Calibration.unknown(4)
    record = to_record(calibration, written)
    frames = written[0] * written[1]
    shape = (frames, 7, 9) if frames > 1 else (7, 9)
    found = Calibration.unknown(len(shape))
    assert reconcile(record, found, shape, source="f") == (calibration, written)
