"""The layer that shows, while a network learns, what it makes of the frame in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from lowdose.errors import LowDoseError
from napari_lowdose._display import display_limits
from napari_lowdose._layers import PLACE, take_snapshot, to_micrograph
from napari_lowdose._messages import explain
from napari_lowdose._provenance import METADATA_KEY, find_layer
from napari_lowdose._result import frame_number
from napari_lowdose.training.controls import Wish
from napari_lowdose.widgets.preview import shifted_origin, visible_region

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_lowdose.training.controls import Controls, Picture

#: Longest side of what is previewed [px]; of a larger view its middle is shown.
LONGEST: Final = 512
#: Time without a change of the view after which another part is asked for [ms].
_QUIET: Final = 250


class TrainPreview(QObject):
    """Tells a training what to preview, and shows what comes.

    It follows the camera and the sliders. Signals: ``said(str)`` with a sentence, and
    ``switched_off()`` when the user removed the layer, or it cannot be made.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    source : callable
        Returns the noisy layer, or None.
    parent : QObject
        The Qt parent.
    """

    said = Signal(str)
    switched_off = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        source: Callable[[], Image | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._source = viewer, source
        self._controls: Controls | None = None
        self._interval = 5.0
        self._on = False
        self._uid = ""
        self._shown_of = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET)
        self._timer.timeout.connect(self._wish)

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

    def switch(self, on: bool) -> None:
        """Switch the preview on or off, also while the training goes on."""
        self._on = on
        self._wish()
        if not on:
            self._remove()

    def set_interval(self, seconds: float) -> None:
        """Preview this often [s]."""
        self._interval = seconds
        self._wish()

    def refresh(self) -> None:
        """Ask for what is in view, as soon as that has not changed for a moment."""
        self._timer.start()

    def show(self, picture: Picture) -> None:
        """Show a preview, or say why there is none."""
        if picture.pixels is None:
            self.said.emit(f"No preview. {picture.problem}")
            self._give_up()
            return
        source = self._source()
        # In the meantime another layer may have been chosen, with other axes.
        if (
            not self._on
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
        if layer is not None:
            layer.data = data
            for key, value in place.items():
                setattr(layer, key, value)
            return
        # Set once, so that what changes is what the network has learnt.
        limits = display_limits(pixels, tuple(source.contrast_limits))
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
        selected = set(self._viewer.layers.selection)
        self._viewer.layers.append(layer)
        self._viewer.layers.selection = selected

    def _wish(self) -> None:
        """Tell the training what is in view."""
        if self._controls is not None:
            wish = self._in_view() if self._on else None
            self._controls.preview(wish, self._interval)

    def _in_view(self) -> Wish | None:
        layer = self._source()
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

    def _give_up(self) -> None:
        self._uid = ""
        self.switch(False)
        self.switched_off.emit()

    def _remove(self) -> None:
        layer, self._uid = self.layer, ""
        if layer is not None:
            self._viewer.layers.remove(layer)
