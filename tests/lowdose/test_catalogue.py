from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import lowdose
from lowdose import catalogue, networks
from lowdose.errors import LowDoseWarning, ParameterError, UnknownDenoiserError
from lowdose.filters import FILTERS
from lowdose.inference import DenoiseOptions, denoise
from lowdose.micrograph import Calibration, Micrograph
from lowdose.parameters import Parameter
from lowdose.zoo import list_models
from lowdose.zoo.package import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a model folder with a very small network in it."""
    options = {"scales": 2, "base": 2, "align_corners": False}
    return save_model(
        tmp_path_factory.mktemp("models") / "my-net",
        networks.build("unet2", **options),
        name="my-net",
        title="My network",
        summary="Trained on nothing.",
        licence="CC0-1.0",
        architecture="unet2",
        options=options,
        training={"steps": 0},
    )


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Return an empty folder of the user's own models."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("LOWDOSE_MODELS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_models_of_this_computer_do_not_matter(shelf):
    return shelf


def test_every_filter_and_every_model_is_listed_once():
    names = [info.name for info in catalogue.list_denoisers()]
    assert len(names) == len(set(names))
    assert set(names) == {*FILTERS, *(card.name for card in list_models())}


def test_pretrained_come_first_then_filters_then_your_own(model, shelf):
    shutil.copytree(model, shelf / "my-net")
    groups = [info.group for info in catalogue.list_denoisers()]
    assert groups == sorted(
        groups, key=["pretrained", "classical", "baseline", "yours"].index
    )
    assert groups[-1] == "yours"
    assert {"classical", "baseline"} <= set(groups)


def test_everything_a_user_wants_to_know_is_said(model, shelf):
    shutil.copytree(model, shelf / "my-net")
    for info in catalogue.list_denoisers():
        assert info.title
        assert info.summary.endswith(".")
        assert info.reference or info.group == "yours"
        assert all(isinstance(p, Parameter) for p in info.parameters)
        assert (info.card is None) == (info.group == "classical")
        assert json.loads(json.dumps(info.to_dict()))["name"] == info.name
        assert catalogue.describe(info.name).to_dict() == info.to_dict()


def test_every_denoiser_can_be_loaded_and_denoises(model, shelf):
    shutil.copytree(model, shelf / "my-net")
    image = np.random.default_rng(0).poisson(20, (48, 40))
    calibration = Calibration.from_spacing((0.01, 0.01), ("nm", "nm"))
    for info in catalogue.list_denoisers():
        denoiser = catalogue.load(info.name)
        assert denoiser.name == info.name
        assert set(denoiser.values) == {p.name for p in info.parameters}
        noisy = Micrograph(image, calibration)
        result = denoise(noisy, denoiser, options=DenoiseOptions(device="cpu"))
        assert np.isfinite(result.data).all()
        np.testing.assert_allclose(result.data.mean(), image.mean(), rtol=1e-4)


def test_presets_and_values_reach_the_filter():
    for name, spec in FILTERS.items():
        for preset, values in spec.presets.items():
            loaded = catalogue.load(name, preset=preset)
            assert {key: loaded.values[key] for key in values} == dict(values)
    assert catalogue.load("gaussian", sigma="2.5").values["sigma"] == 2.5
    result = denoise(np.eye(9), "gaussian", sigma=2)
    details = result.calibration.provenance[-1].details
    assert details["denoiser"]["parameters"]["sigma"] == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gausian", "'gaussian'"),
        ("medain", "'median'"),
        ("tv-chambole", "'tv-chambolle'"),
        ("zzzzz", "Known names: .*gaussian"),
        ("", "Known names"),
        ("x" * 5000, "Known names"),
        ("no\0name", "Known names"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_names(name, near):
    with pytest.raises(UnknownDenoiserError, match=near):
        catalogue.load(name)
    with pytest.raises(UnknownDenoiserError, match=near):
        catalogue.describe(name)
    with pytest.raises(LookupError):
        denoise(np.ones((4, 4)), name)


def test_the_path_of_a_model_folder_is_a_name(model):
    info = catalogue.describe(model)
    assert (info.name, info.group) == ("my-net", "yours")
    assert info.card["sha256"] == catalogue.load(str(model)).describe()["sha256"]
    assert denoise(np.eye(20), str(model)).shape == (20, 20)


def test_a_folder_that_is_no_model_says_so(tmp_path):
    with pytest.raises(lowdose.LowDoseError, match=r"card\.toml"):
        catalogue.load(tmp_path)


def test_a_folder_with_the_name_of_a_filter_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "gaussian").mkdir()
    monkeypatch.chdir(tmp_path)
    assert catalogue.describe("gaussian").group == "classical"


def test_a_model_of_yours_with_the_name_of_a_filter_is_left_out(model, shelf):
    shutil.copytree(model, shelf / "median")
    card = shelf / "median" / "card.toml"
    card.write_text(card.read_text().replace('name = "my-net"', 'name = "median"'))
    with pytest.warns(LowDoseWarning, match="name of a filter"):
        infos = catalogue.list_denoisers()
    assert [i.group for i in infos if i.name == "median"] == ["classical"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma": -1}, "sigma=-1 is out of range"),
        ({"sgma": 1}, "'sigma'"),
        ({"preset": "nothing"}, "no preset 'nothing'"),
    ],
)
def test_wrong_parameters_are_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        catalogue.load("gaussian", **values)


def test_networks_have_no_presets_and_say_so(model):
    with pytest.raises(ParameterError, match="networks have none"):
        catalogue.load(model, preset="ede2018")
    with pytest.raises(ParameterError, match="has no parameter 'sigma'"):
        catalogue.load(model, sigma=3)
