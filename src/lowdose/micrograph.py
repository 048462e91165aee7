"""The two nouns that everything passes around: an image and what its pixels mean.

:class:`Micrograph` holds the data, lazy or not; :class:`Calibration` says how large
a pixel is, how long a frame took, and everything that was done to the data so far.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.units import UNITS, canonical_unit, convert

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Labels given to the axes before the image where data comes without any.
_STACK_LABELS: Final = ("t", "z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a micrograph.

    Parameters
    ----------
    label : str
        Usually one of ``"t"``, ``"z"``, ``"y"``, ``"x"``.
    spacing : float, optional
        Distance between two samples, in `unit`. None where it is not known.
    unit : str, optional
        Canonical unit (see :mod:`lowdose.units`). None where it is not known.
    origin : float, optional
        Coordinate of the first sample, in `unit` (in samples where `spacing` is
        not known).

    Raises
    ------
    ParameterError
        If the spacing is not a positive finite number, or the unit is not known.
    """

    label: str
    spacing: float | None = None
    unit: str | None = None
    origin: float = 0.0

    def __post_init__(self) -> None:
        if self.spacing is not None and not (
            math.isfinite(self.spacing) and self.spacing > 0
        ):
            msg = (
                f"The spacing of axis {self.label!r} is {self.spacing}; it must be a "
                "positive number, or None where it is not known."
            )
            raise ParameterError(msg)
        if self.unit is not None:
            unit = canonical_unit(self.unit)
            if unit is None:
                msg = (
                    f"{self.unit!r}, the unit of axis {self.label!r}, is not known. "
                    f"Use one of {', '.join(UNITS)}, or None."
                )
                raise ParameterError(msg)
            object.__setattr__(self, "unit", unit)

    @property
    def calibrated(self) -> bool:
        """Whether both spacing and unit are known."""
        return self.spacing is not None and self.unit is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done to the data, for the provenance chain.

    Parameters
    ----------
    action : str
        What was done, such as ``"denoise"``.
    software : str
        Name and version of the program that did it.
    when : str
        Time of day, ISO 8601 with time zone.
    source : str, optional
        Name of the file or layer that went in.
    details : mapping, optional
        Everything needed to do it again: denoiser, parameters, sha256 of the
        weights. Values are JSON types.
    """

    action: str
    software: str
    when: str
    source: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as a dictionary of JSON types."""
        return {
            "action": self.action,
            "software": self.software,
            "when": self.when,
            "source": self.source,
            "details": dict(self.details),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Step:
        """Build a step from :meth:`to_dict`'s result; missing texts become empty."""
        details = record.get("details", {})
        return cls(
            action=str(record.get("action", "")),
            software=str(record.get("software", "")),
            when=str(record.get("when", "")),
            source=str(record.get("source", "")),
            details=dict(details) if isinstance(details, Mapping) else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the samples of a micrograph mean.

    Parameters
    ----------
    axes : tuple of Axis
        One per array axis, slowest first; the last two are the image.
    counts_per_electron : float, optional
        Detector counts that one electron makes. None where it is not known.
    provenance : tuple of Step, optional
        What was done to the data so far, oldest first.
    """

    axes: tuple[Axis, ...]
    counts_per_electron: float | None = None
    provenance: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        gain = self.counts_per_electron
        if gain is not None and not (math.isfinite(gain) and gain > 0):
            msg = f"counts_per_electron is {gain}; it must be positive, or None."
            raise ParameterError(msg)

    @classmethod
    def unknown(cls, ndim: int) -> Calibration:
        """Return a calibration of `ndim` axes about which nothing is known."""
        lead = max(0, ndim - 2)
        further = [f"axis{n}" for n in range(lead - len(_STACK_LABELS))]
        labels = [*further, *_STACK_LABELS[:lead], "y", "x"]
        return cls(
            axes=tuple(Axis(label=label) for label in labels[len(labels) - ndim :])
        )

    @classmethod
    def from_spacing(
        cls, spacing: tuple[float | None, ...], units: tuple[str | None, ...]
    ) -> Calibration:
        """Return a calibration with the default labels and the given spacings.

        The axis before an image is called ``"z"`` where its unit is a length, and
        ``"t"`` otherwise.

        Parameters
        ----------
        spacing, units : tuple
            One entry per axis, slowest first; None where not known.
        """
        axes = [
            replace(axis, spacing=step, unit=unit)
            for axis, step, unit in zip(
                cls.unknown(len(spacing)).axes, spacing, units, strict=True
            )
        ]
        if len(axes) == 3 and UNITS.get(axes[0].unit or "", ("", 0))[0] == "length":
            axes[0] = replace(axes[0], label="z")
        return cls(axes=tuple(axes))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def labels(self) -> tuple[str, ...]:
        """Axis labels, slowest first."""
        return tuple(axis.label for axis in self.axes)

    def pixel_size(self, unit: str = "nm") -> tuple[float, float] | None:
        """Return the size of a pixel as (y, x) in `unit`, or None where unknown."""
        y, x = self.axes[-2:]
        if y.spacing is None or x.spacing is None or y.unit is None or x.unit is None:
            return None
        try:
            return convert(y.spacing, y.unit, unit), convert(x.spacing, x.unit, unit)
        except ParameterError:  # a diffraction pattern has no pixel size in nm
            return None

    def with_step(self, step: Step) -> Calibration:
        """Return the same calibration with one more provenance step."""
        return replace(self, provenance=(*self.provenance, step))

    def last(self, ndim: int) -> Calibration:
        """Return the calibration of the last `ndim` axes."""
        return replace(self, axes=self.axes[self.ndim - ndim :])


@dataclass(frozen=True, slots=True, eq=False)
class Micrograph:
    """An image or a stack of images in detector counts, with its calibration.

    Parameters
    ----------
    data : array_like, shape ([T,] [Z,] H, W)
        Detector counts, real, any numeric dtype and byte order. numpy arrays and
        memory maps, h5py and zarr arrays and dask arrays are kept as they are and
        read frame by frame; anything else is made a numpy array.
    calibration : Calibration, optional
        Unknown spacings by default.
    name : str, optional
        For messages and provenance; usually the name of the file.

    Raises
    ------
    InvalidImageError
        If the data has fewer than two axes, no pixels, or is complex, RGB
        (a structured dtype), text or objects; or if the calibration has another
        number of axes.
    """

    data: Any
    calibration: Calibration = None  # type: ignore[assignment]  # see __post_init__
    name: str = ""

    def __post_init__(self) -> None:
        data = self.data
        if not all(hasattr(data, a) for a in ("shape", "dtype", "__getitem__")):
            data = _as_array(data)
            object.__setattr__(self, "data", data)
        _check(data, self.name)
        calibration = cast("Calibration | None", self.calibration)
        if calibration is None:
            object.__setattr__(self, "calibration", Calibration.unknown(self.ndim))
        elif calibration.ndim != self.ndim:
            msg = (
                f"The calibration describes {calibration.ndim} axes, but the data "
                f"has shape {self.shape}. Give one Axis per array axis."
            )
            raise InvalidImageError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def ndim(self) -> int:
        """Number of axes of the data."""
        return len(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        dtype: np.dtype[Any] = np.dtype(self.data.dtype)
        return dtype

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of one frame [px]."""
        return self.shape[-2], self.shape[-1]

    @property
    def n_frames(self) -> int:
        """Number of images: the product of all axes before the last two."""
        return math.prod(self.shape[:-2])

    def frame_index(self, number: int) -> tuple[int, ...]:
        """Return the index, into the axes before the last two, of a frame number."""
        if not 0 <= number < self.n_frames:
            msg = (
                f"There is no frame {number}: frames go from 0 to {self.n_frames - 1}."
            )
            raise ParameterError(msg)
        return tuple(int(n) for n in np.unravel_index(number, self.shape[:-2]))

    def frame(self, number: int) -> NDArray[Any]:
        """Read one frame as it is stored.

        Parameters
        ----------
        number : int
            Frame number, counted through all leading axes, the last fastest.

        Returns
        -------
        ndarray, shape (H, W)
            A new array in native byte order, of the stored type. Of a lazy stack
            only this frame is read, and pages of a memory-mapped file are handed
            back to the system, so that memory does not grow with the frames read.
        """
        index = self.frame_index(number)
        frame = np.array(self.data[index] if index else self.data[...])
        release_pages(self.data)
        return (
            frame
            if frame.dtype.isnative
            else frame.astype(frame.dtype.newbyteorder("="))
        )

    def frames(self) -> Iterator[NDArray[Any]]:
        """Yield every frame in order, each read when it is asked for."""
        return (self.frame(number) for number in range(self.n_frames))

    def replace(self, **changes: Any) -> Micrograph:
        """Return a micrograph with some of data, calibration and name exchanged."""
        return replace(self, **changes)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """Read everything into one numpy array."""
        if copy is None:  # "only if needed", which numpy 1 does not know by this name
            return np.asarray(self.data, dtype=dtype)
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """Name, shape, type and calibration on one line."""
        axes = ", ".join(
            f"{a.label} {a.spacing:.6g} {a.unit or 'px'}" if a.spacing else a.label
            for a in self.calibration.axes
        )
        name = f"{self.name!r}, " if self.name else ""
        return (
            f"Micrograph({name}shape={self.shape}, dtype={self.dtype}, axes=({axes}))"
        )


def _as_array(data: Any) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except ValueError as error:
        msg = f"This is not an image: {error}. Give an array of shape ([frames,] H, W)."
        raise InvalidImageError(msg) from error


def _check(data: Any, name: str) -> None:
    """Refuse what no denoiser can work on."""
    what = f"{name!r}" if name else "The image"
    try:
        dtype = np.dtype(data.dtype)
    except TypeError as error:
        msg = f"{what} has the type {data.dtype}, which is not numeric."
        raise InvalidImageError(msg) from error
    shape = tuple(data.shape)
    if dtype.kind == "c":
        msg = (
            f"{what} is complex ({dtype}). Denoise its intensity (abs(x)**2) or "
            "another real image made from it."
        )
        raise InvalidImageError(msg)
    if dtype.names is not None:
        msg = (
            f"{what} is a colour or structured image with fields "
            f"{', '.join(dtype.names)}. Convert it to one grey channel of counts."
        )
        raise InvalidImageError(msg)
    if dtype.kind not in "buif":
        msg = f"{what} has the type {dtype}; an image of real numbers is needed."
        raise InvalidImageError(msg)
    if len(shape) < 2:
        msg = (
            f"{what} has {len(shape)} axes (shape {shape}); an image has at least two: "
            "height and width."
        )
        raise InvalidImageError(msg)
    if 0 in shape:
        msg = f"{what} is empty: its shape is {shape}."
        raise InvalidImageError(msg)


def release_pages(data: Any) -> None:
    """Hand the pages of a memory-mapped file back to the system.

    Without it the memory of the process grows with every frame that is read from a
    memory map or written to one, up to the size of the file. Does nothing for other
    data.

    Parameters
    ----------
    data : array_like
        Any array. What was written to a memory map stays in its file.
    """
    # Only for mappings whose pages the file can always supply again: with mode "c"
    # the advice would throw the user's changes away.
    if not isinstance(data, np.memmap) or data.mode == "c":
        return
    mapping = getattr(data, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
