"""The layers that an inspection is shown with: pictures, and the marks on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image, Layer, Points

from napari_lowdose._display import extremes
from napari_lowdose._layers import PLACE, result_to_layer
from napari_lowdose._provenance import METADATA_KEY
from napari_lowdose.inspection.colours import colour_map, limits_of
from napari_lowdose.inspection.findings import titled
from napari_lowdose.inspection.view import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph
    from lowdose.trust.evidence import ColumnEvidence
    from lowdose.trust.maps import TrustMap
    from napari_lowdose.inspection.job import Inspected

#: Colour of the mark of the chosen place (Okabe-Ito yellow).
_CHOSEN: Final = (0.94, 0.89, 0.26, 1.0)
#: Diameter of that mark where the spacing of columns is not known [px].
_DIAMETER: Final = 12.0
#: Size of the colour bars [px of the screen].
_BAR: Final = (14, 130)

NOISY: Final = "noisy"
DENOISED: Final = "denoised"


class Cells:
    """Makes the cells of one inspection, and moves the mark of the chosen place.

    Parameters
    ----------
    inspected : Inspected
        What was found.
    """

    def __init__(self, inspected: Inspected) -> None:
        subject = inspected.inspection.subject
        self._frames = {NOISY: subject.noisy, DENOISED: subject.denoised}
        self._maps = {one.name: one for one in inspected.maps}
        self._evidence = inspected.evidence
        self._source = inspected.request.source
        self._chosen: tuple[float, float] | None = None
        self._cells: dict[str, Cell] = {}
        spacing = None
        if inspected.evidence is not None:
            spacing = inspected.evidence.columns.spacing
        self.diameter = 1.5 * spacing if spacing else _DIAMETER

    @property
    def columns(self) -> Points | None:
        """The layer of the columns, or None before it is made."""
        cell = self._cells.get(DENOISED)
        return cell.marks if cell is not None and self._evidence is not None else None

    @property
    def width(self) -> int:
        """Width of the frame [px]."""
        return int(self._frames[NOISY].shape[1])

    def in_world(self, row: float, column: float) -> tuple[float, float]:
        """Return where a pixel of the frame lies in the world of the viewer."""
        y, x = self._cells[NOISY].image.data_to_world((row, column))[-2:]
        return float(y), float(x)

    def make(self, names: Sequence[str]) -> list[Cell]:
        """Return the cells of both images and of these maps; earlier ones are kept."""
        shown = [NOISY, DENOISED, *(name for name in names if name in self._maps)]
        for name in shown:
            if name not in self._cells:
                self._cells[name] = self._cell(name)
        return [self._cells[name] for name in shown]

    def add_map(self, one: TrustMap) -> None:
        """Take a further map in, or another one of the same name."""
        self._maps[one.name] = one
        if (cell := self._cells.get(one.name)) is not None:
            cell.image.data = np.asarray(one.image)
            cell.image.contrast_limits_range = limits_of(one)
            cell.image.contrast_limits = limits_of(one)

    def choose(self, row: float, column: float) -> None:
        """Mark a place, in pixels of the frame, in every cell."""
        self._chosen = (row, column)
        for name, cell in self._cells.items():
            self._mark(name, cell.marks)

    def _cell(self, name: str) -> Cell:
        if name in self._frames:
            image = self._image(self._frames[name], titled(name, "counts"))
        else:
            one = self._maps[name]
            image = self._image(one.image, titled(name, one.unit))
            limits = limits_of(one)
            image.colormap = colour_map(one.scale)
            image.contrast_limits_range = limits
            image.contrast_limits = limits
        image.name_overlay.visible = True
        image.colorbar.size = _BAR
        image.colorbar.visible = True
        marks = Points(
            np.empty((0, 2)), **self._place(f"marks on {name}"), symbol="disc"
        )
        # A mark must not take the clicks that are meant for the picture.
        marks.editable = False
        self._mark(name, marks)
        return Cell(image=image, marks=marks)

    def _image(self, image: Micrograph, name: str) -> Image:
        data = np.asarray(image, dtype=np.float32)
        seen = extremes(data)
        look: dict[str, Any] = {"interpolation2d": "nearest"}
        if seen is not None and seen[0] < seen[1]:
            look["contrast_limits"] = seen
        return Layer.create(data, {**self._place(name), **look}, "image")

    def _place(self, name: str) -> dict[str, Any]:
        frame = np.broadcast_to(np.float32(0), self._frames[NOISY].shape)
        _, state, _ = result_to_layer(frame, self._source, denoiser="", values={})
        return {
            **{key: state[key] for key in PLACE},
            "name": name,
            # A picture for the moment: no widget offers it as a layer to work on.
            "metadata": {METADATA_KEY: {"preview": True}},
        }

    def _mark(self, name: str, layer: Points) -> None:
        points, colours, sizes, widths = [], [], [], []
        if name == DENOISED and self._evidence is not None:
            columns = self._evidence.columns
            points += list(columns.positions)
            colours += list(evidence_colours(self._evidence))
            sizes += [2.6 * columns.radius] * len(columns)
            widths += [0.1] * len(columns)
        if self._chosen is not None:
            points.append(self._chosen)
            colours.append(_CHOSEN)
            sizes.append(self.diameter)
            widths.append(0.08)
        layer.selected_data = set()
        layer.data = np.reshape(points, (-1, 2))
        if points:
            layer.face_color = "transparent"
            layer.border_color = np.asarray(colours)
            layer.size = np.asarray(sizes)
            layer.border_width = np.asarray(widths)
        if name == DENOISED and self._evidence is not None:
            layer.features = _features(self._evidence, len(points))


def evidence_colours(evidence: ColumnEvidence) -> NDArray[np.float64]:
    """Return the colours of the columns, shape (N, 4), as in the map of evidence."""
    limits = next(
        (limits_of(one) for one in evidence.maps if one.name == "evidence"), None
    )
    low, high = limits if limits is not None else (-1.0, 1.0)
    share = np.clip((evidence.llr - low) / (high - low), 0, 1)
    return np.asarray(colour_map("diverging").map(share), dtype=np.float64)


def _features(evidence: ColumnEvidence, length: int) -> Mapping[str, Any]:
    """Return what napari shows of a column under the cursor."""
    more = length - len(evidence.columns)
    return {
        "evidence [nats]": np.pad(evidence.llr, (0, more), constant_values=np.nan),
        "q": np.pad(evidence.q, (0, more), constant_values=np.nan),
        "verdict": np.array([*evidence.verdicts, *["chosen place"] * more], object),
    }
