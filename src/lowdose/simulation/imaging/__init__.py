"""Imaging: multislice and transfer by abTEM, sampled as a camera would."""

from lowdose.simulation.imaging.beam import Beam
from lowdose.simulation.imaging.exit_wave import ExitWave, exit_wave
from lowdose.simulation.imaging.hrtem import hrtem
from lowdose.simulation.imaging.optics import Optics

__all__ = ["Beam", "ExitWave", "Optics", "exit_wave", "hrtem"]
