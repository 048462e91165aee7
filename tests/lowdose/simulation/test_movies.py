import numpy as np
import pytest

from lowdose.errors import ParameterError

pytest.importorskip("ase", reason="needs the extra 'simulate'")
pytest.importorskip("abtem", reason="needs the extra 'simulate'")

from lowdose.simulation.movies import (
    MovieParameters,
    describe_event,
    locate,
    plan_movie,
)
from lowdose.simulation.specimens import NanoparticleParameters, particle_model

PIXEL, SIZE = 0.02, 200


@pytest.fixture(scope="module")
def model():
    parameters = NanoparticleParameters(
        size=1.8, depth=1.5, thickness=2.0, field_height=4.0, field_width=4.0
    )
    return particle_model(parameters, 1)


def plan(model, **changes):
    parameters = MovieParameters(**{"frames": 12, "events": 6, **changes})
    return plan_movie(model, parameters, np.random.default_rng(5))


def test_between_frames_only_the_listed_atoms_change(model):
    states, events = plan(model)
    assert len(events) == 6
    listed = {event.frame: event for event in events}
    for frame in range(1, 12):
        before, after = states[frame - 1].occupied, states[frame].occupied
        gone, new = np.flatnonzero(before & ~after), np.flatnonzero(after & ~before)
        if frame not in listed:
            assert not len(gone)
            assert not len(new)
            continue
        event = listed[frame]
        assert set(gone) == set(event.before.tolist())
        assert set(new) == set(event.after.tolist())
        expected = {"appear": (0, 1), "vanish": (1, 0), "hop": (1, 1)}[event.kind]
        assert (len(gone) > 0, len(new) > 0) == expected
    hops = [event for event in events if event.kind == "hop"]
    assert all(len(event.before) == len(event.after) for event in hops)


def test_every_kind_of_event_occurs(model):
    kinds = set()
    for seed in range(8):
        _, events = plan_movie(
            model, MovieParameters(events=5), np.random.default_rng(seed)
        )
        kinds |= {event.kind for event in events}
    assert kinds == {"appear", "hop", "vanish"}


def test_the_same_seed_plans_the_same_movie(model):
    first, second = plan(model), plan(model)
    for one, two in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(one.occupied, two.occupied)
        assert one.shift == two.shift


def test_drift_moves_everything_by_whole_nanometres_per_second(model):
    states, _ = plan(model, drift_y=2.0, drift_x=-4.0, frame_time=0.01, events=0)
    first, last = (s.specimen(model).atoms for s in (states[0], states[-1]))
    start, end = (atoms.positions[atoms.numbers == 78] for atoms in (first, last))
    moved = (end - start) / 10
    np.testing.assert_allclose(moved[:, 1], 2.0 * 0.11, atol=1e-9)
    np.testing.assert_allclose(moved[:, 0], -4.0 * 0.11, atol=1e-9)


def test_rotation_turns_the_particle_and_not_its_support(model):
    states, _ = plan(model, rotation=30.0, frame_time=0.1, events=0)
    first, last = (s.specimen(model).atoms for s in (states[0], states[-1]))
    particle = first.numbers == 78
    assert np.ptp(last.positions[particle] - first.positions[particle], 0).max() > 1
    np.testing.assert_allclose(last.positions[~particle], first.positions[~particle])


def test_events_are_where_the_picture_changes(model):
    from lowdose.simulation.imaging import Beam, Optics, exit_wave, hrtem

    states, events = plan(model, drift_x=1.0, rotation=5.0)
    beam = Beam(sampling=PIXEL)
    lens = Optics(defocus=8.0, vibration=0.03)
    event = next(e for e in events if e.kind != "hop")
    place = "before" if event.kind == "vanish" else "after"
    state = states[event.frame]
    images = []
    for occupied in (states[event.frame - 1].occupied, state.occupied):
        still = type(state)(
            occupied=occupied, shift=state.shift, rotation=state.rotation
        )
        wave = exit_wave(still.specimen(model), beam)
        images.append(hrtem(wave, lens, sampling=PIXEL, shape=(SIZE, SIZE)))
    difference = (images[1] - images[0]).astype(float) ** 2
    y, x = np.mgrid[:SIZE, :SIZE]
    weight = difference / difference.sum()
    where = describe_event(model, states, event, pixel_size=PIXEL, size=SIZE)
    assert (weight * y).sum() == pytest.approx(where[f"y_{place}"], abs=2)
    assert (weight * x).sum() == pytest.approx(where[f"x_{place}"], abs=2)
    assert None in (where["y_before"], where["y_after"])
    assert where["atoms"] == len(event.before) + len(event.after)


def test_no_sites_have_no_place(model):
    states, _ = plan(model)
    nothing = np.zeros(0, np.intp)
    place = locate(model, states[0], nothing, pixel_size=PIXEL, size=SIZE)
    assert place is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"events": 12}, "12 events do not fit"),
        ({"frames": 0, "events": 0}, "0 frames"),
        ({"frame_time": 0.0}, "every 0 s"),
        ({"drift_y": np.inf}, "speeds"),
    ],
)
def test_impossible_movies_are_refused(changes, said, model):
    with pytest.raises(ParameterError, match=said):
        plan(model, **changes)
