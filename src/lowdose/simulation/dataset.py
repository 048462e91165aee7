"""Opening simulated data sets: lazily, filtered by parameter, split by specimen."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence, Set
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowdose.errors import ParameterError, did_you_mean
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation.detectors import detector
from lowdose.simulation.opening import open_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import h5py
    from numpy.typing import NDArray

    from lowdose.simulation.detector import Detector
    from lowdose.simulation.opening import OpenSet
    from lowdose.simulation.store import Plan


class Dataset:
    """Images of a simulated data set, read when they are asked for.

    It can be sent to other processes, each of which opens the file for itself.

    Parameters
    ----------
    path : path-like
        A file that :func:`~lowdose.simulation.generation.iter_simulate` made.

    Raises
    ------
    InputError
        If the file is missing, not complete yet, or not readable.
    FormatError
        If it is truncated, damaged, being written by another program, of a newer
        version, or no simulated data set.

    Examples
    --------
    >>> with Dataset("set.h5") as dataset:  # doctest: +SKIP
    ...     thin = dataset.filter(thickness=(3, 4), contrast={"white", "black"})
    ...     parts = thin.split({"train": 0.8, "test": 0.2}, seed=1)
    ...     image = parts["train"][0]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._set: OpenSet = open_set(self._path)
        self._process = os.getpid()
        self._rows = np.arange(len(self._set.parameters))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        """Return a clean image, shape (H, W), float32, in e-/px at a dose of 1."""
        row = self._rows[_index(number, len(self._rows))]
        image: NDArray[np.float32] = self._images()[row]
        return image

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.frame_shape
        return (
            f"<Dataset {self._path.name}: {len(self)} images of {self.plan.preset!r}, "
            f"{height} x {width} px>"
        )

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def plan(self) -> Plan:
        """Preset, seed, size, options and software of the whole set."""
        return self._set.plan

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of an image [px]."""
        return self._set.frame_shape

    @property
    def vacuum(self) -> float:
        """Intensity of the vacuum [e-/px at a dose of 1]."""
        return float(self._set.about["vacuum"])

    @property
    def detector(self) -> str:
        """Name of the detector that the images are meant for."""
        return str(self._set.about["detector"])

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each parameter that has one."""
        units: Mapping[str, str] = self._set.about["units"]
        return units

    @property
    def parameters(self) -> NDArray[np.void]:
        """One row per image, a structured array."""
        return self._set.parameters[self._rows]

    @property
    def specimens(self) -> NDArray[np.int64]:
        """Numbers of the specimens that these images show, sorted."""
        return np.unique(self._set.parameters["specimen"][self._rows])

    @property
    def events(self) -> NDArray[np.void]:
        """What happens in the movies of these specimens; empty where nothing does."""
        events = self._set.events
        if not len(events):
            return events
        return events[np.isin(events["specimen"], self.specimens)]

    def record(self, number: int) -> dict[str, Any]:
        """Return the parameters of an image as a dictionary of JSON types."""
        row = self._set.parameters[self._rows[_index(number, len(self._rows))]]
        return {name: row[name].item() for name in row.dtype.names}

    def detector_of(self, number: int) -> Detector:
        """Return the detector that an image is meant for, with its own row noise.

        Parameters
        ----------
        number : int
            Number of the image.

        Returns
        -------
        Detector
            That of the set, unless the image has a parameter ``detector`` of its own;
            a parameter ``row_noise`` [counts] takes the place of the detector's.

        Raises
        ------
        ParameterError
            If the program knows no detector of that name.
        """
        known = self.record(number)
        chosen = detector(known.get("detector", self.detector))
        row_noise = known.get("row_noise", math.nan)
        if math.isnan(row_noise):
            return chosen
        return dataclasses.replace(chosen, row_noise=row_noise)

    def micrograph(self, number: int) -> Micrograph:
        """Return an image with its pixel size."""
        record = self.record(number)
        name = f"{self.plan.preset} {record['specimen']}.{record['image']}"
        return Micrograph(self[number], _calibration([record], stacked=False), name)

    def movie(self, specimen: int) -> Micrograph:
        """Return all images of a specimen as a stack, with its calibration.

        Parameters
        ----------
        specimen : int
            Its number, one of `specimens`.

        Returns
        -------
        Micrograph, shape (T, H, W), float32
            In the order of the set: the frames of a movie, or a defocus series.

        Raises
        ------
        ParameterError
            If no image here is of that specimen.
        """
        rows = self._rows[self._set.parameters["specimen"][self._rows] == specimen]
        if not len(rows):
            msg = (
                f"There is no specimen {specimen} among these {len(self)} images of "
                f"{len(self.specimens)} specimens; see Dataset.specimens."
            )
            raise ParameterError(msg)
        stack = np.stack([self._images()[row] for row in rows])
        numbers = np.flatnonzero(np.isin(self._rows, rows))
        records = [self.record(int(number)) for number in numbers]
        return Micrograph(
            stack, _calibration(records, stacked=True), f"{self.plan.preset} {specimen}"
        )

    def filter(self, **conditions: Any) -> Dataset:
        """Return those images whose parameters fulfil every condition.

        Parameters
        ----------
        **conditions
            By name of the parameter: a value; a range ``(low, high)``, both included,
            with None for no limit; or a list or set of values.

        Returns
        -------
        Dataset
            Of the same file, with fewer images.

        Raises
        ------
        ParameterError
            If there is no such parameter, or a range is asked of text.
        """
        table = self.parameters
        kept = np.ones(len(table), bool)
        for name, condition in conditions.items():
            if name not in (table.dtype.names or ()):
                known = did_you_mean(name, table.dtype.names or ())
                msg = f"{self._path.name} has no parameter {name!r}. {known}"
                raise ParameterError(msg)
            kept &= _fulfils(name, table[name], condition)
        return self._view(self._rows[kept])

    def split(
        self, shares: Mapping[str, float], *, seed: int = 0
    ) -> dict[str, Dataset]:
        """Divide the set so that no specimen is in two parts.

        Which part a specimen goes to depends on the file, the shares and the seed
        alone, so that a filtered set is divided as the whole one is.

        Parameters
        ----------
        shares : mapping
            Name of each part to its share of the specimens; they add up to 1.
        seed : int, optional
            Seed of the division.

        Returns
        -------
        dict
            Name to Dataset.

        Raises
        ------
        ParameterError
            If the shares do not add up to 1, or there are too few specimens for them.
        """
        values = np.array([float(share) for share in shares.values()])
        if not len(values) or (values <= 0).any() or abs(values.sum() - 1) > 1e-6:
            msg = f"The shares {dict(shares)} must be above 0 and add up to 1."
            raise ParameterError(msg)
        everyone = np.unique(self._set.parameters["specimen"])
        order = np.random.default_rng([seed, len(everyone)]).permutation(everyone)
        ends = np.rint(np.cumsum(values) * len(everyone)).astype(int)
        if (np.diff(ends, prepend=0) == 0).any():
            msg = (
                f"{len(everyone)} specimens are too few for the shares {dict(shares)}: "
                "a part would be empty. Simulate more, or ask for fewer parts."
            )
            raise ParameterError(msg)
        mine = self._set.parameters["specimen"][self._rows]
        groups = np.split(order, ends[:-1])
        return {
            name: self._view(self._rows[np.isin(mine, group)])
            for name, group in zip(shares, groups, strict=True)
        }

    def close(self) -> None:
        """Close the file, also for the sets that were filtered and split from it."""
        self._set.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "rows": self._rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        self._rows = state["rows"]

    def _view(self, rows: NDArray[np.int64]) -> Dataset:
        view = object.__new__(type(self))
        view._path, view._set, view._process = self._path, self._set, self._process
        view._rows = rows
        return view

    def _images(self) -> h5py.Dataset:
        # A forked process must not share the position in the file with its parent.
        if self._process != os.getpid():
            self._set = open_set(self._path)
            self._process = os.getpid()
        return self._set.images


def open_sample() -> Dataset:
    """Open the data set that comes with the package.

    Returns
    -------
    Dataset
        16 images of 4 specimens of the preset ``sbd-sharp``, seed 0, 192 x 192 px at
        0.0122 nm/px: the middle of the view, at twice the pixel size.
    """
    return Dataset(str(resources.files("lowdose") / "data" / "sample-set.h5"))


def _index(number: int, length: int) -> int:
    if not -length <= number < length:
        msg = f"There is no image {number}; there are {length}, from 0 on."
        raise IndexError(msg)
    return number % length


def _fulfils(name: str, values: NDArray[Any], condition: Any) -> NDArray[np.bool_]:
    if isinstance(condition, Set) or (
        isinstance(condition, Sequence) and not isinstance(condition, (str, tuple))
    ):
        return np.isin(values, list(condition))
    if not isinstance(condition, tuple):
        return np.asarray(values == condition)
    if len(condition) != 2 or values.dtype.kind not in "ifb":
        msg = (
            f"{name}={condition!r} is no range (low, high) of numbers. Use a value, or "
            "a list of values."
        )
        raise ParameterError(msg)
    low, high = condition
    kept = ~np.isnan(values.astype(np.float64))
    if low is not None:
        kept &= values >= low
    if high is not None:
        kept &= values <= high
    return kept


def _calibration(records: Sequence[Mapping[str, Any]], *, stacked: bool) -> Calibration:
    """Return the calibration of an image, or of the stack of several."""
    first = records[0]
    pixel = first.get("pixel_size")
    spacing: list[float | None] = [pixel, pixel]
    units = ["nm" if pixel else None] * 2
    if stacked:
        steps = np.diff([record["time"] for record in records if "time" in record])
        even = bool(len(steps)) and steps[0] > 0 and np.allclose(steps, steps[0])
        spacing.insert(0, float(steps[0]) if even else None)
        units.insert(0, "s" if even else None)
    return Calibration.from_spacing(tuple(spacing), tuple(units))
