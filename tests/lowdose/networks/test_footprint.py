import pytest

from lowdose.networks.footprint import working_memory


def test_memory_grows_with_the_width_and_falls_with_the_stem():
    narrow, wide = (
        working_memory("lowdose", {"base": base, "blocks": [1, 1]}) for base in (8, 32)
    )
    assert wide > 3 * narrow
    stemmed = working_memory("lowdose", {"base": 32, "blocks": [1, 1], "stem": 4})
    assert stemmed < wide


def test_a_plain_chain_holds_its_input_and_two_maps():
    # DnCNN keeps the image for the residual and, of the wide maps, only the input
    # and the output of the layer at work.
    memory = working_memory("dncnn", {"depth": 5, "base": 64})
    assert memory == pytest.approx(4 * (2 * 64 + 1), rel=0.02)


def test_weights_are_not_counted():
    small, large = (
        working_memory("lowdose", {"base": 16, "blocks": [1, n]}) for n in (1, 6)
    )
    assert small == pytest.approx(large, rel=0.01)
