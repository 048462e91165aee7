import dataclasses

import pytest

from lowdose.cli import main
from lowdose.metrics.harm import NoiseResponse
from lowdose.trust import harm
from lowdose.trust.harm import Harm
from lowdose.zoo import shelf


@pytest.fixture
def found(monkeypatch):
    response = NoiseResponse(left=0.02, strongest=0.1, peak=0.25)
    result = Harm(clean=0.031, constant=0.0001, noise={1.0: response})
    monkeypatch.setattr(harm, "find_harm", lambda _card, images: result)


def test_a_model_within_its_bounds_is_told_so(found, capsys):
    assert main(["models", "check", "general"]) == 0
    told = capsys.readouterr()
    assert "3.10 % of their contrast" in told.out
    assert "2.00 % is left; strongest frequency 0.25" in told.out
    assert "within the bounds" in told.err


def test_a_model_beyond_its_bounds_ends_with_an_error(found, capsys, monkeypatch):
    card = shelf.find_model("general")
    strict = dataclasses.replace(card, details={"harm": {"clean": 0.01}})
    monkeypatch.setattr(shelf, "find_model", lambda _name: strict)
    assert main(["models", "check", "general"]) == 1
    assert "clean is 0.031, more than the 0.01 of the card" in capsys.readouterr().err


def test_an_unknown_model_gets_the_nearest_name(capsys):
    assert main(["models", "check", "generel"]) != 0
    assert "Did you mean 'general'" in capsys.readouterr().err
