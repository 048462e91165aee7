"""What can be set of a protocol."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lowdose.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be set of a protocol; None for its own choice.

    Parameters
    ----------
    count : int, optional
        How many images; of each class or dose where there are several.
    seed : int, optional
        Of choices and noise.
    datasets : tuple of str, optional
        Files that ``lowdose simulate`` made, or "sample".
    images : tuple of Path, optional
        Micrographs, or folders of them, taken as the truth.
    block : int, optional
        Edge of the blocks of pixels that micrographs are averaged over first [px].
    size : int, optional
        Side of crops [px].
    doses : tuple of float, optional
        In the unit of the protocol.
    contrasts : tuple of str, optional
        Classes of contrast.
    """

    count: int | None = None
    seed: int = 0
    datasets: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    block: int | None = None
    size: int | None = None
    doses: tuple[float, ...] | None = None
    contrasts: tuple[str, ...] | None = None


def check_options(options: Options, *, protocol: str, takes: Iterable[str]) -> None:
    """Raise unless a protocol can be run with these options.

    Parameters
    ----------
    options : Options
        What is set.
    protocol : str
        Its name.
    takes : iterable of str
        Options that it knows, beside count and seed.

    Raises
    ------
    ParameterError
        If a value is out of range, or the protocol does not know an option.
    """
    if options.count is not None and options.count < 1:
        msg = f"count={options.count} is too small; give a whole number from 1 on."
        raise ParameterError(msg)
    if options.seed < 0:
        msg = f"seed={options.seed} must be a whole number from 0 on."
        raise ParameterError(msg)
    for asked in options.doses or ():
        if not 0 < asked < float("inf"):
            msg = f"A dose of {asked:g} is not possible; give numbers above 0."
            raise ParameterError(msg)
    for field_name in ("size", "block"):
        number = getattr(options, field_name)
        if number is not None and number < 1:
            msg = f"{field_name}={number} must be a whole number from 1 on."
            raise ParameterError(msg)
    known = {*takes, "count", "seed"}
    for field in fields(options):
        given = getattr(options, field.name)
        if given and field.name not in known:
            msg = (
                f"The protocol {protocol} has no option {field.name!r}. "
                f"{did_you_mean(field.name, known)}"
            )
            raise ParameterError(msg)
