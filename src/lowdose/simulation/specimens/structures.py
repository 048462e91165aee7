"""Crystal structures by name, and any other that ase can read from a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import FormatError, InputError, ParameterError, did_you_mean
from lowdose.simulation.specimens.metals import LATTICE_CONSTANTS
from lowdose.simulation.specimens.specimen import import_ase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

#: Name -> prototype, elements, lattice constants a, b, c [nm] and the angle between a
#: and b [°]; room temperature, R. W. G. Wyckoff, Crystal Structures (1963).
_TABLE: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[float, ...]]]] = {
    "Au": ("fcc", ("Au",), (LATTICE_CONSTANTS["Au"],)),
    "Pt": ("fcc", ("Pt",), (LATTICE_CONSTANTS["Pt"],)),
    "Al": ("fcc", ("Al",), (0.40496,)),
    "Cu": ("fcc", ("Cu",), (LATTICE_CONSTANTS["Cu"],)),
    "Fe": ("bcc", ("Fe",), (0.28665,)),
    "W": ("bcc", ("W",), (0.31650,)),
    "Ti": ("hcp", ("Ti",), (0.29506, 0.46788)),
    "Si": ("diamond", ("Si", "Si"), (0.54310,)),
    "Ge": ("diamond", ("Ge", "Ge"), (0.56574,)),
    "GaAs": ("diamond", ("Ga", "As"), (0.56533,)),
    "GaN": ("wurtzite", ("Ga", "N"), (0.3189, 0.5185)),
    "MgO": ("rocksalt", ("Mg", "O"), (0.42112,)),
    "PbTe": ("rocksalt", ("Pb", "Te"), (0.6454,)),
    "CeO2": ("fluorite", ("Ce", "O"), (0.54113,)),
    "SrTiO3": ("perovskite", ("Sr", "Ti", "O"), (0.3905,)),
    "TiO2": ("rutile", ("Ti", "O"), (0.45937, 0.29587)),
}
#: Sheets of one layer, as those above: a, and the height of the cell, most of which is
#: empty, so that a slab of 1 nm holds one layer however it is tilted. Sulphides and
#: selenides of molybdenum: K. D. Bronsema, J. L. de Boer, F. Jellinek, Z. Anorg. Allg.
#: Chem. 540, 15 (1986), doi:10.1002/zaac.19865400904; of tungsten: W. J. Schutte, J. L.
#: de Boer, F. Jellinek, J. Solid State Chem. 70, 207 (1987),
#: doi:10.1016/0022-4596(87)90057-0; BN: Wyckoff.
_SHEETS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[float, ...]]]] = {
    "MoS2": ("trigonal", ("Mo", "S"), (0.3160, 2.0)),
    "MoSe2": ("trigonal", ("Mo", "Se"), (0.3289, 2.0)),
    "WS2": ("trigonal", ("W", "S"), (0.3153, 2.0)),
    "WSe2": ("trigonal", ("W", "Se"), (0.3282, 2.0)),
    "BN": ("honeycomb", ("B", "N"), (0.2504, 2.0)),
}
_FCC: Final = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
_U: Final = 0.3053  # of the oxygen in rutile
_THIRD: Final = 1 / 3
_ABOVE: Final = 0.16 / 2.0  # of sulphur or selenium over the metal, in cells

#: Prototype -> for each element its fractional coordinates.
_BASES: Final[Mapping[str, tuple[tuple[tuple[float, ...], ...], ...]]] = {
    "fcc": (_FCC,),
    "bcc": (((0, 0, 0), (0.5, 0.5, 0.5)),),
    "hcp": (((_THIRD, 2 * _THIRD, 0.25), (2 * _THIRD, _THIRD, 0.75)),),
    "diamond": (_FCC, tuple(tuple(x + 0.25 for x in site) for site in _FCC)),
    "wurtzite": (
        ((_THIRD, 2 * _THIRD, 0), (2 * _THIRD, _THIRD, 0.5)),
        ((_THIRD, 2 * _THIRD, 0.377), (2 * _THIRD, _THIRD, 0.877)),
    ),
    "rocksalt": (_FCC, tuple((x + 0.5, y, z) for x, y, z in _FCC)),
    "fluorite": (
        _FCC,
        tuple(tuple(x + s for x in site) for s in (0.25, 0.75) for site in _FCC),
    ),
    "perovskite": (
        ((0, 0, 0),),
        ((0.5, 0.5, 0.5),),
        ((0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)),
    ),
    "rutile": (
        ((0, 0, 0), (0.5, 0.5, 0.5)),
        (
            (_U, _U, 0),
            (1 - _U, 1 - _U, 0),
            (0.5 + _U, 0.5 - _U, 0.5),
            (0.5 - _U, 0.5 + _U, 0.5),
        ),
    ),
    "trigonal": (
        ((_THIRD, 2 * _THIRD, 0),),
        ((2 * _THIRD, _THIRD, _ABOVE), (2 * _THIRD, _THIRD, -_ABOVE)),
    ),
    "honeycomb": (((_THIRD, 2 * _THIRD, 0),), ((2 * _THIRD, _THIRD, 0),)),
}
_HEXAGONAL: Final = {"hcp", "wurtzite", "trigonal", "honeycomb"}

#: Zone axes along which each prototype shows separate columns.
ZONE_AXES: Final[Mapping[str, tuple[tuple[int, int, int], ...]]] = MappingProxyType(
    {
        "fcc": ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2)),
        "bcc": ((0, 0, 1), (1, 1, 0), (1, 1, 1)),
        "hcp": ((0, 0, 1), (1, 0, 0), (1, 2, 0)),
        "diamond": ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2)),
        "wurtzite": ((0, 0, 1), (1, 0, 0), (1, 2, 0)),
        "rocksalt": ((0, 0, 1), (1, 1, 0), (1, 1, 1)),
        "fluorite": ((0, 0, 1), (1, 1, 0), (1, 1, 1)),
        "perovskite": ((0, 0, 1), (1, 1, 0), (1, 1, 1)),
        "rutile": ((0, 0, 1), (1, 0, 0), (1, 1, 0)),
        "trigonal": ((0, 0, 1),),
        "honeycomb": ((0, 0, 1),),
    }
)


def list_structures() -> list[str]:
    """Return the names of the crystals that need no file."""
    return sorted(_TABLE)


def list_sheets() -> list[str]:
    """Return the names of the two-dimensional crystals that need no file.

    A slab of 1 nm along [001] is one layer, in the middle of the slab.
    """
    return sorted(_SHEETS)


def zone_axes(name: str) -> tuple[tuple[int, int, int], ...]:
    """Return zone axes along which a structure of the table shows columns.

    Raises
    ------
    ParameterError
        If there is no such structure.
    """
    return ZONE_AXES[_entry(name)[0]]


def unit_cell(structure: str) -> Atoms:
    """Return the unit cell of a structure.

    Parameters
    ----------
    structure : str
        A name from :func:`list_structures` or :func:`list_sheets`, or the path of a
        file that ase can read: CIF, POSCAR, XYZ with a cell, and many more.

    Returns
    -------
    ase.Atoms
        One cell [Å].

    Raises
    ------
    ParameterError
        If it is neither a known name nor a file.
    InputError
        If the file cannot be opened.
    FormatError
        If ase cannot read the file, or it has no three-dimensional cell, or sites that
        are not fully occupied.
    MissingExtraError
        If ase is not installed.
    """
    ase = import_ase()
    named = structure in _TABLE or structure in _SHEETS
    if named or not _looks_like_path(structure):
        prototype, elements, constants = _entry(structure)
        sites = _BASES[prototype]
        symbols = [e for e, part in zip(elements, sites, strict=True) for _ in part]
        scaled = np.array([site for part in sites for site in part], float)
        edges = [constants[0], constants[0], constants[-1]]
        angle = 120 if prototype in _HEXAGONAL else 90
        cell = [*(10 * edge for edge in edges), 90, 90, angle]
        return ase.Atoms(symbols, scaled_positions=scaled, cell=cell, pbc=True)
    return _read(Path(structure))


def _entry(name: str) -> tuple[str, tuple[str, ...], tuple[float, ...]]:
    known = {**_TABLE, **_SHEETS}
    if name not in known:
        msg = (
            f"There is no structure {name!r}. {did_you_mean(name, known)} Or give the "
            "path of a file, such as a CIF."
        )
        raise ParameterError(msg)
    return known[name]


def _looks_like_path(text: str) -> bool:
    return bool(Path(text).suffix) or "/" in text or "\\" in text or Path(text).exists()


def _read(path: Path) -> Any:
    """Read a file by ase, and see that it holds a crystal."""
    from ase.io import read

    if not path.is_file():
        msg = f"There is no file {path}. Give the path of a structure file."
        raise InputError(msg)
    try:
        with warnings.catch_warnings():
            # Of odd CIFs ase warns on reading; what matters is checked below.
            warnings.simplefilter("ignore")
            atoms: Any = read(path)
    except OSError as error:
        msg = f"{path} cannot be opened: {error}."
        raise InputError(msg) from error
    except Exception as error:  # ase's readers raise whatever they like
        msg = (
            f"ase cannot read {path.name} as a structure ({error}). Give a CIF or "
            "another file of a periodic crystal."
        )
        raise FormatError(msg) from error
    if not len(atoms) or atoms.cell.rank < 3:
        msg = (
            f"{path.name} has {len(atoms)} atoms and {atoms.cell.rank} lattice "
            "vectors; a crystal needs atoms and three vectors."
        )
        raise FormatError(msg)
    occupancy = atoms.info.get("occupancy") or {}
    partial = [
        site for site, parts in occupancy.items() if abs(max(parts.values()) - 1) > 1e-3
    ]
    if partial:
        msg = (
            f"{path.name} has sites that are partly occupied ({len(partial)} of them). "
            "Give a file in which each site has one element."
        )
        raise FormatError(msg)
    return atoms
