import json

import pytest

from lowdose.cli import networks as command
from lowdose.networks import declared
from lowdose.networks.declared import declaration, declarations
from lowdose.networks.tables import describe


def test_every_network_is_listed(cli):
    code, out, err = cli("networks")
    assert (code, err) == (0, "")
    for each in declarations():
        assert f"\n{each.name} " in out
        assert f"{each.parameters:,}" in out


def test_json_holds_everything(cli):
    _, out, _ = cli("networks", "--json")
    assert json.loads(out) == [describe(each) for each in declarations()]


def test_one_network_is_described_in_full(cli):
    code, out, _ = cli("networks", "ede-code")
    text = " ".join(out.split())
    assert code == 0
    assert "parameters 25413620" in text
    assert "doi:10.1016/j.ultramic.2019.03.017" in text
    assert "normalisation.inverse counts = z * (max - min) + min" in text
    assert "homogeneous false" in text


def test_what_sees_the_whole_image_says_so(cli):
    _, out, _ = cli("networks", "lowdose-m")
    assert "receptive_field whole image" in " ".join(out.split())
    assert "published_parameters not published" in " ".join(out.split())


def test_one_network_as_json(cli):
    _, out, _ = cli("networks", "dncnn-20", "--json")
    assert json.loads(out)["parameters"] == 668_225


def test_measuring_agrees_with_what_is_declared(cli):
    code, out, err = cli("networks", "durr-unet", "--measure", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == describe(declaration("durr-unet"))


def test_measuring_says_where_a_declaration_is_wrong(cli, monkeypatch):
    true = declaration("durr-unet").to_dict()
    wrong = declared.from_dict({**true, "parameters": 5})
    monkeypatch.setattr(declared, "_derived", lambda: {"durr-unet": wrong})
    code, _, err = cli("networks", "durr-unet", "--measure")
    assert code == 1
    assert "durr-unet declares parameters 5, but has 233440" in err


def test_an_unknown_name_is_a_usage_error_with_the_nearest_names(cli):
    code, out, err = cli("networks", "ede")
    assert (code, out) == (2, "")
    assert "Did you mean" in err


@pytest.mark.parametrize("value", [0, 1])
def test_numbers_are_not_taken_for_true_and_false(value):
    assert command._entries({"halo": value}) == [("halo", str(value))]
