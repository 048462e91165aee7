import numpy as np
import pytest

from lowdose import catalogue, denoise
from lowdose.errors import Cancelled, InvalidImageError, ParameterError
from lowdose.trust.ranking import iter_ranking, ranking

SIGMAS = (0.5, 1.0, 2.0, 5.0)


def scene(dose=4.0, size=128):
    y, x = np.mgrid[:size, :size]
    return dose * (1 + 0.6 * np.cos(x / 4) * np.cos(y / 5))


def denoisers():
    return {f"sigma {s}": catalogue.load("gaussian", sigma=s) for s in SIGMAS}


def true_order(noisy, truth):
    error = {
        name: np.square(np.asarray(denoise(noisy, d)) - truth).mean()
        for name, d in denoisers().items()
    }
    return sorted(error, key=error.get)


def test_the_order_is_that_of_the_true_errors(rng):
    truth = scene()
    noisy = rng.poisson(truth)
    found = ranking(noisy, denoisers())
    assert [row.name for row in found.rows] == true_order(noisy, truth)
    assert found.rows[0].best > 0.95
    assert "is the best" in found.verdict
    assert sum(row.best for row in found.rows) == pytest.approx(1)


def test_the_order_is_right_without_whole_counts(rng):
    truth = 30 * scene()
    noisy = truth + np.sqrt(truth) * rng.normal(size=truth.shape)
    found = ranking(noisy, denoisers())
    assert [row.name for row in found.rows] == true_order(noisy, truth)
    assert all(row.deviance is None for row in found.rows)
    assert any("not known" in caveat for caveat in found.caveats)


def test_twins_are_not_told_apart(rng):
    noisy = rng.poisson(scene(4.0, 64))
    twins = {name: catalogue.load("gaussian", sigma=2.0) for name in ("a", "b")}
    found = ranking(noisy, twins)
    assert [row.best for row in found.rows] == [0.5, 0.5]
    assert found.rows[0].beats_next == 0.5
    assert "cannot be told apart" in found.verdict


def test_deviance_agrees_that_more_noise_is_worse(rng):
    found = ranking(rng.poisson(scene()), denoisers())
    by_name = {row.name: row.deviance for row in found.rows}
    assert by_name["sigma 2.0"] < by_name["sigma 0.5"]


def test_frames_are_spread_over_a_stack_and_counted(rng):
    stack = rng.poisson(scene(4.0, 48), (5, 48, 48))
    two = dict(list(denoisers().items())[:2])
    steps = iter_ranking(stack, two, frames=2, probes=1)
    progress = []
    while True:
        try:
            progress.append(next(steps))
        except StopIteration as end:
            found = end.value
            break
    assert found.frames == 2
    assert [p.done for p in progress] == list(range(1, 9))
    assert progress[-1].fraction == 1


def test_bad_requests_are_refused(rng):
    noisy = rng.poisson(scene(4.0, 48))
    with pytest.raises(ParameterError, match="at least two"):
        ranking(noisy, {"one": "gaussian"})
    two = dict(list(denoisers().items())[:2])
    with pytest.raises(ParameterError, match="frames=0"):
        ranking(noisy, two, frames=0)
    with pytest.raises(InvalidImageError, match="constant"):
        ranking(np.ones((48, 48)), two)
    with pytest.raises(Cancelled):
        ranking(noisy, two, should_stop=lambda: True)
