"""Simulated movies, small and at once."""

import numpy as np
import pytest

from lowdose.simulation import store
from lowdose.simulation.rendering import Preset, Rendering

#: The sample set has 192 x 192 px of 0.0122 nm, and 0.45 e-/px in vacuum.
SIDE, PIXEL_SIZE, VACUUM, FRAMES = 144, 0.0122, 0.9, 6


def draw_frames(seed, number, cache):
    """Return a movie of a blob that wanders, and brightens from frame to frame."""
    rng = np.random.default_rng([seed, number])
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    images, records = [], []
    for frame in range(FRAMES):
        shift = rng.uniform(-0.02, 0.02, 2)
        blob = np.exp(-((y - shift[0]) ** 2 + (x - shift[1]) ** 2) / 0.02)
        image = VACUUM * (1 + 0.1 * frame - 0.3 * blob)
        images.append(image.astype(np.float32))
        records.append(
            {
                "specimen": number,
                "specimen_seed": number,
                "image": frame,
                "pixel_size": PIXEL_SIZE,
                "time": 0.025 * frame,
            }
        )
    return Rendering(images=np.stack(images), records=records)


@pytest.fixture(scope="session")
def movies(tmp_path_factory):
    """Return a set of 3 movies of 6 frames, with 0.9 e-/px in vacuum."""
    preset = Preset(
        name="blobs",
        title="Blobs",
        summary="for tests",
        images_per_specimen=FRAMES,
        counted="movies",
        detector="sbd",
        vacuum=VACUUM,
        render=draw_frames,
    )
    path = tmp_path_factory.mktemp("movies") / "movies.h5"
    plan = store.make_plan(preset, seed=1, count=3)
    folder = store.making(path)
    store.write_plan(folder, plan)
    for number in range(3):
        store.write_shard(folder, number, draw_frames(1, number, None))
    store.assemble(path, plan, preset)
    return path
