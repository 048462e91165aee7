"""The live preview: the visible part of the frame in view, denoised as you look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QTimer, Signal

from napari_lowdose._display import (
    display_limits,
)
from napari_lowdose._jobs import JobController
from napari_lowdose._layers import (
    PLACE,
)
from napari_lowdose._messages import explain, is_expected
from napari_lowdose._provenance import (
    METADATA_KEY,
    find_layer,
)
from napari_lowdose._result import frame_index

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_lowdose._denoising import Preview, PreviewRequest

#: Time without a change after which a preview is computed [ms].
QUIET: Final = 250

#: Longest side of a preview [px]; of a larger view its middle is shown.
LONGEST: Final = 1024


class LivePreview(QObject):
    """Keeps a layer that shows the preview while it is switched on.

    It follows the camera, the sliders and whatever calls :meth:`refresh`; a change
    during a computation stops that one, and the latest wins. The layer is the
    preview's own; it has the axes of the source, and one frame, so that it lies
    exactly on the source and is seen on that frame only.

    Signals: ``status_changed(str)`` with a sentence, ``switched_off()`` when the user
    removed the layer, ``quiet()`` when no computation runs any more.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    make_request : callable
        Given frame number, rows and columns, returns the request, or None where
        nothing can be previewed.
    source : callable
        Returns the noisy layer, or None.
    parent : QObject, optional
        The Qt parent.
    """

    status_changed = Signal(str)
    switched_off = Signal()
    quiet = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        make_request: Callable[[int, slice, slice], PreviewRequest | None],
        source: Callable[[], Image | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._make_request = make_request
        self._source = source
        self._on = False
        self._again = False
        self._uid = ""
        self._shown_of = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._compute)
        self._jobs = JobController(self)
        self._jobs.succeeded.connect(self._on_succeeded)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.cancelled.connect(self._on_cancelled)

    @property
    def on(self) -> bool:
        """Whether the preview is switched on."""
        return self._on

    @property
    def busy(self) -> bool:
        """Whether a computation is running or being stopped."""
        return self._jobs.busy

    @property
    def layer(self) -> Image | None:
        """The preview's layer, or None."""
        return find_layer(self._viewer, self._uid)

    def switch(self, on: bool) -> None:
        """Switch the preview on or off."""
        if on == self._on:
            return
        self._on = on
        if on:
            self._follow(True)
            self._timer.start(0)  # nothing is changing that one would wait for
        else:
            self._follow(False)
            self._timer.stop()
            self._again = False
            self._jobs.cancel()
            self._remove_layer()
            self.status_changed.emit("")

    def refresh(self) -> None:
        """Compute anew, as soon as nothing has changed for a moment."""
        if self._on:
            self._timer.start(QUIET)

    def close(self) -> None:
        """Switch off for good and forget what still runs."""
        self.switch(False)
        self._jobs.abandon()

    def _follow(self, follow: bool) -> None:
        camera = self._viewer.scene.camera.events
        dims = self._viewer.dims.events
        for event in (camera.zoom, camera.center, dims.point, dims.ndisplay):
            change: Any = event.connect if follow else event.disconnect
            change(self._on_view_changed)
        removed = self._viewer.layers.events.removed
        (removed.connect if follow else removed.disconnect)(self._on_layer_removed)

    def _on_view_changed(self) -> None:
        self.refresh()

    def _on_layer_removed(self) -> None:
        if self._uid and self.layer is None:
            self._uid = ""
            self.switch(False)
            self.switched_off.emit()

    def _compute(self) -> None:
        """Start a computation, or stop the present one first."""
        if self._jobs.busy:
            self._again = True
            self._jobs.cancel()
            return
        layer = self._source()
        if layer is None:
            return
        if self._viewer.dims.ndisplay != 2:
            self.status_changed.emit("The preview needs the 2D view.")
            return
        displayed = tuple(self._viewer.dims.displayed)
        region = visible_region(layer, displayed, self._viewer.dims.ndim)
        if region is None:
            self.status_changed.emit(
                "The preview needs the last two axes of the layer on the screen."
            )
            return
        rows, columns = region
        index = frame_index(self._viewer, layer)
        leading = _shape(layer)[:-2]
        number = int(np.ravel_multi_index(index, leading)) if leading else 0
        request = self._make_request(number, rows, columns)
        if request is not None:
            self.status_changed.emit("Computing the preview…")
            self._jobs.start(request.run)

    def _on_succeeded(self, preview: Preview) -> None:
        source = self._source()
        # In the meantime another layer may have been chosen, with other axes.
        asked = preview.request.source_id
        if self._on and source is not None and str(source.unique_id) == asked:
            self._show(preview, source)
            height, width = preview.pixels.shape
            self.status_changed.emit(
                f"Preview of {width} × {height} px in {preview.seconds:.1f} s."
            )
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        self.status_changed.emit(f"No preview. {explain(error)}")
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._go_on()

    def _on_cancelled(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        if self._again and self._on:
            self._again = False
            self._compute()
        if not self._jobs.busy:
            self.quiet.emit()

    def _show(self, preview: Preview, source: Image) -> None:
        request = preview.request
        index = request.image.frame_index(request.frame)
        offset = (*index, request.rows.start, request.columns.start)
        data = preview.pixels.reshape(*(1,) * len(index), *preview.pixels.shape)
        _, state, _ = source.as_layer_data_tuple()
        place = {key: state[key] for key in PLACE}
        place["translate"] = shifted_origin(source, offset)
        if self._shown_of != str(source.unique_id):
            self._remove_layer()  # another source may have other axes
        self._shown_of = str(source.unique_id)
        layer = self.layer
        if layer is None:
            # Set once: a contrast that followed the parameters would hide their effect.
            limits = display_limits(preview.pixels, tuple(source.contrast_limits))
            layer = Image(
                data,
                name=f"preview of {source.name}",
                contrast_limits=limits,
                colormap=source.colormap,
                gamma=source.gamma,
                metadata={METADATA_KEY: {"preview": True}},
                **place,
            )
            self._uid = str(layer.unique_id)
            self._add(layer)
        else:
            layer.data = data
            for key, value in place.items():
                setattr(layer, key, value)

    def _add(self, layer: Image) -> None:
        """Add a layer on top, without taking the selection away from the user's."""
        layers = self._viewer.layers
        selected = set(layers.selection)
        layers.append(layer)
        layers.selection = selected

    def _remove_layer(self) -> None:
        layer, self._uid = self.layer, ""
        if layer is not None:
            self._viewer.layers.remove(layer)


def visible_region(
    layer: Image, displayed: tuple[int, ...], ndim: int, *, longest: int = LONGEST
) -> tuple[slice, slice] | None:
    """Return the rows and columns of a layer that are on the screen.

    Parameters
    ----------
    layer : Image
        The layer.
    displayed : tuple of int
        The axes that the viewer displays.
    ndim : int
        Number of axes of the viewer; layers with fewer have the last ones.
    longest : int, optional
        Longest side of the region [px]; of a larger view its middle is returned.

    Returns
    -------
    tuple of slice, or None
        Rows and columns; None where other axes than the last two are displayed.
    """
    if sorted(displayed) != [ndim - 2, ndim - 1]:
        return None
    shape = _shape(layer)
    corners = np.asarray(layer.corner_pixels, dtype=float)[:, -2:]
    if layer.multiscale:
        corners = corners * layer.downsample_factors[layer.data_level][-2:]
    parts = []
    for low, high, size in zip(corners[0], corners[1], shape[-2:], strict=True):
        start = int(np.clip(np.floor(low), 0, size - 1))
        stop = int(np.clip(np.ceil(high) + 1, start + 1, size))
        spare = max(0, stop - start - longest)
        parts.append(slice(start + spare // 2, stop - (spare - spare // 2)))
    rows, columns = parts
    return rows, columns


def shifted_origin(layer: Image, offset: tuple[int, ...]) -> tuple[float, ...]:
    """Return the translate with which pixel `offset` of a layer becomes the first.

    Right for every scale, rotation, shear and affine.
    """
    world = layer.data_to_world(offset)
    return tuple(float(n) for n in layer.affine.inverse(world))


def _shape(layer: Image) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(n) for n in data.shape)
