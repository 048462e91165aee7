"""What the user chooses before a training: data, way, beginning, name and time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from lowdose.training.ways import WAYS
from napari_lowdose.training.controls import Controls
from napari_lowdose.training.job import TrainRequest
from napari_lowdose.training.recipes import DATA_KEYS, SUITED, Plan
from napari_lowdose.training.records import Record, trainings_folder
from napari_lowdose.widgets.form import ParameterForm, shrink
from napari_lowdose.widgets.section import Section
from napari_lowdose.widgets.train_data import DataField, PathField
from napari_lowdose.widgets.train_name import NameField
from napari_lowdose.widgets.train_parameters import (
    OF_WAY,
    TIME,
    TRAINING,
    given_values,
)
from napari_lowdose.widgets.train_start import StartBox

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_lowdose._settings import Settings
    from napari_lowdose.training.sources import Source

#: What a way is called in the menu, in the order of the menu.
TITLES: Final = {
    SUITED: "What suits the data",
    "thinning": "Thinning (counted electrons)",
    "blind-spot": "Blind spot",
    "noise2noise": "Noise2Noise (frames of one place)",
    "pairs": "Pairs of noisy and clean",
    "simulation": "Simulated set",
    "high-dose": "High-dose micrographs",
    "drawings": "Drawings",
}
_SUITED: Final = (
    "For one noisy stack: thinning where electrons are counted, else blind spot. Where "
    "frames show one unmoving specimen, Noise2Noise is better, and you have to say so."
)


class TrainChoices(QWidget):
    """Data, a way to learn, what to begin with, and for how long.

    Signal ``changed()``: anything was chosen anew.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    settings : Settings
        The user's preferences.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.ways = QComboBox()
        self.when = _sentence()
        self.data = {
            key: DataField(viewer, key, layers=layers, one=key in ("noisy", "clean"))
            for key, (_, layers) in _all_keys().items()
        }
        self.start = StartBox()
        self.about_start = _sentence()
        self.name = NameField(self.start)
        self.time = ParameterForm()
        self.of_way = ParameterForm()
        self.training = ParameterForm()
        self.folder = PathField("folder", "standard place")
        self.advanced = Section("Advanced")
        self._prepare(settings)
        self._lay_out()
        self._connect()
        self._on_way_changed()

    @property
    def way(self) -> str:
        """The chosen way, a key of `DATA_KEYS`."""
        return str(self.ways.currentData())

    @property
    def fields(self) -> list[DataField]:
        """The fields of the data of the chosen way."""
        return [self.data[key] for key, _, _ in DATA_KEYS[self.way]]

    def choose_way(self, way: str) -> None:
        """Choose a way by its key."""
        self.ways.setCurrentIndex(self.ways.findData(way))

    def problem(self) -> str:
        """Return why nothing can be learnt from these choices, or an empty text."""
        return next((why for why in map(_problem, self.fields) if why), "") or (
            self.name.problem() or self.folder.problem()
        )

    def sources(self) -> tuple[Source, ...]:
        """Return what is learnt from, as it is now."""
        return tuple(field.source() for field in self.fields)

    def plan(self, sources: tuple[Source, ...]) -> Plan:
        """Return everything else that is chosen."""
        values = self.training.values()
        return Plan(
            name=self.name.text(),
            way=self.way,
            start=self.start.start,
            fresh=self.start.fresh,
            minutes=self.minutes,
            source=", ".join(source.words for source in sources),
            data=given_values(self.of_way.values()),
            training=given_values(values),
            seed=int(values["seed"]),
        )

    def request(self) -> TrainRequest:
        """Return a training of what is chosen."""
        sources = self.sources()
        plan = self.plan(sources)
        parent = next(map(Path, self.folder.paths), trainings_folder())
        record = Record(
            name=plan.name,
            folder=str(_free_folder(parent, plan.name)),
            recipe={},
            minutes=plan.minutes,
            device=str(self.training.values()["device"]),
            own=not self.folder.paths,
            source=plan.source or TITLES[self.way].lower(),
        )
        return TrainRequest(
            record=record, controls=Controls(), plan=plan, sources=sources
        )

    @property
    def minutes(self) -> float:
        """Time to learn [min]."""
        return float(self.time.values()["minutes"])

    def reset_choices(self) -> None:
        """Read the layers anew, keeping what is chosen where it exists."""
        for field in self.data.values():
            field.layers.reset_choices()
        self._suggest_name()

    def read_models(self) -> None:
        """Read the models anew: there is a new one."""
        self.start.read_models()
        self.name.forget()
        self._suggest_name()

    def allow(self, allowed: bool) -> None:
        """Let the user choose, or not while a training is under way."""
        if allowed != self.isEnabled():
            self.setEnabled(allowed)
            self._suggest_name()

    def _prepare(self, settings: Settings) -> None:
        for way, title in TITLES.items():
            self.ways.addItem(title, way)
            row = self.ways.count() - 1
            sentence = WAYS.get(way, _SUITED)
            self.ways.setItemData(row, sentence, Qt.ItemDataRole.ToolTipRole)
        shrink(self.ways)
        self.time.set_parameters(TIME)
        self.training.set_parameters(TRAINING)
        for name in ("batch", "patch", "learning_rate"):
            self.training.field(name).setSpecialValueText("auto")
        self.training.set_values({"device": settings.device})
        self.folder.setToolTip(
            "Where checkpoints, curve and recipe go, in a folder of their own. In the\n"
            "standard place they are removed when the model is kept; here they stay."
        )

    def _lay_out(self) -> None:
        self._top = _form_layout()
        self._top.addRow("Learn by", self.ways)
        self._top.addRow(self.when)
        for key, (title, _) in _all_keys().items():
            self._top.addRow(title, self.data[key])
        self._top.addRow("Begin with", self.start)
        self._top.addRow(self.about_start)
        self._top.addRow("Model name", self.name)
        place = QWidget()
        row = _form_layout()
        row.addRow("folder", self.folder)
        place.setLayout(row)
        for part in (self.of_way, self.training, place):
            self.advanced.add(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._top)
        column.addWidget(self.time)
        column.addWidget(self.advanced)

    def _connect(self) -> None:
        self.ways.currentIndexChanged.connect(self._on_way_changed)
        for field in self.data.values():
            field.changed.connect(self._on_data_changed)
        self.start.changed.connect(self._on_start_changed)
        self.name.textChanged.connect(self.changed)
        self.folder.changed.connect(self.changed)
        for form in (self.time, self.of_way, self.training):
            form.changed.connect(self.changed)

    def _on_way_changed(self) -> None:
        self.when.setText(WAYS.get(self.way, _SUITED))
        shown = self.fields
        for field in self.data.values():
            self._top.setRowVisible(field, field in shown)
        self.of_way.set_parameters(OF_WAY[self.way])
        if "gain" in self.of_way.names:
            self.of_way.field("gain").setSpecialValueText("auto")
        self._on_start_changed()
        self._on_data_changed()

    def _on_start_changed(self) -> None:
        self.about_start.setText(self.start.words)
        self.changed.emit()

    def _on_data_changed(self) -> None:
        self._suggest_name()
        self.changed.emit()

    def _suggest_name(self) -> None:
        """Name the model after its data, unless the user has named it.

        While it is trained it has its name, which is taken by now.
        """
        if not self.isEnabled():
            return
        stem = self.way
        for field in self.fields[:1]:
            layers, paths = field.layers.layers, field.files.paths
            if field.by_layers and layers:
                stem = str(layers[0].name)
            elif not field.by_layers and paths:
                stem = Path(paths[0]).stem
        self.name.suggest(stem)


def _problem(field: DataField) -> str:
    return field.problem()


def _all_keys() -> dict[str, tuple[str, bool]]:
    """Return title, and whether layers can be it, of every key of any way's data."""
    return {
        key: (title, layers)
        for keys in DATA_KEYS.values()
        for key, title, layers in keys
    }


def _free_folder(parent: Path, name: str) -> Path:
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def _form_layout() -> QFormLayout:
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout


def _sentence() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label
