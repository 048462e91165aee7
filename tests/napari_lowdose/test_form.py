from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox

from lowdose.parameters import Parameter
from napari_lowdose.widgets.form import CUSTOM, ParameterForm, PresetBox, tooltip

PARAMETERS = (
    Parameter(
        name="sigma",
        kind="float",
        default=1.5,
        minimum=0.1,
        maximum=50,
        unit="px",
        help="Width; larger is smoother.",
    ),
    Parameter(name="order", kind="int", default=2, minimum=1, maximum=9, help="Order."),
    Parameter(name="vst", kind="bool", default=False, help="Stabilise the variance."),
    Parameter(
        name="mode",
        kind="choice",
        default="soft",
        choices=("soft", "hard"),
        help="How.",
    ),
    Parameter(name="free_number", kind="float", default=-3.25, help="Without bounds."),
)


@pytest.fixture
def form(qtbot):
    form = ParameterForm()
    qtbot.addWidget(form)
    form.set_parameters(PARAMETERS)
    return form


def test_a_form_starts_with_the_defaults_in_their_types(form):
    values = form.values()
    assert values == {
        "sigma": 1.5,
        "order": 2,
        "vst": False,
        "mode": "soft",
        "free_number": -3.25,
    }
    assert [type(v) for v in values.values()] == [float, int, bool, str, float]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma", 12.25),
        ("sigma", 0.123456),
        ("order", 7),
        ("vst", True),
        ("mode", "hard"),
    ],
)
def test_values_survive_being_shown(form, qtbot, name, value):
    with qtbot.waitSignal(form.changed, timeout=1000):
        form.set_values({name: value})
    assert form.values()[name] == value


def test_several_values_are_one_change(form):
    changes = []
    form.changed.connect(lambda: changes.append(form.values()))
    form.set_values({"sigma": 3.0, "order": 5, "mode": "hard"})
    assert len(changes) == 1
    form.set_values({"sigma": 3.0})
    assert len(changes) == 1


def test_editors_keep_values_inside_the_declared_range(form):
    form.field("sigma").setValue(1e6)
    form.field("order").setValue(-4)
    assert form.values()["sigma"] == 50
    assert form.values()["order"] == 1
    for parameter in PARAMETERS:
        parameter.validate(form.values()[parameter.name])


def test_every_editor_and_its_label_tell_help_range_and_unit(form):
    for parameter in PARAMETERS:
        text = form.field(parameter.name).toolTip()
        assert parameter.help in text
        assert parameter.describe_range() in text
        label = form.layout().labelForField(form.field(parameter.name))
        assert label.toolTip() == text
    assert form.field("sigma").suffix() == " px"
    assert form.layout().labelForField(form.field("free_number")).text() == (
        "free number"
    )


def test_numbers_are_shown_without_trailing_zeros(form):
    assert form.field("sigma").text() == "1.5 px"


def test_new_parameters_replace_the_old_ones(form):
    form.set_parameters(PARAMETERS[:1])
    assert form.names == ("sigma",)
    assert form.layout().rowCount() == 1
    form.set_parameters(())
    assert form.isHidden()


def test_the_wheel_scrolls_the_dock_instead_of_changing_a_value(form):
    form.show()
    field = form.field("order")
    field.clearFocus()
    QApplication.sendEvent(field, _wheel())
    assert form.values()["order"] == 2


def _wheel():
    return QWheelEvent(
        QPointF(2, 2),
        QPointF(2, 2),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )


def test_boxes_become_narrower_than_their_longest_entry(qtbot):
    long = Parameter(
        name="mode",
        kind="choice",
        default="a" * 200,
        choices=("a" * 200, "b"),
        help="How.",
    )
    form = ParameterForm()
    qtbot.addWidget(form)
    form.set_parameters([long])
    assert form.minimumSizeHint().width() < 300


@pytest.fixture
def presets(qtbot):
    box = PresetBox()
    qtbot.addWidget(box)
    box.set_presets(PARAMETERS, {"ede2018": {"sigma": 0.5}, "strong": {"sigma": 9.0}})
    return box


def _pick(box: QComboBox, text: str):
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def test_a_preset_is_a_change_of_the_defaults(presets, form):
    chosen = []
    presets.chosen.connect(chosen.append)
    _pick(presets, "ede2018")
    assert chosen == [{**form.values(), "sigma": 0.5}]
    _pick(presets, "default")
    assert chosen[1] == form.values()


def test_the_preset_box_follows_the_values(presets, form):
    presets.show_values({**form.values(), "sigma": 9.0})
    assert presets.currentText() == "strong"
    presets.show_values({**form.values(), "sigma": 8.0})
    assert presets.currentText() == CUSTOM
    presets.show_values(form.values())
    assert presets.currentText() == "default"


def test_choosing_custom_changes_nothing(presets):
    chosen = []
    presets.chosen.connect(chosen.append)
    _pick(presets, CUSTOM)
    assert chosen == []


def test_a_tooltip_has_the_default():
    assert tooltip(PARAMETERS[0]).endswith("Allowed: 0.1 to 50 px. Default: 1.5.")
