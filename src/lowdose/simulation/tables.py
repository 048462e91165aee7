"""Rows of JSON types as a table in an HDF5 file, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.simulation.rendering import Record


def to_table(records: Sequence[Record]) -> NDArray[np.void]:
    """Return rows as a structured array that HDF5 can hold.

    Parameters
    ----------
    records : sequence of mapping
        Rows. A column that a row does not have, or has as None, is missing there.

    Returns
    -------
    ndarray, shape (N,), structured
        Columns in the order of their first appearance. Whole numbers are int64,
        booleans bool, text UTF-8 bytes of one length per column, everything else
        float64. Missing is NaN among numbers and booleans, empty among text.

    Raises
    ------
    ParameterError
        If a column mixes text and numbers, or holds something else.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {
        name: _column(name, [record.get(name) for record in records]) for name in names
    }
    table = np.zeros(
        len(records), np.dtype([(name, data.dtype) for name, data in columns.items()])
    )
    for name, data in columns.items():
        table[name] = data
    return table


def write_table(file: h5py.File, name: str, table: NDArray[np.void]) -> None:
    """Write a table of :func:`to_table` into an open file."""
    types = []
    for column in table.dtype.names or ():
        dtype = table.dtype[column]
        if dtype.kind == "S":
            dtype = h5py.string_dtype("utf-8", dtype.itemsize)
        types.append((column, dtype))
    stored = file.create_dataset(
        name, shape=table.shape, dtype=np.dtype(types), track_times=False
    )
    stored[...] = table.astype(stored.dtype)


def read_table(stored: h5py.Dataset) -> NDArray[np.void]:
    """Read a table, its text as str.

    Parameters
    ----------
    stored : h5py.Dataset
        A table that :func:`write_table` wrote.

    Returns
    -------
    ndarray, shape (N,), structured
    """
    raw = stored[...]
    columns = {}
    for name in raw.dtype.names or ():
        data = raw[name]
        columns[name] = (
            np.char.decode(data, "utf-8") if data.dtype.kind == "S" else data
        )
    table = np.zeros(
        len(raw), np.dtype([(name, data.dtype) for name, data in columns.items()])
    )
    for name, data in columns.items():
        table[name] = data
    return table


def _column(name: str, values: Sequence[Any]) -> NDArray[Any]:
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    complete = len(present) == len(values)
    if kinds == {str}:
        data = [(value or "").encode() for value in values]
        return np.array(data, f"S{max(1, *map(len, data))}")
    if kinds == {bool} and complete:
        return np.array(values, np.bool_)
    if kinds == {int} and complete:
        return np.array(values, np.int64)
    if kinds <= {int, float, bool}:
        return np.array(
            [math.nan if value is None else float(value) for value in values],
            np.float64,
        )
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    msg = (
        f"Parameter {name!r} cannot become a column of a table: its values are "
        f"{found}. Use numbers, or text, or booleans."
    )
    raise ParameterError(msg)
