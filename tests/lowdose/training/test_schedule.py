import numpy as np
import pytest

from lowdose.training.schedule import Plateau, learning_rate


def rates(recipe, **kwargs):
    return [
        learning_rate(step, recipe, **kwargs)
        for step in range(recipe.training.steps + 1)
    ]


def test_the_learning_rate_rises_and_then_falls(make_recipe):
    recipe = make_recipe(steps=100, warmup=10)
    found = rates(recipe)
    assert np.argmax(found) == 9
    assert found[0] == pytest.approx(0.1 * recipe.learning_rate)
    assert found[-1] == pytest.approx(0.01 * recipe.learning_rate)


def test_a_restart_begins_a_lower_cosine_and_leaves_the_first_as_it_was(make_recipe):
    first = rates(make_recipe(steps=100, warmup=10))
    both = rates(make_recipe(steps=150, warmup=10, restarts=[100], restart_factor=0.4))
    assert both[:100] == first[:100]
    assert both[100] == pytest.approx(0.4e-3)
    assert both[-1] < 2e-5


def test_the_cosine_follows_the_time_where_that_is_sooner(make_recipe):
    recipe = make_recipe(steps=1000, warmup=0, minutes=1.0)
    assert learning_rate(0, recipe, seconds=0) == pytest.approx(1e-3)
    assert learning_rate(10, recipe, seconds=60) == pytest.approx(1e-5)
    late = learning_rate(900, recipe, seconds=6)
    assert late == learning_rate(900, make_recipe(steps=1000, warmup=0))


def test_steps_of_the_rate_are_at_the_boundaries(make_recipe):
    recipe = make_recipe(
        steps=6, warmup=0, schedule="stepped", boundaries=[2, 4], rates=[3.0, 2.0, 1.0]
    )
    assert rates(recipe) == [3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0]


def test_a_plateau_halves_the_rate_after_its_patience(make_recipe):
    recipe = make_recipe(schedule="plateau", patience=2, factor=0.5, warmup=0)
    plateau = Plateau(recipe.training)
    reduced = []
    for score in (1.0, 2.0, 1.5, 1.9, 1.0, 1.0, 3.0):
        plateau.see(score)
        reduced.append(plateau.reduced)
    assert reduced == [1, 1, 1, 1, 0.5, 0.5, 0.5]
    assert learning_rate(9, recipe, reduced=0.5) == pytest.approx(5e-4)


def test_a_plateau_goes_on_where_a_checkpoint_left_it(make_recipe):
    plan = make_recipe(patience_to_stop=3).training
    straight, first, second = (Plateau(plan) for _ in range(3))
    scores = [1.0, 0.5, 0.2, 0.1]
    for score in scores:
        straight.see(score)
    for score in scores[:2]:
        first.see(score)
    second.restore(first.state())
    for score in scores[2:]:
        second.see(score)
    assert second.state() == straight.state()
    assert second.exhausted
