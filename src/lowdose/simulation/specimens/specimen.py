"""What is put under the beam: atoms, and the part of them that images show.

Coordinates are those of the image: x runs along the columns, y along the rows and
*downward*, z along the beam. Lengths are nanometres in this package and ångström
only inside :class:`ase.Atoms`, whose cell is orthogonal and larger than the view:
multislice is periodic, so what wraps round must fall into a margin that is cut off.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import MissingExtraError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

#: ångström in a nanometre.
ANGSTROM: Final = 10.0
#: Vacuum [nm] between the atoms and either end of the cell along the beam.
_VACUUM: Final = 0.2
_ASE: Final = "ase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The rectangle that images show, and the margin that they do not.

    Parameters
    ----------
    height, width : float
        Size of the view [nm].
    margin : float
        Width of the border that is simulated and cut off [nm].
    """

    height: float
    width: float
    margin: float

    def __post_init__(self) -> None:
        check_range(self, "height", 0.2, 200, "nm")
        check_range(self, "width", 0.2, 200, "nm")
        check_range(self, "margin", 0, 50, "nm")

    @property
    def cell(self) -> tuple[float, float]:
        """Height and width of the cell [nm]."""
        return self.height + 2 * self.margin, self.width + 2 * self.margin

    def widened(self, border: float) -> Field:
        """Return the same cell, of which the view shows more.

        Parameters
        ----------
        border : float
            What is taken from the margin at each side [nm].

        Returns
        -------
        Field

        Raises
        ------
        ParameterError
            If the margin is narrower.
        """
        return Field(
            height=self.height + 2 * border,
            width=self.width + 2 * border,
            margin=self.margin - border,
        )

    @property
    def radius(self) -> float:
        """Distance from the centre to a corner of the cell [nm]."""
        return float(np.hypot(*self.cell)) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """Atoms under the beam, and how they came about.

    Parameters
    ----------
    atoms : ase.Atoms
        Positions [Å], in an orthogonal cell that is periodic across the beam.
    kind : str
        ``"nanoparticle"``, ``"graphene"``, ``"crystal"`` or a name of one's own.
    parameters : dataclass instance
        What it was built from.
    seed : int
        Seed of every random choice in it.
    field : Field
        Which part of the cell images show: its middle.
    """

    atoms: Atoms
    kind: str
    parameters: Any
    seed: int
    field: Field

    def record(self) -> dict[str, Any]:
        """Return what describes it, as a flat dictionary of JSON types.

        Returns
        -------
        dict
            ``kind``, ``seed``, ``atoms`` (their number), ``formula``, and every
            parameter by its name. Tuples are written as text, such as ``"1 1 0"``.
        """
        return {
            "kind": self.kind,
            "seed": self.seed,
            "atoms": len(self.atoms),
            "formula": _formula(self.atoms),
            **flat(self.parameters),
        }


def _formula(atoms: Atoms) -> str:
    """Return the formula by Hill; ase's own way there takes long for many atoms."""
    from ase.formula import Formula

    counts = Counter(atoms.get_chemical_symbols())
    return str(Formula.from_dict(counts).format("hill")) if counts else ""


def flat(parameters: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as a flat dictionary of JSON types.

    Parameters
    ----------
    parameters : dataclass instance
        Numbers, text, booleans, None, tuples of them, or dataclasses.

    Returns
    -------
    dict
        Tuples joined by spaces (nested ones as JSON); the fields of a nested
        dataclass under ``<field>_<name>``.
    """
    entries: dict[str, Any] = {}
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if dataclasses.is_dataclass(value):
            nested = flat(value).items()
            entries.update({f"{field.name}_{name}": item for name, item in nested})
        elif isinstance(value, tuple):
            simple = all(isinstance(item, (int, float, str)) for item in value)
            text = " ".join(map(str, value)) if simple else json.dumps(value)
            entries[field.name] = text
        elif isinstance(value, np.generic):
            entries[field.name] = value.item()
        else:
            entries[field.name] = value
    return entries


def make_atoms(
    field: Field, groups: Sequence[tuple[str | Sequence[str], NDArray[np.float64]]]
) -> Atoms:
    """Return the atoms that fall into the cell of a field.

    Parameters
    ----------
    field : Field
        View and margin.
    groups : sequence of (symbols, positions)
        Positions of shape (N, 3) [nm], the centre of the view at (0, 0) and any
        origin along the beam; symbols are one for all or one for each.

    Returns
    -------
    ase.Atoms
        Shifted so that the cell begins at the origin, with vacuum before and after
        the specimen. Atoms outside the cell are left out.
    """
    ase = import_ase()
    height, width = field.cell
    symbols: list[str] = []
    kept: list[NDArray[np.float64]] = []
    for names, positions in groups:
        each = [names] * len(positions) if isinstance(names, str) else list(names)
        inside = (np.abs(positions[:, 0]) < width / 2) & (
            np.abs(positions[:, 1]) < height / 2
        )
        kept.append(positions[inside])
        symbols += [name for name, yes in zip(each, inside, strict=True) if yes]
    all_positions = np.concatenate(kept) if kept else np.zeros((0, 3))
    low = all_positions[:, 2].min() if len(all_positions) else 0.0
    depth = np.ptp(all_positions[:, 2]) if len(all_positions) else 0.0
    shifted = all_positions + np.array([width / 2, height / 2, _VACUUM - low])
    return ase.Atoms(
        symbols=symbols,
        positions=shifted * ANGSTROM,
        cell=np.array([width, height, depth + 2 * _VACUUM]) * ANGSTROM,
        pbc=(True, True, False),
    )


def import_ase() -> Any:
    """Return the module ase, or say how to install it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import ase
    except ImportError as error:
        raise missing_extra(_ASE) from error
    return ase


def missing_extra(package: str) -> MissingExtraError:
    """Return the error for a package of the extra ``simulate`` that is missing."""
    return MissingExtraError(
        f"Simulating micrographs needs {package}, which is not installed. Install it "
        'with: pip install "napari-lowdose[simulate]"'
    )


def check_range(owner: Any, name: str, low: float, high: float, unit: str = "") -> None:
    """Raise unless a number of a dataclass lies within its limits.

    Parameters
    ----------
    owner : dataclass instance
        Whose number it is.
    name : str
        Name of the field.
    low, high : float
        Smallest and largest allowed value.
    unit : str, optional
        Unit, for the message.

    Raises
    ------
    ParameterError
        If the number is not finite or out of range.
    """
    value = getattr(owner, name)
    if np.isfinite(value) and low <= value <= high:
        return
    unit = f" {unit}" if unit else ""
    msg = (
        f"{type(owner).__name__}: {name}={value:g} is out of range; give a number "
        f"from {low:g} to {high:g}{unit}."
    )
    raise ParameterError(msg)


def check_choice(owner: Any, name: str, choices: Sequence[str]) -> None:
    """Raise :class:`ParameterError` unless a field of a dataclass is a choice."""
    value = getattr(owner, name)
    if value not in choices:
        msg = (
            f"{type(owner).__name__}: {name}={value!r} is not a choice; use one of "
            f"{', '.join(map(repr, choices))}."
        )
        raise ParameterError(msg)
