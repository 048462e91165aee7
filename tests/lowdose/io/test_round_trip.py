"""Whatever is written comes back: shape, type, values and the whole calibration."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lowdose import io
from lowdose.micrograph import Axis, Calibration, Micrograph, Step
from lowdose.units import UNITS

#: What each format cannot hold as it is, and holds as.
STORED = {
    ".tif": {"bool": "uint8"},
    ".ome.tif": {"bool": "uint8"},
    ".mrc": {"bool": "uint16", "uint8": "uint16"},
}

TYPES = {
    ".tif": "?bBhHiIqQefd",
    ".ome.tif": "?bBhHiIfd",
    ".mrc": "?bBhHef",
    ".npz": "?bBhHiIqQefd",
    ".zarr": "?bBhHiIqQefd",
    ".h5": "?bBhHiIqQefd",
}

spacings = st.floats(1e-9, 1e9, allow_nan=False)
origins = st.floats(-1e9, 1e9, allow_nan=False)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@st.composite
def axes(draw, label):
    if draw(st.booleans()):
        return Axis(label=label)
    unit = draw(st.sampled_from([*UNITS, None]))
    return Axis(label=label, spacing=draw(spacings), unit=unit, origin=draw(origins))


steps = st.builds(
    Step,
    action=words,
    software=words,
    when=words,
    source=words,
    details=st.dictionaries(
        words, st.none() | st.booleans() | st.integers() | origins | words, max_size=3
    ),
)


@st.composite
def micrographs(draw, suffix):
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    kind = draw(st.sampled_from(TYPES[suffix]))
    dtype = np.dtype(draw(st.sampled_from("<>")) + kind)
    data = draw(hnp.arrays(dtype, tuple(shape), fill=st.nothing()))
    leading = draw(st.sampled_from(["tz", "zt"] if len(shape) == 4 else ["t", "z"]))
    labels = [*leading[: len(shape) - 2], "y", "x"]
    calibration = Calibration(
        axes=tuple(draw(axes(label)) for label in labels),
        counts_per_electron=draw(st.none() | spacings),
        provenance=tuple(draw(st.lists(steps, max_size=2))),
    )
    return Micrograph(data, calibration, draw(words))


def can_be_ome(micrograph):
    """Return whether the axes before the image are one time and one depth at most."""
    kinds = set()
    for axis in micrograph.calibration.axes[:-2]:
        dimension = UNITS[axis.unit][0] if axis.unit else ""
        depth = dimension == "length" or (dimension != "time" and axis.label == "z")
        kinds.add(depth)
    return len(kinds) == micrograph.ndim - 2


@pytest.mark.parametrize("suffix", TYPES)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_micrograph_comes_back_as_it_was(suffix, data):
    micrograph = data.draw(micrographs(suffix))
    if suffix == ".ome.tif" and not can_be_ome(micrograph):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = io.write(Path(folder) / f"a{suffix}", micrograph)
        again = io.read(path)
        name = micrograph.dtype.name
        assert again.dtype.name == STORED.get(suffix, {}).get(name, name)
        assert again.shape == micrograph.shape
        assert again.calibration == micrograph.calibration
        # In the bits: NaN equals NaN, and zero keeps its sign.
        stored = np.asarray(again.data[...])
        expected = np.asarray(micrograph.data).astype(stored.dtype)
        assert stored.tobytes() == expected.tobytes()
        assert sorted(p.name for p in Path(folder).iterdir()) == [f"a{suffix}"]
        del again, stored


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    data=hnp.arrays(
        st.sampled_from([np.dtype(o + k) for o in "<>" for k in "bBhHiIqQefd"]),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
    )
)
def test_any_array_comes_back_from_npy(data):
    with tempfile.TemporaryDirectory() as folder:
        path = io.write(Path(folder) / "a.npy", Micrograph(data))
        again = io.read(path)
        assert again.dtype == data.dtype.newbyteorder("<")
        assert again.shape == data.shape
        assert again.data.tobytes() == data.astype(again.dtype).tobytes()
        del again


@pytest.mark.parametrize("first", [".tif", ".mrc", ".zarr"])
@pytest.mark.parametrize("second", [".tif", ".mrc", ".zarr"])
def test_frame_time_and_section_spacing_survive_every_change_of_format(
    tmp_path, movie, sections, first, second
):
    for name, micrograph in (("movie", movie), ("sections", sections)):
        once = io.read(io.write(tmp_path / f"{name}1{first}", micrograph))
        twice = io.read(io.write(tmp_path / f"{name}2{second}", once))
        assert twice.calibration == micrograph.calibration
        np.testing.assert_array_equal(np.asarray(twice.data[...]), micrograph.data)


@pytest.mark.parametrize("suffix", TYPES)
def test_lazy_data_of_every_kind_is_written(tmp_path, rng, suffix):
    import h5py
    import zarr

    data = rng.random((3, 6, 5)).astype(np.float32)
    np.save(tmp_path / "map.npy", data)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["a"] = data
        sources = [
            np.load(tmp_path / "map.npy", mmap_mode="r"),
            np.asfortranarray(data),
            data.astype(">f4"),
            file["a"],
            zarr.create_array(tmp_path / "in.zarr", data=data),
        ]
        for number, source in enumerate(sources):
            path = io.write(tmp_path / f"out{number}{suffix}", Micrograph(source))
            np.testing.assert_array_equal(np.asarray(io.read(path).data[...]), data)


@pytest.mark.parametrize("suffix", TYPES)
def test_names_that_no_alphabet_has_are_no_obstacle(tmp_path, movie, suffix):
    # Python's names of files whose bytes are no text have such characters.
    odd = movie.replace(name="\udcff\x08 & <\n>", data=movie.data.astype("i2"))
    assert io.read(io.write(tmp_path / f"a{suffix}", odd)).shape == (5, 7, 9)
