"""A form made from declared parameters; nothing in it knows any denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QEvent, QLocale, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QSpinBox,
    QWidget,
)
from superqt.utils import signals_blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.parameters import Parameter, Value

#: Bounds of a field whose parameter declares none.
_UNBOUNDED: Final = 10**9

#: What the preset box says while the values are those of no preset.
CUSTOM: Final = "custom"
DEFAULT: Final = "default"


class _WheelGuard(QObject):
    """Keeps the wheel for scrolling the dock, unless a field has the focus."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  (Qt)
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


class _FloatField(QDoubleSpinBox):
    """A number without the trailing zeros of its precision."""

    edited = Signal()

    def __init__(self, parameter: Parameter) -> None:
        super().__init__()
        # The locale is fixed: parameters are written with a point everywhere else.
        self.setLocale(QLocale.c())
        self.setDecimals(6)
        self.setRange(*_bounds(parameter))
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        _prepare(self, parameter)
        self.valueChanged.connect(self.edited)

    def textFromValue(self, value: float) -> str:  # noqa: N802  (Qt)
        """Return the number as people write it."""
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"

    def read(self) -> Value:
        return float(self.value())

    def write(self, value: Value) -> None:
        self.setValue(float(value))


class _IntField(QSpinBox):
    edited = Signal()

    def __init__(self, parameter: Parameter) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        low, high = _bounds(parameter)
        self.setRange(int(low), int(high))
        _prepare(self, parameter)
        self.valueChanged.connect(self.edited)

    def read(self) -> Value:
        return int(self.value())

    def write(self, value: Value) -> None:
        self.setValue(int(value))


class _BoolField(QCheckBox):
    edited = Signal()

    def __init__(self, _parameter: Parameter) -> None:
        super().__init__()
        self.toggled.connect(self.edited)

    def read(self) -> Value:
        return bool(self.isChecked())

    def write(self, value: Value) -> None:
        self.setChecked(bool(value))


class _ChoiceField(QComboBox):
    edited = Signal()

    def __init__(self, parameter: Parameter) -> None:
        super().__init__()
        self.addItems(parameter.choices)
        shrink(self)
        self.currentIndexChanged.connect(self.edited)

    def read(self) -> Value:
        return str(self.currentText())

    def write(self, value: Value) -> None:
        self.setCurrentIndex(self.findText(str(value)))


#: Every one has `read`, `write` and the signal `edited`.
_FIELDS: Final[dict[str, Any]] = {
    "float": _FloatField,
    "int": _IntField,
    "bool": _BoolField,
    "choice": _ChoiceField,
}


class ParameterForm(QWidget):
    """Editors for declared parameters, one row each.

    Signal ``changed()``: a value was edited, by the user or by :meth:`set_values`.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guard = _WheelGuard(self)
        self._fields: dict[str, Any] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of their rows."""
        return tuple(self._fields)

    def field(self, name: str) -> QWidget:
        """Return the editor of a parameter."""
        widget: QWidget = self._fields[name]
        return widget

    def set_parameters(self, parameters: Sequence[Parameter]) -> None:
        """Show these parameters at their defaults, in place of all earlier ones."""
        layout = self.layout()
        while layout.rowCount():
            layout.removeRow(0)
        self._fields = {}
        for parameter in parameters:
            field = _FIELDS[parameter.kind](parameter)
            field.write(parameter.default)
            field.setToolTip(tooltip(parameter))
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self._guard)
            field.edited.connect(self.changed)
            label = QLabel(parameter.name.replace("_", " "))
            label.setToolTip(tooltip(parameter))
            label.setBuddy(field)
            layout.addRow(label, field)
            self._fields[parameter.name] = field
        self.setVisible(bool(self._fields))

    def values(self) -> dict[str, Value]:
        """Return the value of every parameter."""
        return {name: field.read() for name, field in self._fields.items()}

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Show these values; parameters that are not named keep theirs."""
        before = self.values()
        with signals_blocked(self):
            for name, value in values.items():
                if name in self._fields:
                    self._fields[name].write(value)
        if self.values() != before:
            self.changed.emit()


class PresetBox(QComboBox):
    """Chooses a named set of values; says "custom" when the values are of no set.

    Signal ``chosen(dict)``: the values of the preset that the user chose.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets: dict[str, dict[str, Value]] = {}
        shrink(self)
        self.setToolTip("Named sets of values; the default is the first.")
        self.activated.connect(self._on_activated)

    def set_presets(
        self,
        parameters: Sequence[Parameter],
        presets: Mapping[str, Mapping[str, Value]],
    ) -> None:
        """Offer the defaults and these presets, each a change of the defaults."""
        defaults = {p.name: p.default for p in parameters}
        self._presets = {DEFAULT: defaults}
        self._presets |= {name: {**defaults, **v} for name, v in presets.items()}
        with signals_blocked(self):
            self.clear()
            self.addItems([*self._presets, CUSTOM])

    def show_values(self, values: Mapping[str, Value]) -> None:
        """Show the name of the preset that has these values, or "custom"."""
        name = next((n for n, v in self._presets.items() if v == values), CUSTOM)
        with signals_blocked(self):
            self.setCurrentText(name)

    def _on_activated(self) -> None:
        values = self._presets.get(self.currentText())
        if values is not None:
            self.chosen.emit(dict(values))


def tooltip(parameter: Parameter) -> str:
    """Return the help of a parameter with its range, unit and default."""
    default = f"{parameter.default:g}" if _is_number(parameter) else parameter.default
    return (
        f"{parameter.help}\nAllowed: {parameter.describe_range()}. Default: {default}."
    )


def shrink(box: QComboBox) -> None:
    """Let a combo box become narrower than its longest entry: docks are narrow."""
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setMinimumContentsLength(6)


def _is_number(parameter: Parameter) -> bool:
    return parameter.kind in {"float", "int"}


def _bounds(parameter: Parameter) -> tuple[float, float]:
    low, high = parameter.minimum, parameter.maximum
    return (
        -_UNBOUNDED if low is None else low,
        _UNBOUNDED if high is None else high,
    )


def _prepare(box: QAbstractSpinBox, parameter: Parameter) -> None:
    if parameter.unit:
        box.setSuffix(f" {parameter.unit}")
    # A number takes effect when it is complete, not at its first digit.
    box.setKeyboardTracking(False)
    box.setMinimumWidth(60)
