"""The one door to abTEM, which does all multislice and transfer functions.

J. Madsen and T. Susi, Open Research Europe 1:24 (2021),
doi:10.12688/openreseurope.13015.2.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from lowdose.simulation.specimens.specimen import missing_extra

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_ABTEM: Final = "abTEM"
#: FFTW by default measures which plan is fastest, so that two runs may round
#: differently; an estimated plan depends on nothing but the size.
_SETTINGS: Final = {
    "device": "cpu",
    "precision": "float32",
    "fft": "fftw",
    "fftw.planning_effort": "FFTW_ESTIMATE",
    "fftw.threads": 1,
    "dask.lazy": False,
    "diagnostics.progress_bar": False,
    "warnings.overspecified-grid": False,
}


def import_abtem() -> Any:
    """Return the module abtem, or say how to install it.

    Raises
    ------
    MissingExtraError
        If abtem or ase is not installed.
    """
    try:
        import abtem
    except ImportError as error:
        raise missing_extra(_ABTEM) from error
    return abtem


def settings() -> AbstractContextManager[Any]:
    """Return a context in which abTEM is silent, and the same in every process."""
    context: AbstractContextManager[Any] = import_abtem().config.set(_SETTINGS)
    return context


def versions() -> dict[str, str]:
    """Return the versions of the packages that the pixels depend on."""
    return {name: metadata.version(name) for name in ("abtem", "ase", "numpy", "scipy")}
