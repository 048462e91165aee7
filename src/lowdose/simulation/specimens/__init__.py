"""Specimens for multislice: atoms, with a seed and a record of their parameters."""

from lowdose.simulation.specimens.amorphous import amorphous_carbon
from lowdose.simulation.specimens.crystal import CrystalParameters, crystal
from lowdose.simulation.specimens.graphene import GrapheneParameters, graphene
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
from lowdose.simulation.specimens.structures import (
    list_sheets,
    list_structures,
    unit_cell,
)

__all__ = [
    "CrystalParameters",
    "Field",
    "GrapheneParameters",
    "NanoparticleParameters",
    "ParticleModel",
    "Specimen",
    "amorphous_carbon",
    "assemble",
    "crystal",
    "graphene",
    "list_sheets",
    "list_structures",
    "make_atoms",
    "nanoparticle",
    "particle_model",
    "unit_cell",
]
