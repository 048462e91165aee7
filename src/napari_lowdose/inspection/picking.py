"""The equivalent filter of a pixel that was clicked on, and the clicks themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QObject, Signal

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Micrograph
from lowdose.progress import Progress, ShouldStop

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.components import ViewerModel
    from napari.layers import Image

    from lowdose.denoiser import Denoiser
    from lowdose.trust.equivalent import EquivalentFilter
    from napari_lowdose._denoising import Loader
    from napari_lowdose.inspection.recorded import Recorded

#: Movement below which a press and release are a click [px of the screen].
_STILL: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterRequest:
    """A pixel whose equivalent filter is wanted.

    Parameters
    ----------
    noisy : Micrograph, shape ([T,] [Z,] H, W)
        The noisy layer, whole: a denoiser may see neighbouring frames.
    frame : int
        Number of the frame.
    recorded : Recorded
        The denoiser.
    row, column : int
        The pixel.
    spacing : float or None
        Distance between columns [px], where it is known.
    loader : Loader
        What loads the denoiser.
    """

    noisy: Micrograph
    frame: int
    recorded: Recorded
    row: int
    column: int
    spacing: float | None
    loader: Loader

    def run(
        self, should_stop: ShouldStop
    ) -> Generator[Progress, None, EquivalentFilter]:
        """Find the weights of the noisy pixels in the denoised one."""
        from lowdose.trust.equivalent import iter_equivalent_filter

        yield Progress(stage="load", done=0, total=0)
        denoiser = self.loader.load(self.recorded.denoiser, self.recorded.values)
        found: EquivalentFilter = yield from iter_equivalent_filter(
            self._frames(denoiser),
            denoiser,
            self.row,
            self.column,
            spacing_px=self.spacing,
            should_stop=should_stop,
        )
        return found

    def _frames(self, denoiser: Denoiser) -> Micrograph:
        needs = denoiser.needs
        calibration = self.noisy.calibration.last(2)
        first, last = self.frame - needs.frames_before, self.frame + needs.frames_after
        if needs.frames == 1:
            return Micrograph(
                self.noisy.frame(self.frame), calibration, self.noisy.name
            )
        if first < 0 or last >= self.noisy.n_frames:
            msg = (
                f"{self.recorded.denoiser!r} sees frames {first} to {last}, and the "
                f"layer has frames 0 to {self.noisy.n_frames - 1}. Inspect a frame "
                "farther from the ends."
            )
            raise InvalidImageError(msg)
        stack = np.stack([self.noisy.frame(n) for n in range(first, last + 1)])
        return Micrograph(stack, self.noisy.calibration.last(3), self.noisy.name)


class Clicks(QObject):
    """Tells of clicks into the pictures of one viewer.

    Signal ``clicked(int, int)``: row and column of the pixel. A press that moves is no
    click: it pans, as ever.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    parent : QObject
        The Qt parent.
    """

    clicked = Signal(int, int)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Image | None = None

    def listen(self, image: Image | None) -> None:
        """Tell of clicks in pixels of this layer, or, with None, of none any more."""
        callbacks = self._viewer.mouse_drag_callbacks
        if image is not None and self._image is None:
            callbacks.append(self._on_pressed)
        elif image is None and self._on_pressed in callbacks:
            callbacks.remove(self._on_pressed)
        self._image = image

    def click(self, world: tuple[float, ...]) -> None:
        """Tell of a click at a place in world coordinates; outside it is none."""
        if self._image is None:
            return
        row, column = (round(float(at)) for at in self._image.world_to_data(world)[-2:])
        height, width = self._image.data.shape[-2:]
        if 0 <= row < height and 0 <= column < width:
            self.clicked.emit(row, column)

    def _on_pressed(
        self, _viewer: ViewerModel, event: Any
    ) -> Generator[None, None, None]:
        if event.button != 1 or event.modifiers or self._viewer.dims.ndisplay != 2:
            return
        start, world = np.asarray(event.pos, float), tuple(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if np.hypot(*(np.asarray(event.pos, float) - start)) < _STILL:
            self.click(world)
