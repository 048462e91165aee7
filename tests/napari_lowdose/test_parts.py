"""The small parts of the widgets: card, progress row, section, scrolling column."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QVBoxLayout, QWidget

from lowdose.progress import Progress
from napari_lowdose._jobs import JobState
from napari_lowdose.widgets.card import CardView, card_html, card_text
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.progress import ProgressRow
from napari_lowdose.widgets.section import ColumnScroll, Section


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cc0", "cc0"),
        (0.25, "0.25"),
        (3, "3"),
        ([0.2, 2000.0], "0.2, 2000"),
        ({"min": 0.1, "max": 10.0}, "min 0.1, max 10"),
    ],
)
def test_entries_of_a_card_are_put_into_words(value, text):
    assert card_text(value) == text


def test_a_card_cannot_bring_html_of_its_own():
    info = SimpleNamespace(
        summary="<b>x</b>",
        reference="A & B <script>",
        card={"licence": "<img src=x>"},
    )
    html = card_html(info)
    assert "<script>" not in html
    assert "<img" not in html
    assert "A &amp; B" in html


def test_a_card_is_told_with_its_ranges_limits_and_measurements():
    info = SimpleNamespace(
        summary="a network",
        reference="X 2020",
        card={
            "licence": "BSD-3-Clause",
            "architecture": "unet2",
            "parameters": 794068,
            "limits": ["Correlated noise stays.", "It knows no atoms."],
            "valid": {"dose_e_per_px": [0.2, 2000.0], "pixel_size_nm": "any"},
            "training": {
                "recipe": "general.toml",
                "validation_gain_dB": {"5 e-/px": 19.95},
            },
        },
    )
    lines = card_html(info).split("<br>")
    assert "<b>Dose:</b> 0.2 to 2000 e-/px" in lines
    assert "<b>Pixel size:</b> any" in lines
    assert "<b>Limits:</b> Correlated noise stays. It knows no atoms." in lines
    assert "<b>validation gain dB:</b> 5 e-/px 19.95" in lines
    assert "<b>Network:</b> unet2, 794,068 parameters" in lines
    assert "<b>Licence:</b> BSD-3-Clause" in lines


def test_every_denoiser_of_the_catalogue_has_a_card_that_can_be_shown():
    from lowdose.catalogue import list_denoisers

    for info in list_denoisers():
        assert info.summary
        assert isinstance(card_html(info), str)


def test_a_denoiser_without_reference_and_card_has_no_about(qtbot):
    view = CardView()
    qtbot.addWidget(view)
    view.show_info(SimpleNamespace(summary="a filter", reference="", card=None))
    assert view._about.isHidden()
    view.show_info(SimpleNamespace(summary="a filter", reference="X 2020", card=None))
    assert not view._about.isHidden()
    view.show_info(None)
    assert view._about.isHidden()


@pytest.fixture
def row(qtbot):
    row = ProgressRow()
    qtbot.addWidget(row)
    return row


def test_the_progress_row_is_there_only_during_a_run(row):
    assert row.isHidden()
    row.show_state(JobState.RUNNING)
    assert not row.isHidden()
    row.show_state(JobState.IDLE)
    assert row.isHidden()


def test_the_bar_is_busy_until_the_first_tile_is_planned(row):
    row.show_state(JobState.RUNNING)
    row.begin()
    row.show_progress(Progress(stage="load", done=0, total=0))
    assert row._bar.maximum() == 0
    row.show_progress(Progress(stage="denoise", done=1, total=4))
    assert row._bar.value() / row._bar.maximum() == 0.25


def test_while_stopping_the_row_says_so_and_cannot_be_cancelled_again(row, qtbot):
    row.show_state(JobState.RUNNING)
    with qtbot.waitSignal(row.cancel_clicked, timeout=1000):
        row._cancel.click()
    row.show_state(JobState.CANCELLING)
    row.show_progress(Progress(stage="denoise", done=1, total=4))
    assert "Stopping" in row.text
    assert not row._cancel.isEnabled()


def test_a_section_folds_and_unfolds(qtbot):
    section = Section("Advanced")
    qtbot.addWidget(section)
    label = QLabel("inside")
    section.add(label)
    section.show()
    assert not label.isVisible()
    section._button.click()
    assert section.unfolded
    assert label.isVisible()
    section.unfold(False)
    assert not label.isVisible()


def test_a_scrolling_column_is_never_narrower_than_its_content(qtbot):
    column = QWidget()
    layout = QVBoxLayout(column)
    wide = QLabel("x" * 60)
    layout.addWidget(wide)
    scroll = ColumnScroll(column)
    qtbot.addWidget(scroll)
    assert scroll.minimumSizeHint().width() > wide.minimumSizeHint().width()
    assert scroll.sizeHint().width() >= scroll.minimumSizeHint().width()


class _Torn(TeardownOnClose):
    count = 0

    def teardown(self):
        self.count += 1


def _docked(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    widget = _Torn()
    dock = QDockWidget("dock", window)
    dock.setWidget(widget)
    return window, dock, widget


def test_a_destroyed_dock_tears_its_widget_down_once(qtbot, let_events_run):
    _, dock, widget = _docked(qtbot)
    widget.setParent(None)  # as napari does before it destroys the dock
    assert widget.count == 0
    dock.deleteLater()
    let_events_run()
    assert widget.count == 1
    widget.close()
    assert widget.count == 1


def test_hiding_a_dock_tears_nothing_down(qtbot, let_events_run):
    window, dock, widget = _docked(qtbot)
    window.show()
    dock.hide()
    dock.show()
    let_events_run()
    assert widget.count == 0


def test_a_widget_that_is_its_own_window_is_torn_down_when_closed(qtbot):
    widget = _Torn()
    qtbot.addWidget(widget)
    widget.show()
    widget.close()
    assert widget.count == 1
