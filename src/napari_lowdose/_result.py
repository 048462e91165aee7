"""The layer of a result: there from the start, filled frame by frame, or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer

from napari_lowdose._display import (
    display_limits,
)
from napari_lowdose._layers import (
    PLACE,
    LayerSnapshot,
    result_to_layer,
)
from napari_lowdose._provenance import (
    METADATA_KEY,
    describe_calibration,
    find_layer,
    is_result_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel

    from lowdose.micrograph import Micrograph
    from lowdose.parameters import Value
    from napari_lowdose._storage import FrameStore


class ResultLayer:
    """Shows the result of one run while it is made.

    The layer is added at once, but hidden until its first frame is finished. An
    earlier result of the same source and denoiser is replaced where asked for, but
    not before there is something to replace it with; a cancelled run leaves it as it
    was. Nothing else in the viewer is ever changed.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer goes.
    source : LayerSnapshot
        The noisy layer.
    denoiser : str
        Name of the denoiser.
    values : mapping
        Its parameters.
    out : FrameStore
        What the run fills.
    replace : bool
        Whether an earlier result may be replaced.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source: LayerSnapshot,
        *,
        denoiser: str,
        values: Mapping[str, Value],
        out: FrameStore,
        replace: bool,
    ) -> None:
        self._viewer = viewer
        self._source = source
        self._out = out
        self._started = False
        self._in_view: tuple[int, ...] | None = None
        self._before: dict[str, Any] = {}
        data, state, kind = result_to_layer(
            out.array, source, denoiser=denoiser, values=values
        )
        self._metadata: dict[str, Any] = state["metadata"]
        self._place = {key: state[key] for key in PLACE}
        earlier = self._find_earlier(denoiser) if replace else None
        self._added = earlier is None
        if earlier is None:
            layer = Layer.create(data, {**state, "visible": False}, kind)
            _add_above(viewer, layer, source.uid)
            earlier = layer
        self.uid = str(earlier.unique_id)

    @property
    def layer(self) -> Image | None:
        """The layer, or None where the user has removed it."""
        return find_layer(self._viewer, self.uid)

    @property
    def frames_done(self) -> int:
        """Number of frames that are finished."""
        return int(self._out.done.sum())

    @property
    def name(self) -> str:
        """Name of the layer; empty where the user has removed it."""
        layer = self.layer
        return "" if layer is None else str(layer.name)

    def update(self) -> None:
        """Show what is done; drawn anew only if the frame in view was finished."""
        layer = self.layer
        first = self._out.first_done
        if layer is None or first is None:
            return
        if not self._started:
            self._started = True
            self._show_first(layer, first)
        index = frame_index(self._viewer, layer)
        if self._out.done[index] and index != self._in_view:
            self._in_view = index
            layer.refresh(extent=False)

    def finish(self, result: Micrograph) -> None:
        """Write the provenance of the finished result."""
        layer = self.layer
        if layer is None:
            return
        self.update()
        layer.metadata = {
            **self._metadata,
            METADATA_KEY: {
                **self._metadata[METADATA_KEY],
                **describe_calibration(result.calibration),
                "complete": True,
            },
        }

    def discard(self) -> None:
        """Take the unfinished result back."""
        layer = self.layer
        if layer is None:
            return
        if self._added:
            self._viewer.layers.remove(layer)
        for key, value in self._before.items():
            setattr(layer, key, value)

    def _show_first(self, layer: Image, first: tuple[int, ...]) -> None:
        limits = display_limits(self._out[first], self._source.limits)
        if self._added:
            layer.contrast_limits_range = _wider(limits, self._source.limits)
            layer.contrast_limits = limits
            layer.visible = True
        else:
            # Contrast and visibility of an earlier result are the user's by now, but
            # the source may have been calibrated or moved since.
            new = {
                "data": self._out.array,
                "metadata": dict(self._metadata),
                **self._place,
            }
            self._before = {key: getattr(layer, key) for key in new}
            # napari fills its own dictionary anew: what it hands out is no copy.
            self._before["metadata"] = dict(layer.metadata)
            for key, value in new.items():
                setattr(layer, key, value)

    def _find_earlier(self, denoiser: str) -> Image | None:
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and is_result_of(
                layer,
                source_id=self._source.uid,
                denoiser=denoiser,
                shape=self._source.shape,
            ):
                return layer
        return None


def frame_index(viewer: ViewerModel, layer: Image) -> tuple[int, ...]:
    """Return the index, into the axes before the last two, of the frame in view.

    Steps of the viewer's sliders are those of all layers together; only the world
    coordinate says which frame of this layer is meant. It may lie outside: then the
    nearest frame is returned.
    """
    point = layer.world_to_data(viewer.dims.point)
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return tuple(
        int(np.clip(round(float(at)), 0, size - 1))
        for at, size in zip(point[-len(shape) : -2], shape[:-2], strict=True)
    )


def frame_number(viewer: ViewerModel, layer: Image) -> int:
    """Return the number, counted through all frames, of the frame in view."""
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    index = frame_index(viewer, layer)
    return int(np.ravel_multi_index(index, shape[:-2])) if index else 0


def _add_above(viewer: ViewerModel, layer: Image, uid: str) -> None:
    """Insert a layer directly above the one with this id, or on top."""
    ids = [str(x.unique_id) for x in viewer.layers]
    viewer.layers.insert(ids.index(uid) + 1 if uid in ids else len(ids), layer)


def _wider(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return min(a[0], b[0]), max(a[1], b[1])
