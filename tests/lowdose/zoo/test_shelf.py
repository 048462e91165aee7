import tomllib
from pathlib import Path

import pytest

from lowdose import zoo
from lowdose.errors import LowDoseWarning, UnknownDenoiserError

RECIPES = Path(__file__).parents[3] / "recipes"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_bundled_models_are_listed_first_and_load(shelf, make_model):
    make_model(shelf / "tiny")
    groups = [card.group for card in zoo.list_models()]
    assert groups == sorted(groups, key=["pretrained", "baseline", "yours"].index)
    assert "pretrained" in groups
    for card in zoo.list_models():
        denoiser = zoo.load_model(card.name)
        assert denoiser.describe()["sha256"] == card.sha256


def test_a_recipe_gives_its_model_the_words_of_the_bundled_card():
    for card in zoo.list_models():
        if card.group == "yours":
            continue
        written = tomllib.loads((card.folder / "card.toml").read_text("utf-8"))
        name = written["training"]["recipe"]
        recipe = tomllib.loads((RECIPES / name).read_text("utf-8"))
        for key in ("name", "title", "summary", "licence", "reference"):
            assert written[key] == recipe[key], f"{name}: {key}"
        for key in ("limits", "valid", "harm"):
            assert written[key] == recipe["card"][key], f"{name}: {key}"


def test_every_bundled_card_says_what_a_user_must_know():
    for card in zoo.list_models():
        if card.group == "yours":
            continue
        record = card.to_dict()
        assert card.licence
        assert record["valid"]["dose_e_per_px"]
        assert record["valid"]["pixel_size_nm"]
        assert record["training"]["recipe"]
        assert record["measured"]["command"]
        assert record["limits"]


def test_a_model_of_the_user_is_found_by_name_and_by_path(shelf, make_model):
    folder = make_model(shelf / "anything")
    assert zoo.load_model("tiny").name == "tiny"
    assert zoo.load_model(folder).name == "tiny"


def test_an_unknown_name_gets_the_nearest(shelf, make_model):
    make_model(shelf / "tiny")
    with pytest.raises(UnknownDenoiserError, match="Did you mean 'tiny'"):
        zoo.load_model("tinny")


def test_a_damaged_card_is_left_out_with_a_warning(shelf, make_model):
    (make_model(shelf / "bad") / "card.toml").write_text("format = ")
    with pytest.warns(LowDoseWarning, match="not a TOML file"):
        names = [card.name for card in zoo.list_models()]
    assert "tiny" not in names


def test_a_second_model_of_one_name_is_left_out_with_a_warning(shelf, make_model):
    make_model(shelf / "a")
    make_model(shelf / "b")
    with pytest.warns(LowDoseWarning, match="has the name 'tiny' already"):
        names = [card.name for card in zoo.list_models()]
    assert names.count("tiny") == 1
