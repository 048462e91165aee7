"""How to denoise: a denoiser with its card, its parameters, and how to compute."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from lowdose import catalogue
from lowdose.errors import LowDoseError
from napari_lowdose._memory import last_values
from napari_lowdose._messages import explain
from napari_lowdose._news import catalogue_news
from napari_lowdose._settings import Settings, use_models_folder
from napari_lowdose.widgets.card import CardView
from napari_lowdose.widgets.choosers import DenoiserBox
from napari_lowdose.widgets.form import ParameterForm, PresetBox
from napari_lowdose.widgets.options import OptionsForm
from napari_lowdose.widgets.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from lowdose.parameters import Value


class Method(QWidget):
    """A denoiser with its card, its parameters, and how to compute.

    The values that were last used of every denoiser are remembered for the viewer.

    Signal ``method_changed()``: something that changes the result.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    settings : Settings
        The user's preferences.
    offer_replace : bool, optional
        Whether to ask if an earlier result is replaced.
    parent : QWidget, optional
        The Qt parent.
    """

    method_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        settings: Settings,
        *,
        offer_replace: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._memory = last_values(viewer)
        self.denoisers = DenoiserBox()
        self.card = CardView()
        self.presets = PresetBox()
        self.form = ParameterForm()
        self.advanced_form = ParameterForm()
        self.options = OptionsForm(settings, offer_replace=offer_replace)
        self.advanced = Section("Advanced")
        self._preset_row = QWidget()
        #: The rows above the card; a child may put others before the denoiser.
        self.top = form_layout()
        self._lay_out()
        self.denoisers.denoiser_changed.connect(self._on_denoiser_changed)
        self.form.changed.connect(self._on_values_changed)
        self.advanced_form.changed.connect(self._on_values_changed)
        self.options.form.changed.connect(self.method_changed)
        self.presets.chosen.connect(self.set_values)
        catalogue_news().changed.connect(self._on_catalogue_changed)

    def read_catalogue(self, settings: Settings) -> list[str]:
        """Offer all denoisers; return what is wrong with those that cannot be.

        Parameters
        ----------
        settings : Settings
            The user's preferences: first choice, and folder of own models.

        Returns
        -------
        list of str
            Sentences for the user.
        """
        use_models_folder(settings)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                infos = catalogue.list_denoisers()
            except LowDoseError as error:
                return [explain(error)]
        self.denoisers.set_denoisers(infos)
        self.denoisers.choose(settings.denoiser)
        return [str(warning.message) for warning in caught]

    def _on_catalogue_changed(self) -> None:
        """Offer a model that was just trained, and change nothing else."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were told when the widget opened
            try:
                infos = catalogue.list_denoisers()
            except LowDoseError:
                return
        self.denoisers.set_denoisers(infos)

    def problem(self) -> str:
        """Return why the choices cannot be run, or an empty text."""
        return "" if self.denoisers.info else "There is no denoiser to choose."

    def values(self) -> dict[str, Value]:
        """Return the value of every parameter of the chosen denoiser."""
        return {**self.form.values(), **self.advanced_form.values()}

    def set_values(self, values: dict[str, Value]) -> None:
        """Set parameters of the chosen denoiser."""
        self.form.set_values(values)
        self.advanced_form.set_values(values)

    def allow(self, allowed: bool) -> None:
        """Let the user choose, or not while a run is under way."""
        for part in (self.denoisers, self._preset_row, self.form, self.advanced):
            part.setEnabled(allowed)

    def _lay_out(self) -> None:
        self.top.addRow("Denoiser", self.denoisers)
        preset = form_layout()
        preset.addRow("preset", self.presets)
        self._preset_row.setLayout(preset)
        self.advanced.add(self.advanced_form)
        self.advanced.add(self.options)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self.top)
        for part in (self.card, self._preset_row, self.form, self.advanced):
            column.addWidget(part)

    def _on_denoiser_changed(self) -> None:
        info = self.denoisers.info
        parameters = info.parameters if info else ()
        presets = info.presets if info else {}
        self.card.show_info(info)
        self.form.set_parameters([p for p in parameters if not p.advanced])
        self.advanced_form.set_parameters([p for p in parameters if p.advanced])
        self.presets.set_presets(parameters, presets)
        self._preset_row.setVisible(bool(presets))
        if info is not None:
            self.set_values(self._memory.get(info.name, {}))
        self._on_values_changed()

    def _on_values_changed(self) -> None:
        info = self.denoisers.info
        if info is not None:
            self._memory[info.name] = self.values()
        self.presets.show_values(self.values())
        self.method_changed.emit()


def form_layout() -> QFormLayout:
    """Return a form without margins whose fields grow with the dock."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout
