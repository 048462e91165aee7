"""Specimens for multislice: atoms, with a seed and a record of their parameters."""

from lowdose.simulation.specimens.nanoparticle import (
    NanoparticleParameters,
    nanoparticle,
)
from lowdose.simulation.specimens.particle_model import (
    ParticleModel,
    assemble,
    particle_model,
)
from lowdose.simulation.specimens.specimen import Field, Specimen, make_atoms

__all__ = [
    "Field",
    "NanoparticleParameters",
    "ParticleModel",
    "Specimen",
    "assemble",
    "make_atoms",
    "nanoparticle",
    "particle_model",
]
