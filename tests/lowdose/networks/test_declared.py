import json
import subprocess
import sys

import pytest

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.declared import count, declaration, declarations, derive, inputs
from lowdose.networks.tables import COLUMNS, describe, markdown, row
from lowdose.networks.variants import VARIANTS, find_variant

NAMES = [variant.name for variant in VARIANTS]

#: Following a NaN through this one takes longer than through all others together;
#: `lowdose networks --measure` does it.
SLOW = {"mcnn"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_what_a_network_declares_is_what_it_has(name):
    declared = declaration(name)
    assert derive(find_variant(name), exports=declared.exports) == declared


@pytest.mark.parametrize("name", sorted(SLOW))
def test_the_counts_of_a_slow_one_are_what_it_has(name):
    declared = declaration(name)
    assert count(find_variant(name)) == (
        declared.parameters,
        declared.multiple,
        declared.macs,
    )
    assert inputs(find_variant(name)) == (declared.frames, declared.conditions)


def test_the_field_of_a_mixed_scale_network_is_the_sum_of_its_dilations():
    # Ten layers see 2 (1 + 2 + ... + 10) pixels more.
    for depth in (50, 100, 200):
        expected = 1 + 2 * 55 * depth // 10
        field = declaration(f"mixed-scale-{depth}").receptive_field
        assert field == (expected, expected)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_the_numbers_are_the_published_ones(variant):
    declared = declaration(variant.name)
    if variant.parameters is not None:
        assert declared.parameters == variant.parameters
    if variant.receptive_field is not None:
        assert declared.receptive_field == variant.receptive_field


def test_every_architecture_is_in_the_table():
    assert {variant.architecture for variant in VARIANTS} == set(networks.ARCHITECTURES)


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


def test_those_without_biases_are_the_homogeneous_ones():
    homogeneous = {each.name for each in declarations() if each.homogeneous}
    assert homogeneous == {
        "dncnn-sbd",
        "unet2-6",
        "durr-unet-bias-free",
        "blind-spot",
        "blind-spot-5",
    }


def test_only_blind_spots_are_blind():
    blind = {each.name for each in declarations() if each.blind}
    assert blind == {"blind-spot", "blind-spot-5"}


def test_operations_of_a_plain_network_are_those_worked_by_hand():
    # 3 x 3 kernels: 1 to 64 maps, 18 times 64 to 64, 64 to 1.
    assert declaration("dncnn-20").macs == 9 * (64 + 18 * 64 * 64 + 64)


def test_operations_of_a_network_on_fewer_pixels_count_pixels_of_the_image():
    # FFDNet at 1/4 of the pixels: 5 to 64, 13 times 64 to 64, 64 to 4.
    assert declaration("ffdnet-map").macs == 9 * (5 * 64 + 13 * 64**2 + 64 * 4) // 4


def test_a_network_that_is_not_there_is_refused_with_the_nearest_names():
    with pytest.raises(ParameterError, match="Did you mean 'dncnn-20'"):
        declaration("dncnn-21")


def test_the_table_is_read_without_torch():
    code = (
        "import sys; from lowdose.networks.declared import declarations; "
        "declarations(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_description_is_json_and_complete():
    described = describe(declaration("ede-paper"))
    assert json.loads(json.dumps(described)) == described
    assert described["options"] == {
        "norm": "between",
        "pooled": True,
        "activated": False,
    }
    assert described["normalisation"]["inverse"] == "counts = z * (max - min) + min"
    assert described["flops"] == 2 * described["macs"]


def test_the_markdown_has_a_row_per_network():
    table = markdown(declarations()).splitlines()
    assert len(table) == 2 + len(NAMES)
    assert all(line.count("|") == len(COLUMNS) + 1 for line in table)
    assert row(declaration("dncnn-20"))[:3] == ("dncnn-20", "668,225", "41")
