"""The formats of instrument makers, through RosettaSciIO where it is installed.

RosettaSciIO is licensed under the GPL-3, this package under the BSD licence; so it is
an optional part that users install themselves, and nothing here is taken from it.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import (
    FormatError,
    InvalidImageError,
    LowDoseWarning,
    MissingExtraError,
)
from lowdose.io.axes import Claim
from lowdose.io.checks import check_promise
from lowdose.io.contents import Contents, make_contents
from lowdose.io.frame_array import FrameArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Suffix -> what the format is called. Known also where the library is not installed.
#: Not here: what this package reads itself, and formats that hold no images.
FORMATS: Final = {
    ".dm3": "DigitalMicrograph 3",
    ".dm4": "DigitalMicrograph 4",
    ".emd": "EMD (Velox or NCEM)",
    ".de5": "Direct Electron DE5",
    ".ser": "FEI TIA (SER)",
    ".emi": "FEI TIA (EMI)",
    ".mib": "Quantum Detectors MIB",
    ".tvips": "TVIPS",
    ".blo": "Blockfile",
    ".hspy": "HyperSpy",
    ".nxs": "NeXus",
    ".prz": "PantaRhei",
    ".bcf": "Bruker composite",
    ".unf": "Semper",
    ".rpl": "Ripple",
    ".elid": "Phenom",
    ".sur": "Digital Surf",
    ".png": "PNG",
    ".bmp": "bitmap",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}

#: Formats that keep their samples in the file itself, and do not compress them.
_PLAIN: Final = frozenset({".dm3", ".dm4", ".ser", ".blo", ".tvips"})

_IMAGE_AXES: Final = 2


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return the image in an instrument's file.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        Number or title of the image, where there are several.

    Raises
    ------
    MissingExtraError
        If RosettaSciIO is not installed.
    FormatError
        If it cannot read the file.
    InvalidImageError
        If there are only spectra in the file.
    """
    source = path.name
    suffix = path.suffix.lower()
    name = FORMATS.get(suffix, suffix)
    signals = _read(path, name)
    number = _choose(signals, dataset, source)
    signal = signals[number]
    data, axes = _image_last(signal, source)
    if suffix in _PLAIN and not isinstance(data, np.ndarray):
        _check_size(path, data)
    claims = [
        Claim(
            label=label,
            spacing=axis.get("scale"),
            unit=str(axis.get("units") or ""),
            origin=float(axis.get("offset") or 0.0),
        )
        for label, axis in zip(_labels(axes), axes, strict=True)
    ]
    shape = tuple(int(n) for n in data.shape)
    frames = _Frames(data=data, lead=shape[:-2], source=source, format=name)
    return make_contents(
        FrameArray(frames, shape, data.dtype),
        claims,
        None,
        source=source,
        format=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frames:
    """Reads the frames of a lazy array; damage becomes an error of ours."""

    data: Any
    lead: tuple[int, ...]
    source: str
    format: str

    def __call__(self, number: int) -> NDArray[Any]:
        index = np.unravel_index(number, self.lead) if self.lead else ()
        try:
            frame = np.asarray(self.data[tuple(int(n) for n in index)])
        except MemoryError:
            raise
        # The readers, and dask round them, each fail in their own way.
        except Exception as error:
            msg = (
                f"Frame {number} of {self.source} ({self.format}) cannot be read: "
                f"{error!r}. Copy the file again from its source."
            )
            raise FormatError(msg) from error
        if frame.shape != self.data.shape[-2:]:
            msg = (
                f"Frame {number} of {self.source} ({self.format}) is not there: the "
                "file is truncated or damaged. Copy it again from its source."
            )
            raise FormatError(msg)
        return frame


def _check_size(path: Path, data: Any) -> None:
    """Refuse a header that promises far more data than the file has.

    Raises
    ------
    FormatError
        If it is more than twice the file; some types are unpacked when they are read.
    """
    promised = math.prod(data.shape) * np.dtype(data.dtype).itemsize
    size = path.stat().st_size
    if promised > 2 * size:
        check_promise(
            promised, size, source=path.name, shape=data.shape, dtype=data.dtype
        )


def _read(path: Path, name: str) -> list[Mapping[str, Any]]:
    """Return the signals in a file, as RosettaSciIO describes them."""
    if importlib.util.find_spec("rsciio") is None:
        msg = (
            f"{path.name} is a file of the format {name}, which is read through "
            'RosettaSciIO. Install it with: pip install "napari-lowdose[formats]" '
            "(it is free software under the GPL-3 licence)."
        )
        raise MissingExtraError(msg)
    rsciio = importlib.import_module("rsciio")
    suffix = path.suffix.lower().removeprefix(".")
    plugins = [
        plugin
        for plugin in rsciio.IO_PLUGINS
        if suffix in (extension.lower() for extension in plugin["file_extensions"])
    ]
    if not plugins:
        msg = f"The RosettaSciIO that is installed does not read {path.name} ({name})."
        raise FormatError(msg)
    try:
        reader = importlib.import_module(plugins[0]["api"])
        signals: list[Mapping[str, Any]] = list(
            reader.file_reader(str(path), lazy=True)
        )
    except ImportError as error:
        msg = (
            f"{path.name} ({name}) needs a library that is not installed: {error}. "
            'Install it with: pip install "napari-lowdose[formats]"'
        )
        raise MissingExtraError(msg) from error
    except MemoryError as error:
        # Nothing but the header is read here.
        msg = (
            f"{path.name} cannot be read as {name}: its header asks for more memory "
            "than there is. It is damaged; copy it again from its source."
        )
        raise FormatError(msg) from error
    # Each of its readers fails in its own way on a damaged file.
    except Exception as error:
        msg = f"{path.name} cannot be read as {name}: {error!r}."
        raise FormatError(msg) from error
    return signals


def _choose(
    signals: Sequence[Mapping[str, Any]], dataset: str | None, source: str
) -> int:
    """Return the number of the signal to read."""
    images = [n for n, signal in enumerate(signals) if _is_image(signal)]
    if not images:
        msg = (
            f"{source} holds no image: it has {len(signals)} signals, none of two axes."
        )
        raise InvalidImageError(msg)
    titles = {n: _title(signals[n]) for n in images}
    listed = ", ".join(f"{n}: {title or 'untitled'}" for n, title in titles.items())
    if dataset is None:
        if len(images) > 1:
            msg = (
                f"{source} holds {len(images)} images ({listed}); the first is read. "
                f"For another one use dataset='{images[1]}'."
            )
            warnings.warn(msg, LowDoseWarning, stacklevel=2)
        return images[0]
    for n, title in titles.items():
        if dataset in (str(n), title):
            return n
    msg = f"{source} has no image {dataset!r}. It holds {listed}."
    raise FormatError(msg)


def _is_image(signal: Mapping[str, Any]) -> bool:
    if len(signal["data"].shape) < _IMAGE_AXES:
        return False
    signal_axes = [axis for axis in signal["axes"] if axis.get("navigate") is False]
    return len(signal_axes) != 1  # one signal axis is a spectrum at every point


def _title(signal: Mapping[str, Any]) -> str:
    general = signal.get("metadata", {}).get("General", {})
    return str(general.get("title", ""))


def _image_last(
    signal: Mapping[str, Any], source: str
) -> tuple[Any, list[Mapping[str, Any]]]:
    """Return data and axes with the two axes of the image last."""
    data = signal["data"]
    axes = sorted(
        signal["axes"],
        # Readers leave the index out where the list is in the order of the array.
        key=lambda axis: axis.get("index_in_array", signal["axes"].index(axis)),
    )
    if len(axes) != len(data.shape):
        msg = (
            f"{source} cannot be read: it describes {len(axes)} axes of data of shape "
            f"{tuple(data.shape)}."
        )
        raise FormatError(msg)
    image = [n for n, axis in enumerate(axes) if axis.get("navigate") is False]
    if len(image) != _IMAGE_AXES or image == [len(axes) - 2, len(axes) - 1]:
        return data, axes
    order = [n for n in range(len(axes)) if n not in image] + image
    return data.transpose(order), [axes[n] for n in order]


def _labels(axes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return y and x for the image, and names that differ for the axes before it."""
    labels: list[str] = []
    spare = ["t", "z"]
    for axis in axes[:-2]:
        name = str(axis.get("name") or "").strip().lower()
        name = "t" if name.startswith("time") else name
        if name in ("y", "x"):
            # The position of the beam in a scan of diffraction patterns.
            name = f"scan {name}"
        if not name or name in labels:
            free = [label for label in spare if label not in labels]
            name = free[0] if free else f"axis{len(labels)}"
        labels.append(name)
    return [*labels, "y", "x"]
