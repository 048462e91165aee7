from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from lowdose import catalogue
from lowdose.micrograph import Micrograph
from napari_lowdose._suggesting import LONGEST, middle_of
from napari_lowdose.widgets.denoise import DenoiseWidget


@pytest.fixture
def few(monkeypatch):
    """Leave three quick filters in the catalogue, with one that is far too strong."""
    infos = [catalogue.describe(n) for n in ("median", "gaussian", "butterworth")]
    monkeypatch.setattr(catalogue, "list_denoisers", lambda: infos)


@pytest.fixture
def viewer(rng):
    viewer = ViewerModel()
    y, x = np.mgrid[:64, :64] / 9
    rate = 20 * (1.5 + np.sin(y) * np.sin(x))
    viewer.add_image(rng.poisson(rate, (2, 64, 64)).astype(np.uint16), name="noisy")
    return viewer


@pytest.fixture
def widget(viewer, few, qtbot):
    widget = DenoiseWidget(viewer)
    qtbot.addWidget(widget)
    widget.choices.options.form.set_values({"device": "cpu"})
    yield widget
    widget.close_for_good()


def _chance(text):
    return 99.9 if "over 99" in text else 0.1 if "under 1" in text else _number(text)


def _number(text):
    return float(text.split(":")[1].split("%")[0])


def test_denoisers_are_offered_in_their_order_with_how_sure_that_is(widget, until):
    widget.suggest.button.click()
    until(lambda: widget.suggest.offers, timeout=240_000)
    offers = widget.suggest.offers
    titles = {offer.text().split(":")[0] for offer in offers}
    assert titles == {info.title for info in catalogue.list_denoisers()}
    chances = [_chance(offer.text()) for offer in offers]
    assert chances[0] == max(chances)
    assert "on this image" in widget.suggest.verdict.text()
    assert offers[0].text().split(":")[0] in widget.suggest.verdict.text()


def test_a_click_takes_one_with_the_values_that_it_was_ranked_with(widget, until):
    widget.choices.denoisers.choose("gaussian")
    widget.choices.set_values({"sigma": 2.5})
    widget.choices.denoisers.choose("median")
    widget.suggest.button.click()
    until(lambda: widget.suggest.offers, timeout=240_000)
    (offer,) = [o for o in widget.suggest.offers if o.text().startswith("Gaussian")]
    assert "sigma: 2.5" in offer.toolTip()
    offer.click()
    assert widget.choices.denoisers.name == "gaussian"
    assert widget.choices.values()["sigma"] == 2.5


def test_while_it_ranks_nothing_else_can_be_started_and_it_can_be_stopped(
    widget, until
):
    widget.rank()
    assert widget.suggest.busy
    assert not widget.run_button.isEnabled()
    assert not widget.preview_box.isEnabled()
    assert not widget.suggest.button.isEnabled()
    widget.suggest.progress.cancel_clicked.emit()
    until(lambda: not widget.suggest.busy, timeout=240_000)
    assert not widget.suggest.offers
    assert "Cancelled" in widget.status.text()
    assert widget.run_button.isEnabled()


def test_another_layer_takes_the_suggestion_away(widget, viewer, until):
    widget.rank()
    until(lambda: widget.suggest.offers, timeout=240_000)
    other = viewer.add_image(np.ones((32, 32)), name="other")
    widget.reset_choices()
    widget.choices.layers.choose(str(other.unique_id))
    assert not widget.suggest.offers
    assert widget.suggest.verdict.isHidden()


def test_an_image_without_noise_is_refused_with_a_sentence(widget, viewer, until):
    flat = viewer.add_image(np.full((64, 64), 3.0), name="flat")
    widget.reset_choices()
    widget.choices.layers.choose(str(flat.unique_id))
    widget.rank()
    until(lambda: not widget.suggest.busy, timeout=240_000)
    assert "No suggestion" in widget.status.text()
    assert "constant" in widget.status.text()
    assert not widget.suggest.offers


def test_a_denoiser_that_cannot_be_loaded_is_left_out_and_said(
    widget, until, monkeypatch
):
    from lowdose.errors import WeightsError

    load = catalogue.load

    def broken(name, **values):
        if name == "median":
            msg = "The weights are damaged. Install it again."
            raise WeightsError(msg)
        return load(name, **values)

    monkeypatch.setattr(catalogue, "load", broken)
    widget.rank()
    until(lambda: widget.suggest.offers, timeout=240_000)
    assert len(widget.suggest.offers) == 2
    assert "weights are damaged" in widget.suggest.verdict.text()


def test_closing_while_it_ranks_stops_it_and_says_nothing_more(widget, let_events_run):
    widget.rank()
    widget.close_for_good()
    let_events_run(50)
    assert not widget.suggest.busy
    assert not widget.suggest.offers


def test_only_the_middle_of_a_large_frame_is_judged_and_that_is_said():
    image = Micrograph(np.arange(2 * 600 * 700, dtype=float).reshape(2, 600, 700))
    frame, remark = middle_of(image, 1)
    assert frame.frame_shape == (LONGEST, LONGEST)
    assert np.asarray(frame)[0, 0] == image.data[1, 44, 94]
    assert "512 × 512" in remark[0]
    small, remark = middle_of(Micrograph(np.zeros((64, 70))), 0)
    assert small.frame_shape == (64, 70)
    assert remark == ()
