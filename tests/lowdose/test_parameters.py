import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import ParameterError
from lowdose.parameters import Parameter, resolve

SIGMA = Parameter(
    name="sigma",
    kind="float",
    default=1.5,
    help="Width of the blur; larger is smoother.",
    unit="px",
    minimum=0.1,
    maximum=50,
)
ORDER = Parameter(
    name="order", kind="int", default=2, help="Steepness of the edge.", minimum=1
)
VST = Parameter(name="vst", kind="bool", default=False, help="Stabilise the variance.")
MODE = Parameter(
    name="mode", kind="choice", default="soft", help="Rule.", choices=("soft", "hard")
)


@pytest.mark.parametrize("value", [0.1, 2, "2.5", " 3 ", 50, np.float32(1.5), 1e0])
def test_numbers_and_their_texts_become_floats(value):
    result = SIGMA.validate(value)
    assert type(result) is float
    assert result == float(value)


@pytest.mark.parametrize("value", [1, "7", 3.0, np.int64(4), "2e1"])
def test_whole_numbers_become_ints(value):
    result = ORDER.validate(value)
    assert type(result) is int
    assert result == float(value)


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        (SIGMA, 0.09, "out of range"),
        (SIGMA, 51, "out of range"),
        (SIGMA, "wide", "not a number"),
        (SIGMA, None, "not a number"),
        (SIGMA, True, "not a number"),
        (SIGMA, [1], "not a number"),
        (SIGMA, math.nan, "not a finite number"),
        (SIGMA, "inf", "not a finite number"),
        (ORDER, 1.5, "not a whole number"),
        (ORDER, 0, "out of range"),
        (VST, "maybe", "not true or false"),
        (VST, 2, "not true or false"),
        (MODE, "sofft", "Did you mean 'soft'"),
        (MODE, "", "not a choice"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is(parameter, value, problem):
    with pytest.raises(ParameterError) as caught:
        parameter.validate(value)
    message = str(caught.value)
    assert problem in message
    assert f"{parameter.name}={value!r}" in message
    assert parameter.describe_range() in message


@pytest.mark.parametrize("value", [True, "true", "YES", " on ", "1", 1])
def test_true_in_every_spelling(value):
    assert VST.validate(value) is True


@pytest.mark.parametrize("value", [False, "false", "No", "off", "0", 0])
def test_false_in_every_spelling(value):
    assert VST.validate(value) is False


def test_choices_are_trimmed():
    assert MODE.validate(" hard ") == "hard"


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (SIGMA, "0.1 to 50 px"),
        (ORDER, "at least 1"),
        (VST, "true or false"),
        (MODE, "soft, hard"),
        (
            Parameter(name="a", kind="float", default=0, help="h", maximum=3, unit="s"),
            "at most 3 s",
        ),
        (Parameter(name="a", kind="float", default=0, help="h"), "any number"),
    ],
)
def test_the_range_is_said_in_words(parameter, text):
    assert parameter.describe_range() == text


def test_a_declaration_with_an_impossible_default_is_refused():
    with pytest.raises(ParameterError):
        Parameter(name="a", kind="int", default=0, help="h", minimum=1)


def test_the_declaration_is_json():
    record = SIGMA.to_dict()
    assert record["name"] == "sigma"
    assert (record["minimum"], record["maximum"], record["unit"]) == (0.1, 50, "px")
    assert MODE.to_dict()["choices"] == ["soft", "hard"]


def test_values_are_completed_by_defaults_in_the_declared_order():
    values = resolve((SIGMA, ORDER, VST), {"order": "3"}, owner="gaussian")
    assert values == {"sigma": 1.5, "order": 3, "vst": False}
    assert list(values) == ["sigma", "order", "vst"]


def test_an_undeclared_name_is_refused_with_the_nearest():
    with pytest.raises(ParameterError, match=r"gaussian has no .*'sgima'.*'sigma'"):
        resolve((SIGMA, ORDER), {"sgima": 1}, owner="gaussian")


def test_a_value_that_is_not_allowed_is_refused_wherever_it_comes_from():
    with pytest.raises(ParameterError, match="out of range"):
        resolve((SIGMA,), {"sigma": "99"}, owner="gaussian")


@given(st.floats(0.1, 50))
def test_every_number_in_range_survives_being_typed(value):
    assert SIGMA.validate(repr(value)) == value
