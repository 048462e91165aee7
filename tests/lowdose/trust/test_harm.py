import numpy as np
import pytest

from lowdose import zoo
from lowdose.metrics.harm import NoiseResponse
from lowdose.trust import harm
from lowdose.trust.harm import Harm, find_harm

SHIPPED = [card for card in zoo.list_models() if card.group != "yours"]


@pytest.mark.parametrize("card", SHIPPED, ids=lambda card: card.name)
def test_the_models_of_the_package_keep_the_bounds_of_their_cards(card):
    bounds = card.details["harm"]
    assert bounds.keys() == {"clean", "constant", "noise_left", "noise_peak"}
    # Nothing stands out of the noise that was there. What is only for comparison may,
    # if it says so.
    if bounds["noise_peak"] > 1:
        assert card.group == "baseline"
        assert any("waves of noise" in limit for limit in card.details["limits"])
    assert find_harm(card, images=1, side=128).beyond(bounds) == []


def test_a_model_that_draws_a_lattice_into_noise_is_found(monkeypatch):
    x = np.arange(96) / 4

    class Inventing:
        def __array__(self, *_args, **_keywords):
            return np.broadcast_to(5 * np.cos(2 * np.pi * x), (1, 96, 96)).copy()

    monkeypatch.setattr(harm, "denoise", lambda _micrograph, _denoiser: Inventing())
    card = next(card for card in SHIPPED if card.name == "general")
    found = find_harm(card, images=1, side=96)
    assert found.peak > 1
    told = found.beyond(card.details["harm"])
    assert any(line.startswith("noise_peak is") for line in told)
    assert any(line.startswith("constant is") for line in told)


def test_what_is_not_a_number_keeps_no_bound():
    response = NoiseResponse(left=float("nan"), strongest=0.0, peak=0.0)
    found = Harm(clean=0.0, constant=0.0, noise={1.0: response})
    assert found.beyond({"noise_left": 1.0}) != []
    assert found.beyond({}) == []
