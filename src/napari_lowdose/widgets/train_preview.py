"""The layer that shows, while a network learns, what it makes of the frame in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from lowdose.parameters import Parameter
from napari_lowdose._display import display_limits
from napari_lowdose._layers import PLACE, take_snapshot, to_micrograph
from napari_lowdose._messages import explain
from napari_lowdose._provenance import METADATA_KEY, find_layer
from napari_lowdose._result import frame_number
from napari_lowdose.training.controls import Wish
from napari_lowdose.widgets.choosers import LayerBox
from napari_lowdose.widgets.form import ParameterForm
from napari_lowdose.widgets.preview import shifted_origin, visible_region

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_lowdose.training.controls import Controls, Picture

#: Longest side of what is previewed [px]; of a larger view its middle is shown.
LONGEST: Final = 512
#: Time without a change of the view after which another part is asked for [ms].
_QUIET: Final = 250


_EVERY: Final = (
    Parameter(
        name="every",
        kind="float",
        default=5.0,
        minimum=0.5,
        maximum=3600,
        unit="s",
        help="Time between two previews; longer where they would take a tenth of it.",
    ),
)


class PreviewChoices(QWidget):
    """Whether to preview, which layer, and how often.

    Signal ``changed()``.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QCheckBox("Live preview")
        self.box.setChecked(True)
        self.box.setToolTip(
            "Shows what the network makes, at present, of the visible part of the\n"
            "frame in view, as a layer. It takes a tenth of the time at most."
        )
        self.layers = LayerBox(viewer)
        self.layers.setToolTip("The layer to preview; it need not be learnt from.")
        self.form = ParameterForm()
        self.form.set_parameters(_EVERY)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.box, self.layers, self.form):
            column.addWidget(part)
        self.box.toggled.connect(self._on_toggled)
        self.layers.layer_changed.connect(self.changed)
        self.form.changed.connect(self.changed)

    @property
    def on(self) -> bool:
        """Whether a preview is wanted."""
        return bool(self.box.isChecked())

    @property
    def interval(self) -> float:
        """Time between two previews [s]."""
        return float(self.form.values()["every"])

    def _on_toggled(self, on: bool) -> None:
        self.layers.setVisible(on)
        self.form.setVisible(on)
        self.changed.emit()


class TrainPreview(QObject):
    """Tells a training what to preview, and shows what comes.

    It follows the camera and the sliders. Signal ``said(str)`` with a sentence.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    choices : PreviewChoices
        What the user wants; switched off here when the user removes the layer, or it
        cannot be made.
    parent : QObject
        The Qt parent.
    """

    said = Signal(str)

    def __init__(
        self, viewer: ViewerModel, *, choices: PreviewChoices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._choices = viewer, choices
        self._controls: Controls | None = None
        self._uid = ""
        self._shown_of = ""
        #: Contrast limits that were set here, not by the user.
        self._limits: tuple[float, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET)
        self._timer.timeout.connect(self._wish)
        choices.changed.connect(self._on_changed)

    @property
    def layer(self) -> Image | None:
        """The preview's layer, or None."""
        return find_layer(self._viewer, self._uid)

    def begin(self, controls: Controls) -> None:
        """Preview this training, if switched on."""
        self._controls = controls
        self._follow(True)
        self._wish()

    def end(self) -> None:
        """Preview no more, and take the layer away."""
        if self._controls is not None:
            self._follow(False)
        self._timer.stop()
        self._controls = None
        self._remove()

    def refresh(self) -> None:
        """Ask for what is in view, as soon as that has not changed for a moment."""
        self._timer.start()

    def show(self, picture: Picture) -> None:
        """Show a preview, or say why there is none."""
        if picture.pixels is None:
            self.said.emit(f"No preview. {picture.problem}")
            self._give_up()
            return
        source = self._choices.layers.layer
        # In the meantime another layer may have been chosen, with other axes.
        if (
            not self._choices.on
            or self._controls is None
            or source is None
            or str(source.unique_id) != picture.wish.uid
        ):
            return
        wish, pixels = picture.wish, picture.pixels
        index = wish.image.frame_index(wish.frame)
        data = pixels.reshape(*(1,) * len(index), *pixels.shape)
        _, state, _ = source.as_layer_data_tuple()
        place = {key: state[key] for key in PLACE}
        place["translate"] = shifted_origin(
            source, (*index, wish.rows.start, wish.columns.start)
        )
        if self._shown_of != str(source.unique_id):
            self._remove()
        self._shown_of = str(source.unique_id)
        layer = self.layer
        limits = display_limits(pixels, tuple(source.contrast_limits))
        if layer is not None:
            layer.data = data
            for key, value in place.items():
                setattr(layer, key, value)
            # A fresh network begins with noise of any size; the contrast follows what
            # it learns, unless the user has set one.
            if tuple(layer.contrast_limits) == self._limits:
                self._set_limits(layer, limits)
            return
        layer = Image(
            data,
            name=f"training: {source.name}",
            contrast_limits=limits,
            colormap=source.colormap,
            gamma=source.gamma,
            metadata={METADATA_KEY: {"preview": True}},
            **place,
        )
        self._uid = str(layer.unique_id)
        self._limits = tuple(layer.contrast_limits)
        selected = set(self._viewer.layers.selection)
        self._viewer.layers.append(layer)
        self._viewer.layers.selection = selected

    def _set_limits(self, layer: Image, limits: tuple[float, float]) -> None:
        low, high = layer.contrast_limits_range
        layer.contrast_limits_range = (min(low, limits[0]), max(high, limits[1]))
        layer.contrast_limits = limits
        self._limits = tuple(layer.contrast_limits)

    def _wish(self) -> None:
        """Tell the training what is in view."""
        if self._controls is not None:
            wish = self._in_view() if self._choices.on else None
            self._controls.preview(wish, self._choices.interval)

    def _in_view(self) -> Wish | None:
        layer = self._choices.layers.layer
        if layer is None or self._viewer.dims.ndisplay != 2:
            return None
        dims = self._viewer.dims
        region = visible_region(
            layer, tuple(dims.displayed), dims.ndim, longest=LONGEST
        )
        if region is None:
            return None
        try:
            snapshot = take_snapshot(layer)
            image = to_micrograph(snapshot)
        except LowDoseError as error:
            self.said.emit(f"No preview. {explain(error)}")
            return None
        rows, columns = region
        return Wish(
            image=image,
            uid=snapshot.uid,
            frame=frame_number(self._viewer, layer),
            rows=rows,
            columns=columns,
        )

    def _follow(self, follow: bool) -> None:
        camera = self._viewer.scene.camera.events
        dims = self._viewer.dims.events
        for event in (camera.zoom, camera.center, dims.point, dims.ndisplay):
            change: Any = event.connect if follow else event.disconnect
            change(self.refresh)
        removed = self._viewer.layers.events.removed
        (removed.connect if follow else removed.disconnect)(self._on_removed)

    def _on_removed(self) -> None:
        if self._uid and self.layer is None:
            self._give_up()

    def _on_changed(self) -> None:
        self._wish()
        if not self._choices.on:
            self._remove()

    def _give_up(self) -> None:
        self._choices.box.setChecked(False)

    def _remove(self) -> None:
        layer, self._uid = self.layer, ""
        if layer is not None:
            self._viewer.layers.remove(layer)
