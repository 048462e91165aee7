"""What the user chooses before an inspection: two layers, checks, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from lowdose.parameters import Parameter
from napari_lowdose._layers import take_snapshot, to_micrograph, why_not
from napari_lowdose._provenance import find_layer, find_pair
from napari_lowdose.inspection.checks import CHECKS
from napari_lowdose.inspection.drawn import drawn_mask
from napari_lowdose.inspection.pairing import made_by_words, mismatch
from napari_lowdose.inspection.recorded import latest_result, recorded_denoiser
from napari_lowdose.widgets.choosers import LayerBox
from napari_lowdose.widgets.form import ParameterForm, shrink
from napari_lowdose.widgets.options import OPTIONS
from napari_lowdose.widgets.section import Section

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from napari_lowdose._settings import Settings
    from napari_lowdose.inspection.recorded import Recorded

_FOUND: Final = "found by itself"
_GIVEN: Final = "as given here"
_REPEATS: Final = (
    Parameter(
        name="diameter",
        kind="float",
        default=0.0,
        minimum=0.0,
        unit="nm",
        help="Disks in which local deviance compares counts with the image; 0: such "
        "that one holds about 100 electrons.",
    ),
    Parameter(
        name="repeats",
        kind="int",
        default=16,
        minimum=2,
        maximum=1000,
        help="How often new noise is drawn and denoised; more is surer and slower.",
    ),
    Parameter(
        name="seed",
        kind="int",
        default=0,
        minimum=0,
        maximum=2**31 - 1,
        help="Seed of all that is random; the same seed gives the same maps.",
    ),
    Parameter(
        name="noise",
        kind="choice",
        default=_FOUND,
        choices=(_FOUND, _GIVEN),
        help="Electron counts are recognised, other noise is estimated; or you say it.",
    ),
)
_DETECTOR: Final = (
    Parameter(
        name="gain",
        kind="float",
        default=1.0,
        minimum=0.0,
        unit="counts/e-",
        help="Detector counts that one electron makes.",
    ),
    Parameter(
        name="offset",
        kind="float",
        default=0.0,
        unit="counts",
        help="Reading without electrons.",
    ),
    Parameter(
        name="read_noise",
        kind="float",
        default=0.0,
        minimum=0.0,
        unit="counts",
        help="Standard deviation of the noise without electrons.",
    ),
)


class InspectChoices(QWidget):
    """Two layers, found by their provenance where that is possible, and the checks.

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
        self._viewer = viewer
        self.noisy = LayerBox(viewer)
        self.denoised = LayerBox(viewer)
        self.made_by = QLabel()
        self.made_by.setWordWrap(True)
        self.checks = {check.name: QCheckBox(check.title) for check in CHECKS}
        self.vacuum = QComboBox()
        self.again = QCheckBox("Run the denoiser again")
        self.form = ParameterForm()
        self.detector = ParameterForm()
        self.options = ParameterForm()
        self.advanced = Section("Advanced")
        self._prepare(settings)
        self._lay_out()
        self._pair_up(self.noisy.layer)
        self._read_vacuum()
        self.noisy.layer_changed.connect(self._on_noisy_changed)
        self.denoised.layer_changed.connect(self._on_denoised_changed)
        for box in (*self.checks.values(), self.again):
            box.toggled.connect(self._on_changed)
        self.form.changed.connect(self._on_changed)
        self._on_changed()

    def recorded(self) -> Recorded | None:
        """Return what made the denoised layer, where it is known and may be run."""
        layer = self.denoised.layer
        return None if layer is None else recorded_denoiser(layer)

    def problem(self) -> str:
        """Return why the choices cannot be inspected, or an empty text."""
        noisy, denoised = self.noisy.layer, self.denoised.layer
        if noisy is None or denoised is None:
            return "Open or add a noisy image, and denoise it, first."
        if noisy.unique_id == denoised.unique_id:
            return (
                "Choose two different layers: the noisy one, and what a denoiser made "
                "of it."
            )
        for layer in (noisy, denoised):
            if why := why_not(layer):
                return why
        if why := mismatch(_read(noisy), _read(denoised)):
            return why
        return "" if self.chosen() else "Tick at least one check."

    def chosen(self) -> tuple[str, ...]:
        """Return the names of the checks that are ticked and can be made."""
        return tuple(
            name
            for name, box in self.checks.items()
            if box.isChecked() and box.isEnabled()
        )

    def noise(self) -> NoiseModel | None:
        """Return the noise as the user says it; None where it is to be found."""
        from lowdose.noise import NoiseModel

        if self.form.values()["noise"] != _GIVEN:
            return None
        values: dict[str, Any] = self.detector.values()
        return NoiseModel(**values)

    def drawn_vacuum(self) -> NDArray[np.bool_] | None:
        """Return the region of vacuum that the user drew; None where there is none.

        Raises
        ------
        InvalidImageError
            If the layer that was chosen encloses no pixel.
        """
        shapes = find_layer(self._viewer, self.vacuum.currentData() or "")
        layer = self.noisy.layer
        if shapes is None or layer is None:
            return None
        return drawn_mask(shapes, layer, _read(layer).frame_shape)

    def engine(self, *, keep_mean: bool) -> DenoiseOptions:
        """Return where and in what pieces to denoise."""
        from lowdose.inference import DenoiseOptions

        values: dict[str, Any] = self.options.values()
        return DenoiseOptions(
            device=values["device"],
            precision=values["precision"],
            tile=values["tile"] or None,
            keep_mean=keep_mean,
        )

    def reset_choices(self) -> None:
        """Read the layers anew, keeping what is chosen where it exists."""
        self.noisy.reset_choices()
        self.denoised.reset_choices()
        self._read_vacuum()
        self._on_changed()

    def allow(self, allowed: bool) -> None:
        """Let the user choose, or not while a job is under way."""
        self.setEnabled(allowed)

    def _prepare(self, settings: Settings) -> None:
        for check in CHECKS:
            self.checks[check.name].setChecked(check.first)
            self.checks[check.name].setToolTip(check.help)
        shrink(self.vacuum)
        self.vacuum.setToolTip(
            "Region without specimen: found by itself, or drawn by you in a layer of\n"
            "shapes (rectangles, polygons, ellipses)."
        )
        self.again.setChecked(True)
        self.again.setToolTip(
            "Error maps need it, and the columns are tested more honestly with it.\n"
            "Without it, only the two images are compared."
        )
        self.form.set_parameters(_REPEATS)
        self.detector.set_parameters(_DETECTOR)
        self.options.set_parameters(OPTIONS)
        self.options.field("tile").setSpecialValueText("auto")
        self.options.set_values(
            {
                "device": settings.device,
                "precision": settings.precision,
                "tile": settings.tile,
            }
        )

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Noisy", self.noisy)
        form.addRow("Denoised", self.denoised)
        for part in (self.vacuum, self.again, self.form, self.detector, self.options):
            if part is self.vacuum:
                row, inner = QWidget(), QFormLayout()
                inner.setContentsMargins(0, 0, 0, 0)
                inner.addRow("vacuum", part)
                row.setLayout(inner)
                self.advanced.add(row)
            else:
                self.advanced.add(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.made_by)
        for box in self.checks.values():
            column.addWidget(box)
        column.addWidget(self.advanced)

    def _read_vacuum(self) -> None:
        before = self.vacuum.currentData()
        with signals_blocked(self.vacuum):
            self.vacuum.clear()
            self.vacuum.addItem(_FOUND, "")
            for layer in self._viewer.layers:
                if isinstance(layer, Shapes):
                    self.vacuum.addItem(str(layer.name), str(layer.unique_id))
            self.vacuum.setCurrentIndex(max(0, self.vacuum.findData(before)))

    def _pair_up(self, layer: Image | None) -> None:
        """Choose the two layers that belong to this one, or to the latest result."""
        pair = find_pair(self._viewer, layer)
        if pair is None:
            pair = find_pair(self._viewer, latest_result(self._viewer))
        if pair is not None:
            with signals_blocked(self.noisy), signals_blocked(self.denoised):
                self.noisy.choose(str(pair[0].unique_id))
                self.denoised.choose(str(pair[1].unique_id))

    def _on_noisy_changed(self) -> None:
        pair = find_pair(self._viewer, self.noisy.layer)
        if pair is not None and pair[0] is self.noisy.layer:
            with signals_blocked(self.denoised):
                self.denoised.choose(str(pair[1].unique_id))
        self._on_changed()

    def _on_denoised_changed(self) -> None:
        pair = find_pair(self._viewer, self.denoised.layer)
        if pair is not None and pair[1] is self.denoised.layer:
            with signals_blocked(self.noisy):
                self.noisy.choose(str(pair[0].unique_id))
        self._on_changed()

    def _on_changed(self) -> None:
        recorded = self.recorded()
        self.again.setEnabled(recorded is not None)
        usable = recorded is not None and self.again.isChecked()
        for check in CHECKS:
            self.checks[check.name].setEnabled(usable or not check.needs_denoiser)
        self.detector.setVisible(self.form.values()["noise"] == _GIVEN)
        self.made_by.setText(made_by_words(self.denoised.layer, recorded))
        self.made_by.setVisible(bool(self.made_by.text()))
        self.changed.emit()


def _read(layer: Image) -> Micrograph:
    return to_micrograph(take_snapshot(layer))
