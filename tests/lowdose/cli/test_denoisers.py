import json

import pytest

from lowdose import catalogue
from lowdose.cli.denoisers import _entries


def test_every_denoiser_is_listed_with_its_summary(cli):
    code, out, err = cli("denoisers")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    for info in catalogue.list_denoisers():
        assert info.name in text
        assert " ".join(info.summary.split()) in text


def test_filters_stand_under_their_heading(cli):
    _, out, _ = cli("denoisers")
    assert out.index("Classical filters") < out.index("gaussian")


def test_json_holds_everything(cli):
    _, out, _ = cli("denoisers", "--json")
    infos = catalogue.list_denoisers()
    assert json.loads(out) == json.loads(json.dumps([i.to_dict() for i in infos]))


@pytest.mark.parametrize("name", [info.name for info in catalogue.list_denoisers()])
def test_one_denoiser_is_described_in_full(cli, name):
    info = catalogue.describe(name)
    code, out, _ = cli("denoisers", name)
    text = " ".join(out.split())
    assert code == 0
    assert info.title in text
    for parameter in info.parameters:
        assert f"{parameter.name} " in text
        assert f"({parameter.describe_range()})" in text
        assert " ".join(parameter.help.split()) in text
    for preset in info.presets:
        assert preset in text


def test_one_denoiser_as_json(cli):
    _, out, _ = cli("denoisers", "gaussian", "--json")
    assert json.loads(out)["name"] == "gaussian"


def test_an_unknown_name_is_a_usage_error_with_the_nearest_names(cli):
    code, out, err = cli("denoisers", "gausian")
    assert (code, out) == (2, "")
    assert "Did you mean 'gaussian'" in err


def test_nested_cards_become_dotted_rows():
    card = {
        "a": 1,
        "b": {"c": [1, 2], "d": [{"e": "x"}, {"e": "y"}]},
        "limits": ["One limit.", "Another limit."],
    }
    assert _entries(card) == [
        ("a", "1"),
        ("b.c", "1, 2"),
        ("b.d.1.e", "x"),
        ("b.d.2.e", "y"),
        ("limits", "One limit."),
        ("", "Another limit."),
    ]
