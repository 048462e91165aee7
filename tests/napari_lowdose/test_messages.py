from __future__ import annotations

import errno

import numpy as np
import pytest

from lowdose import errors
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.progress import Progress
from napari_lowdose._messages import (
    describe,
    describe_cancelled,
    describe_done,
    describe_progress,
    explain,
    is_expected,
    readable,
)


class _TorchError(RuntimeError):
    __module__ = "torch"


TABLE = [
    (
        errors.OutOfMemoryError("One tile of 512 px does not fit"),
        "One tile of 512 px does not fit. Choose a smaller tile",
    ),
    (
        errors.DeviceError("There is no CUDA device here"),
        "There is no CUDA device here. Choose another device under Advanced.",
    ),
    (errors.InvalidImageError("'a' is complex."), "'a' is complex."),
    (
        errors.UnknownDenoiserError("There is no 'x'. Did you mean 'y'?"),
        "There is no 'x'. Did you mean 'y'?",
    ),
    (errors.WeightsError("The sha256 is wrong."), "The sha256 is wrong."),
    (errors.MissingExtraError("Install it with pip"), "Install it with pip."),
    (MemoryError(), "Memory ran out. Choose a smaller tile"),
    (
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        "The package 'torch' is missing",
    ),
    (OSError(errno.ENOSPC, "No space left on device"), "The disk is full."),
    (
        PermissionError(errno.EACCES, "Permission denied", "/data/a.tif"),
        "The system says 'permission denied': /data/a.tif.",
    ),
    (
        _TorchError("Expected all tensors on one device\nmore\nlines"),
        "The device failed (Expected all tensors on one device). Choose",
    ),
    (RuntimeError("CUDA error: out of memory."), "The device failed (CUDA error: out"),
]


@pytest.mark.parametrize(("error", "sentence"), TABLE)
def test_expected_errors_become_plain_sentences(error, sentence):
    assert is_expected(error)
    assert explain(error).startswith(sentence)
    assert explain(error).endswith(".") or explain(error).endswith("?")


@pytest.mark.parametrize(
    "error", [TypeError("f() got 3 arguments"), KeyError("x"), RuntimeError("odd")]
)
def test_faults_of_the_program_are_named_and_not_hidden(error):
    assert not is_expected(error)
    assert type(error).__name__ in explain(error)
    assert "report" in explain(error)


def test_an_error_without_text_has_a_sentence_too():
    assert "no details" in explain(TypeError())


def test_progress_is_told_with_tiles_frame_rate_and_time_left():
    progress = Progress(
        stage="denoise", done=16, total=64, pixels=4_000_000, frames=4, seconds=2.0
    )
    assert (
        describe_progress(progress) == "16 of 64 tiles, frame 2 of 4\n2 Mpx/s, 6 s left"
    )


def test_the_progress_of_one_frame_names_no_frame():
    progress = Progress(stage="denoise", done=1, total=4)
    assert describe_progress(progress) == "1 of 4 tiles"


def test_a_cancelled_run_says_how_far_it_came():
    progress = Progress(stage="denoise", done=35, total=100, frames=10)
    assert describe_cancelled(progress).startswith("Cancelled after 3 of 10 frames.")
    assert describe_cancelled(None).startswith("Cancelled. The unfinished")


def test_a_layer_is_described_with_size_and_calibration():
    calibration = Calibration(
        axes=(
            Axis(label="z", spacing=50, unit="nm"),
            Axis(label="y", spacing=4, unit="nm"),
            Axis(label="x", spacing=4, unit="nm"),
        )
    )
    stack = Micrograph(np.zeros((10, 20, 30)), calibration)
    assert describe(stack) == ("10 frames of 30 × 20 px. 4 nm per pixel, z step 50 nm.")
    assert describe(Micrograph(np.zeros((20, 30)))) == "30 × 20 px. Not calibrated."


def test_a_finished_run_says_how_long_it_took_and_where_the_result_is():
    stack = Micrograph(np.zeros((4, 500, 500)))
    assert describe_done(stack, 2.0, "a (box)") == (
        "Done in 2.0 s (0.5 Mpx/s). The result is 'a (box)'."
    )


@pytest.mark.parametrize(
    ("spacing", "unit", "text"),
    [
        (0.004, "um", "4 nm"),
        (4.0, "nm", "4 nm"),
        (8.172883, "pm", "8.173 pm"),
        (2.5, "angstrom", "2.5 angstrom"),
        (0.02, "angstrom", "2 pm"),
        (5679.0, "nm", "5.679 um"),
        (0.001, "s", "0.001 s"),
        (1e-3, "1/nm", "0.001 1/nm"),
    ],
)
def test_spacings_are_told_in_a_unit_that_suits_them(spacing, unit, text):
    assert readable(Axis(label="x", spacing=spacing, unit=unit)) == text


def test_pixels_that_are_not_square_are_told_by_both_sides():
    axes = (
        Axis(label="y", spacing=3, unit="nm"),
        Axis(label="x", spacing=2, unit="nm"),
    )
    text = describe(Micrograph(np.zeros((20, 30)), Calibration(axes=axes)))
    assert text == "30 × 20 px. 3 nm × 2 nm per pixel."
