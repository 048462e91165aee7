import pytest

SMALL = ("--dataset", "sample", "--count", "1", "--size", "32", "--doses", "5")


def test_a_protocol_writes_its_report(cli, here):
    code, out, err = cli("benchmark", "dose", *SMALL, "-d", "gaussian", "-o", "found")
    assert code == 0, err
    assert "| gaussian |" in out
    assert (here / "found" / "report.html").is_file()
    assert (here / "found" / "psnr.csv").read_text().startswith("denoiser,5\n")
    code, out, err = cli(
        "benchmark", "dose", *SMALL, "-d", "gaussian", "-o", "found", "--resume"
    )
    assert code == 0
    page = (here / "found" / "report.html").read_text("utf-8")
    assert "lowdose benchmark dose --dataset sample --size 32 --doses 5" in page
    assert "2 of 2 results are there already" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("sdb", "-o", "x"), 2, "Did you mean 'sbd'"),
        (("dose", "-o", "x", "-d", "gausian"), 2, "Did you mean 'gaussian'"),
        (("dose", "-o", "x", "--workers", "0"), 2, "--workers 0 must be"),
        (("sbd", "-o", "x", "--size", "9", "-d", "noisy"), 2, "no option 'size'"),
        (("dose", "-o", "x", "-d", "noisy", "--dataset", "no.h5"), 1, "no.h5"),
    ],
)
def test_a_wrong_command_is_told_and_makes_nothing(cli, here, arguments, code, message):
    found, out, err = cli("benchmark", *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert not (here / "x").exists()
