"""A denoiser by name: what goes to another process instead of the denoiser itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowdose.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.denoiser import Denoiser


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserSpec:
    """How to load a denoiser, anywhere.

    Parameters
    ----------
    name : str
        Name in the catalogue, or path of a model folder.
    preset : str, optional
        A named set of values.
    values : mapping, optional
        Values of its parameters, in the declared type or as text.
    """

    name: str
    preset: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def load(self, expected: Mapping[str, Any] | None = None) -> Denoiser:
        """Make the denoiser.

        Parameters
        ----------
        expected : mapping, optional
            What :meth:`~lowdose.denoiser.Denoiser.describe` must return; not checked
            where it is left out.

        Returns
        -------
        Denoiser
            Ready on the CPU.

        Raises
        ------
        LowDoseError
            As :func:`lowdose.catalogue.load` does.
        WeightsError
            If it is another one than expected: another version of the model.
        """
        from lowdose import catalogue

        denoiser = catalogue.load(self.name, preset=self.preset, **self.values)
        found = plain(denoiser.describe())
        if expected is not None and found != plain(expected):
            msg = (
                f"The model {self.name!r} here is another one than where the work was "
                f"begun: {difference(plain(expected), found)}. Install the same model "
                "and version on every machine."
            )
            raise WeightsError(msg)
        return denoiser

    @property
    def key(self) -> str:
        """What is equal for equal denoisers."""
        return json.dumps(
            [self.name, self.preset, dict(self.values)], sort_keys=True, default=str
        )


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as it comes back from JSON, to compare it with one that did."""
    result: dict[str, Any] = json.loads(json.dumps(record, default=str))
    return result


def difference(one: Any, other: Any, name: str = "") -> str:
    """Return in words the first thing in which two records of JSON types differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                return difference(one.get(key), other.get(key), f"{name} {key}".strip())
    return f"{name or 'value'} was {one!r} and is {other!r}"
