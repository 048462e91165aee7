import pytest

from lowdose.simulation.dataset import Dataset


def test_a_set_is_simulated_resumed_and_opened(cli, here):
    command = ("simulate", "drawn", "-o", "set.h5", "--count", 2, "--seed", 4)
    code, out, _ = cli(*command)
    assert code == 0
    assert "set.h5: 2 images" in out
    with Dataset("set.h5") as dataset:
        assert len(dataset) == 2
    code, _, err = cli(*command)
    assert code == 1
    assert "set.h5 exists already" in err
    assert cli(*command, "--resume")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sdb",), "Did you mean 'sbd'"),
        (("drawn", "--count", 0), "count=0"),
        (("drawn", "--structure", "x.cif"), "only crystals"),
    ],
)
def test_bad_commands_are_explained_and_make_nothing(arguments, said, cli, here):
    code, _, err = cli("simulate", *arguments, "-o", "set.h5")
    assert code == 2
    assert said in err
    assert list(here.iterdir()) == []
