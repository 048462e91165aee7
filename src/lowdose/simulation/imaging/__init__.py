"""Imaging: multislice and transfer by abTEM, sampled as a camera would."""

from lowdose.simulation.imaging.beam import Beam
from lowdose.simulation.imaging.exit_wave import ExitWave, exit_wave
from lowdose.simulation.imaging.hrtem import hrtem
from lowdose.simulation.imaging.incoherent import incoherent_adf
from lowdose.simulation.imaging.optics import Optics
from lowdose.simulation.imaging.scan import Scan
from lowdose.simulation.imaging.scan_errors import ScanErrors, distort_scan
from lowdose.simulation.imaging.stem import stem

__all__ = [
    "Beam",
    "ExitWave",
    "Optics",
    "Scan",
    "ScanErrors",
    "distort_scan",
    "exit_wave",
    "hrtem",
    "incoherent_adf",
    "stem",
]
