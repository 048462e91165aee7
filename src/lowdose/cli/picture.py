"""The before/after picture of a run, as a PNG that needs no plotting library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.cli.lengths import readable_length
from lowdose.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lowdose.micrograph import Calibration

#: Longest side of the part of a frame that is shown [px of the frame].
_CROP: Final = 512
#: Width that a small frame is enlarged to, in whole steps [px of the picture].
_WIDTH: Final = 512
#: Share of pixels that are shown black, and white.
_SATURATED: Final = 0.002

_MARGIN: Final = 12
_TEXT_SIZE: Final = 16
_LINE: Final = 22
_BLACK: Final = 0
_PAPER: Final = 255


def write_before_after(
    path: Path,
    noisy: NDArray[np.generic],
    clean: NDArray[np.float32],
    calibration: Calibration,
    *,
    title: str,
) -> None:
    """Write a noisy frame and its denoised frame side by side.

    Parameters
    ----------
    path : Path
        A PNG file; replaced if it exists.
    noisy, clean : ndarray, shape (H, W)
        Counts. Of large frames the middle is shown.
    calibration : Calibration
        For the scale bar; without a pixel size there is none.
    title : str
        What denoised it.

    Raises
    ------
    OutputError
        If the file cannot be written.

    Notes
    -----
    Each panel is spread over its own grey range, which its label states: on one
    scale the noise would leave the denoised panel no contrast.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=_TEXT_SIZE)
    panels = [_panel(noisy), _panel(clean)]
    width, height = panels[0].size
    heading = _MARGIN + 2 * _LINE
    picture = Image.new(
        "L", (2 * width + 3 * _MARGIN, heading + height + _LINE + 2 * _MARGIN), _PAPER
    )
    draw = ImageDraw.Draw(picture)
    labels = (("noisy", noisy), (f"denoised: {title}", clean))
    for number, (panel, (label, frame)) in enumerate(zip(panels, labels, strict=True)):
        left = _MARGIN + number * (width + _MARGIN)
        low, high = grey_range(_middle(frame))
        draw.text((left, _MARGIN), label, fill=_BLACK, font=font)
        draw.text(
            (left, _MARGIN + _LINE - 2),
            f"black {low:.3g}, white {high:.3g} counts",
            fill=_BLACK,
            font=font,
        )
        picture.paste(panel, (left, heading))
    shown = _middle(noisy).shape[1]
    bar = scale_bar(shown, calibration)
    if bar is not None:
        length, label = bar
        top = heading + height + _MARGIN
        right = _MARGIN + round(length * width / shown)
        draw.rectangle((_MARGIN, top + 5, right, top + 10), fill=_BLACK)
        draw.text((right + _MARGIN, top - 2), label, fill=_BLACK, font=font)
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        msg = f"The picture {path} cannot be written: {error.strerror or error}."
        raise OutputError(msg) from error


def scale_bar(width: int, calibration: Calibration) -> tuple[float, str] | None:
    """Return the length and the label of a scale bar.

    Parameters
    ----------
    width : int
        Width of what is shown [px].
    calibration : Calibration
        With the size of a pixel.

    Returns
    -------
    (float, str) or None
        Length [px], a fifth to half of the width, and its label, such as
        ``"20 nm"``. None where the pixel size is not known.
    """
    size = calibration.pixel_size("nm")
    if size is None:
        return None
    longest = width * size[1] / 2
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    return length / size[1], readable_length(length)


def grey_range(frame: NDArray[np.generic]) -> tuple[float, float]:
    """Return the counts to show black and white, by percentiles of finite pixels."""
    values = np.asarray(frame, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.quantile(values, (_SATURATED, 1 - _SATURATED))
    return float(low), float(high if high > low else low + 1)


def _panel(frame: NDArray[np.generic]) -> Image:
    from PIL import Image

    middle = np.asarray(_middle(frame), dtype=np.float64)
    low, high = grey_range(middle)
    grey = np.nan_to_num((middle - low) / (high - low), nan=0.0)
    pixels = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    zoom = max(1, _WIDTH // max(pixels.shape))
    # Whole steps and no interpolation: noise must look like what was recorded.
    return Image.fromarray(np.kron(pixels, np.ones((zoom, zoom), np.uint8)))


def _middle(frame: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the middle of a frame, at most `_CROP` px a side."""
    starts = [max(0, (n - _CROP) // 2) for n in frame.shape]
    return frame[tuple(slice(start, start + _CROP) for start in starts)]
