"""The preset of drawn images: no physics, and nothing to install."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.simulation import procedural
from lowdose.simulation.rendering import Preset, Rendering, specimen_rng

if TYPE_CHECKING:
    from pathlib import Path

#: Height and width [px].
_SIZE: Final = 256


def preset(size: int = _SIZE) -> Preset:
    """Return the preset of drawn images of one size [px]."""
    return Preset(
        name="drawn",
        title="Images drawn by formulas",
        summary="shapes and textures of micrographs, without physics; needs no extra",
        images_per_specimen=1,
        detector="counting",
        options={} if size == _SIZE else {"size": size},
        render=partial(render, size),
    )


def render(size: int, seed: int, number: int, _cache: Path | None) -> Rendering:
    """Draw one image, from 0 to 1, as :mod:`lowdose.simulation.procedural` does."""
    rng, own = specimen_rng(seed, number)
    kind = str(rng.choice(list(procedural.KINDS)))
    image = procedural.draw(kind, rng, size)
    record = {"specimen": number, "specimen_seed": own, "image": 0, "kind": kind}
    return Rendering(images=image[np.newaxis], records=[record])
