import json

import pytest

SMALL = ("bench", "-d", "gaussian", "--size", "64", "--tile", "64", "--repeats", "1")


@pytest.fixture(autouse=True)
def no_cache(here, monkeypatch):
    monkeypatch.setenv("LOWDOSE_CACHE", str(here / "cache"))


def test_the_table_has_a_row_for_each_way(cli):
    code, out, err = cli(*SMALL)
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert "scipy gaussian_filter" in out
    assert "64 x 64 px" in out
    assert err.count("gaussian") >= 4


def test_json_has_the_numbers_and_the_disk(cli, here):
    code, out, err = cli(*SMALL, "--json", "--quiet", "--disk", str(here))
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["size"] == 64
    assert report["machine"]
    assert {row["way"] for row in report["speed"]} >= {"untiled", "engine"}
    assert all(row["megapixels_per_second"] > 0 for row in report["speed"])
    assert [row["format"] for row in report["disk"]] == [".tif", ".mrc", ".zarr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "0"), "--size 0 must be"),
        (("--repeats", "-1"), "--repeats -1 must be"),
        (("-d", "gausian"), "Did you mean 'gaussian'"),
        (("--device", "tpu", "-d", "general"), "'tpu' is not a device"),
        (("--precision", "int4", "-d", "general"), "'int4'"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_measured(cli, arguments, message):
    code, out, err = cli("bench", *arguments)
    assert (code, out) == (2, "")
    assert message in err
