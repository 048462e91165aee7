"""The widget Train on a ViewerModel, with real trainings of a few steps."""

from __future__ import annotations

import importlib
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QThreadPool
from scipy import ndimage

import lowdose
from lowdose.training.ways import WAYS
from lowdose.zoo.shelf import find_model, list_models
from napari_lowdose.training.controls import Controls, Picture
from napari_lowdose.training.recipes import DATA_KEYS
from napari_lowdose.training.records import find_record, read_records, trainings_folder
from napari_lowdose.widgets.denoise import DenoiseWidget
from napari_lowdose.widgets.train import TrainWidget
from napari_lowdose.widgets.train_choices import TITLES

SIZE = 48


@pytest.fixture(scope="module", autouse=True)
def _torch_is_loaded():
    """Load what the first training would, which takes long on a busy machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("lightning_fabric")


@pytest.fixture(autouse=True)
def _folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWDOSE_TRAININGS", str(tmp_path / "training"))
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def movie(rng):
    rate = 4 + 3 * np.sin(np.arange(SIZE) / 3)
    return rng.poisson(rate, (9, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def viewer(movie):
    viewer = ViewerModel()
    viewer.add_image(movie, name="my movie", scale=(1, 2, 2))
    return viewer


@pytest.fixture
def open_widget(qtbot):
    """Return a function that opens the widget in a viewer, as napari would."""
    opened = []

    def open_in(viewer, **values):
        widget = TrainWidget(viewer)
        qtbot.addWidget(widget)
        for event in ("inserted", "removed", "reordered", "renamed"):
            getattr(viewer.layers.events, event).connect(widget.reset_choices)
        widget.choices.start.choose(fresh="small")
        widget.choices.time.set_values({"minutes": 60})
        small = {"device": "cpu", "batch": 1, "patch": 16, "validate_every": 3}
        widget.choices.training.set_values({**small, **values})
        opened.append(widget)
        return widget

    yield open_in
    for widget in opened:
        widget.close_for_good()
    assert QThreadPool.globalInstance().waitForDone(60_000)


@pytest.fixture
def widget(viewer, open_widget):
    return open_widget(viewer)


def _status(widget):
    return widget.status.text()


def _mine():
    return [card.name for card in list_models() if card.group == "yours"]


def _training_of(name):
    table = tomllib.loads((find_model(name).folder / "card.toml").read_text())
    return table["training"]


@pytest.fixture
def train_a_while(until):
    """Return a function that trains until there are steps, validations, a preview."""

    def run(widget, *, validations=2):
        widget.train()
        until(
            lambda: widget.curves.points[1] >= validations or not widget.busy,
            timeout=120_000,
        )
        assert widget.busy, _status(widget)

    return run


def _end(widget, until):
    until(lambda: not widget.busy, timeout=120_000)


def test_stop_and_keep_makes_a_model_that_denoises(
    widget, viewer, train_a_while, until
):
    train_a_while(widget)
    widget.stop_and_keep()
    _end(widget, until)
    assert "my-movie" in _status(widget)
    assert _mine() == ["my-movie"]
    clean = lowdose.denoise(viewer.layers[0].data[0], "my-movie")
    assert np.isfinite(clean).all()
    assert read_records() == ([], [])
    assert list(trainings_folder().iterdir()) == []
    assert [layer.name for layer in viewer.layers] == ["my movie"]
    losses, validations = widget.curves.points
    assert losses > 0
    assert validations >= 2


def test_the_model_is_in_an_open_widget_denoise_at_once_and_changes_no_choice(
    widget, viewer, train_a_while, until, qtbot
):
    denoise = DenoiseWidget(viewer)
    qtbot.addWidget(denoise)
    denoise.choices.denoisers.choose("gaussian")
    train_a_while(widget, validations=1)
    widget.stop_and_keep()
    _end(widget, until)
    infos = {info.name: info for info in denoise.choices.denoisers.infos}
    assert infos["my-movie"].group == "yours"
    assert denoise.choices.denoisers.name == "gaussian"
    assert widget.use_button.isVisibleTo(widget)
    denoise.close_for_good()


def test_the_preview_shows_the_frame_in_view_where_it_lies(widget, viewer, until):
    viewer.dims.set_point(0, 4)
    widget.preview_choices.form.set_values({"every": 0.5})
    widget.train()
    until(lambda: widget.preview.layer is not None, timeout=120_000)
    layer = widget.preview.layer
    assert layer.data.shape == (1, SIZE, SIZE)
    np.testing.assert_allclose(layer.translate, (4, 0, 0))
    np.testing.assert_allclose(layer.scale, viewer.layers[0].scale)
    viewer.dims.set_point(0, 7)
    until(lambda: layer.translate[0] == 7, timeout=120_000)
    widget.cancel()
    _end(widget, until)
    assert len(viewer.layers) == 1


def test_the_contrast_of_the_preview_follows_until_the_user_sets_one(widget, rng):
    controls = Controls()
    widget.preview.begin(controls)

    def show(size):
        pixels = rng.normal(5, size, (SIZE, SIZE)).astype(np.float32)
        widget.preview.show(Picture(pixels=pixels, wish=controls.wish, step=1))
        low, high = widget.preview.layer.contrast_limits
        return high - low

    assert show(0.3) > 3 * show(0.03)
    widget.preview.layer.contrast_limits = (4.5, 6.5)
    assert show(0.3) == 2
    assert show(0.03) == 2
    widget.preview.end()


def test_removing_the_preview_switches_it_off_and_the_training_goes_on(
    widget, viewer, until
):
    widget.train()
    until(lambda: widget.preview.layer is not None, timeout=120_000)
    viewer.layers.remove(widget.preview.layer)
    assert not widget.preview_choices.on
    before = widget.curves.points[1]
    until(lambda: widget.curves.points[1] > before + 1, timeout=120_000)
    assert widget.preview.layer is None
    assert widget.runner.busy


def test_pause_makes_no_step_until_it_goes_on(
    widget, train_a_while, until, let_events_run
):
    train_a_while(widget)
    widget.progress.pause.click()
    until(lambda: widget.progress.text == "Paused.", timeout=60_000)
    widget.progress.pause.setFocus()
    before = widget.curves.points
    let_events_run(700)
    assert widget.curves.points == before
    assert widget.progress.pause.text() == "Continue"
    widget.progress.pause.click()
    until(lambda: widget.curves.points[1] > before[1] + 1, timeout=60_000)


def test_a_paused_training_can_be_kept_and_be_cancelled(widget, train_a_while, until):
    train_a_while(widget, validations=1)
    widget.progress.pause.click()
    until(lambda: widget.progress.text == "Paused.", timeout=60_000)
    widget.progress.keep.click()
    _end(widget, until)
    assert _mine() == ["my-movie"]
    train_a_while(widget, validations=1)
    widget.progress.pause.click()
    until(lambda: widget.progress.text == "Paused.", timeout=60_000)
    widget.progress.cancel.click()
    _end(widget, until)
    assert _mine() == ["my-movie"]
    assert find_record("my-movie-2").steps > 0


def test_cancel_makes_no_model_and_offers_to_resume_or_discard(
    widget, train_a_while, until
):
    train_a_while(widget)
    widget.cancel()
    _end(widget, until)
    assert _mine() == []
    record = widget.resume_row.record
    assert record.steps > 0
    assert (Path(record.folder) / "last.pt").exists()
    assert "resume it above" in _status(widget)
    widget.resume_row.discard()
    assert not Path(record.folder).exists()
    assert read_records() == ([], [])
    assert widget.resume_row.isHidden()


def test_a_closed_widget_leaves_a_checkpoint_and_the_next_one_goes_on(
    widget, viewer, open_widget, train_a_while, until
):
    train_a_while(widget)
    widget.close_for_good()
    again = open_widget(viewer)
    until(lambda: again.resume_row.record is not None, timeout=60_000)
    record = again.resume_row.record
    steps = record.steps
    assert steps > 0
    viewer.layers.clear()  # nothing of the viewer is needed to go on
    again.resume_row.resume()
    until(lambda: again.curves.points[0] > 2 or not again.busy, timeout=120_000)
    assert again.busy, _status(again)
    assert again.curves.points[1] >= 2  # those of the first run are drawn, too
    again.stop_and_keep()
    _end(again, until)
    assert _mine() == ["my-movie"]
    assert _training_of("my-movie")["steps"] > steps


def test_a_training_goes_on_when_its_layer_is_deleted(
    widget, viewer, train_a_while, until
):
    train_a_while(widget, validations=1)
    viewer.layers.clear()
    before = widget.curves.points[1]
    until(lambda: widget.curves.points[1] > before + 1, timeout=60_000)
    widget.stop_and_keep()
    _end(widget, until)
    assert _mine() == ["my-movie"]


def test_the_time_ends_it_and_the_best_is_kept(widget, until):
    widget.choices.time.set_values({"minutes": 0.03})
    widget.train()
    _end(widget, until)
    assert "The time is up." in _status(widget)
    assert _mine() == ["my-movie"]


def test_what_is_found_of_the_noise_is_said_before_and_while_training(
    viewer, open_widget, rng, until, train_a_while
):
    smooth = ndimage.uniform_filter(rng.normal(100, 5, (9, SIZE, SIZE)), (0, 3, 3))
    viewer.layers.clear()
    viewer.add_image(smooth.astype(np.float32), name="smooth")
    widget = open_widget(viewer)
    widget.choices.choose_way("blind-spot")
    until(lambda: "⚠" in widget.doubts.text(), timeout=60_000)
    assert "correlated" in widget.doubts.text()
    assert "It assumes" in widget.doubts.text()
    train_a_while(widget, validations=1)
    assert "⚠" in widget.doubts.text()
    assert "correlated" in widget.doubts.text()


def test_the_way_that_suits_is_said_before_the_first_step(widget, until):
    until(lambda: widget.doubts.text(), timeout=60_000)
    assert "counted electrons" in widget.doubts.text()
    assert "thinning" in widget.doubts.text()


def test_what_suits_the_data_is_offered_first(viewer, qtbot):
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    start = widget.choices.start
    assert (start.start, start.fresh) == ("", "")
    assert start.currentText() == "What suits the data"
    start.choose(start="general")
    start.read_models()
    assert start.start == "general"
    widget.close_for_good()


@pytest.mark.parametrize("way", list(TITLES))
def test_every_way_says_when_it_is_for(widget, way):
    widget.choices.choose_way(way)
    text = widget.choices.when.text()
    assert text.endswith(".")
    assert way == "suited" or text == WAYS[way]
    shown = [key for key, f in widget.choices.data.items() if f.isVisibleTo(widget)]
    assert shown == [key for key, _, _ in DATA_KEYS[way]]


def test_ways_of_the_core_are_all_offered():
    assert set(TITLES) == {*WAYS, "suited"}


def test_pairs_are_two_layers_of_one_shape(viewer, open_widget, rng, until):
    viewer.add_image(rng.random((9, SIZE, SIZE)).astype(np.float32), name="clean")
    widget = open_widget(viewer)
    widget.choices.choose_way("pairs")
    fields = widget.choices.data
    fields["noisy"].layers.choose(str(viewer.layers["my movie"].unique_id))
    fields["clean"].layers.choose(str(viewer.layers["clean"].unique_id))
    assert not widget.choices.problem()
    widget.train()
    until(lambda: widget.curves.points[1] or not widget.busy, timeout=120_000)
    assert widget.busy, _status(widget)


def test_files_are_learnt_from_where_they_are(widget, movie, tmp_path, until):
    path = tmp_path / "movie of monday.npy"
    np.save(path, movie)
    field = widget.choices.data["stack"]
    field.kind.setCurrentText("files")
    assert "browse" in widget.choices.problem()
    field.files.set_paths(path)
    assert widget.choices.name.text() == "movie-of-monday"
    widget.train()
    until(lambda: widget.curves.points[1] or not widget.busy, timeout=120_000)
    assert widget.busy, _status(widget)
    record = find_record("movie-of-monday")
    assert record.recipe["data"]["stack"] == [str(path)]
    assert not (Path(record.folder) / "data").exists()


def _bad(name):
    noise = np.random.default_rng(1).poisson(5, (SIZE, SIZE)).astype(np.float32)
    match name:
        case "small":
            return noise[:12, :12], "suited"
        case "one frame":
            return noise, "noise2noise"
        case "nan":
            noise[3, 4] = np.nan
            return noise, "suited"
        case "constant":
            return np.full((3, SIZE, SIZE), 7, np.uint8), "suited"
        case "saturated":
            bright = np.random.default_rng(1).normal(240, 40, (SIZE, SIZE))
            return np.minimum(bright, 255).astype(np.float32), "blind-spot"
        case "not counts":
            return noise + np.float32(0.4), "thinning"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("small", "16 x 16"),
        ("one frame", "frame"),
        ("nan", "NaN"),
        ("constant", "constant"),
        ("saturated", "saturated"),
        ("not counts", "blind-spot"),
    ],
)
def test_bad_data_is_said_in_a_sentence_and_leaves_nothing(
    name, sentence, open_widget, until, monkeypatch
):
    told = []
    monkeypatch.setattr(notification_manager, "receive_error", told.append)
    data, way = _bad(name)
    viewer = ViewerModel()
    viewer.add_image(data, name="bad")
    widget = open_widget(viewer)
    widget.choices.choose_way(way)
    until(lambda: sentence in _status(widget), timeout=60_000)  # before
    assert widget.choices.start.isEnabled()
    widget.train()
    _end(widget, until)
    assert sentence in _status(widget)
    assert told == []
    assert read_records() == ([], [])
    assert _mine() == []
    folder = trainings_folder()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_without_a_layer_it_says_what_to_do(open_widget):
    widget = open_widget(ViewerModel())
    assert not widget.train_button.isEnabled()
    assert "Open or add an image layer first" in _status(widget)


def test_a_colour_image_is_refused(open_widget):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 40, 3), np.uint8), rgb=True, name="photo")
    assert "colour" in _status(open_widget(viewer))


def test_a_complex_image_is_refused(widget, tmp_path, until):
    np.save(tmp_path / "wave.npy", np.ones((SIZE, SIZE), np.complex64))
    field = widget.choices.data["stack"]
    field.kind.setCurrentText("files")
    field.files.set_paths(tmp_path / "wave.npy")
    until(lambda: "complex" in _status(widget), timeout=60_000)


def test_pairs_of_different_shapes_are_refused(viewer, open_widget, rng, until):
    viewer.add_image(rng.random((9, SIZE, 40)).astype(np.float32), name="clean")
    widget = open_widget(viewer)
    widget.choices.choose_way("pairs")
    fields = widget.choices.data
    fields["noisy"].layers.choose(str(viewer.layers["my movie"].unique_id))
    fields["clean"].layers.choose(str(viewer.layers["clean"].unique_id))
    until(lambda: "shape" in _status(widget), timeout=60_000)


def test_a_folder_that_cannot_be_written_is_said(widget, tmp_path, until):
    blocker = tmp_path / "training"
    blocker.write_text("a file where the folder should be")
    widget.train()
    _end(widget, until)
    assert str(blocker) in _status(widget)
    assert _mine() == []


def test_a_name_that_is_taken_or_not_allowed_is_said(widget):
    widget.choices.name.setText("general")
    assert "general" in _status(widget)
    assert not widget.train_button.isEnabled()
    widget.choices.name.setText("two words")
    assert "no name for a model" in _status(widget)
    widget.choices.name.setText("mine")
    assert widget.train_button.isEnabled()


def test_own_files_stay_in_a_folder_that_the_user_chose(
    widget, tmp_path, train_a_while, until
):
    place = tmp_path / "place"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    widget.choices.folder.set_paths(place)
    train_a_while(widget, validations=1)
    widget.stop_and_keep()
    _end(widget, until)
    assert _mine() == ["my-movie"]
    assert (place / "mine.txt").exists()
    assert (place / "my-movie" / "model" / "card.toml").exists()
    assert read_records() == ([], [])


def test_fine_tuning_begins_with_the_score_of_the_model(
    viewer, open_widget, train_a_while, until
):
    widget = open_widget(viewer)
    widget.choices.start.choose(start="general")
    train_a_while(widget, validations=1)
    widget.stop_and_keep()
    _end(widget, until)
    assert _training_of("my-movie")["start"] == "general"
