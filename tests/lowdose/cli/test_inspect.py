import json

import numpy as np
import pytest

import lowdose
from lowdose.cli import main
from lowdose.micrograph import Axis, Calibration, Micrograph


@pytest.fixture
def folder(tmp_path, rng):
    """Return a folder with a noisy image, and the same denoised twice."""
    y, x = np.mgrid[:64, :64]
    truth = 6 * (1 + 0.5 * np.sin(x / 5) * np.sin(y / 6))
    axes = tuple(Axis(label=a, spacing=0.02, unit="nm") for a in "yx")
    noisy = Micrograph(rng.poisson(truth).astype(np.uint16), Calibration(axes=axes))
    lowdose.write(tmp_path / "noisy.tif", noisy)
    clean = lowdose.denoise(lowdose.read(tmp_path / "noisy.tif"), "gaussian", sigma=2)
    lowdose.write(tmp_path / "clean.tif", clean)
    bare = Micrograph(np.asarray(clean), Calibration(axes=axes))
    lowdose.write(tmp_path / "bare.tif", bare)
    return tmp_path


def run(folder, *options, denoised="clean.tif", output="out"):
    paths = [str(folder / "noisy.tif"), str(folder / denoised)]
    extra = ["-o", str(folder / output), "--repeats", "2", "--quiet"]
    return main(["inspect", *paths, *extra, *options])


def test_every_map_is_written_with_its_calibration(folder, capsys):
    assert run(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    # Waves of 35 px are no atomic columns.
    assert list(report["left_out"]) == ["evidence"]
    assert report["columns"] == []
    assert {v["check"] for v in report["verdicts"]} >= {"mean zero", "whiteness"}
    assert report["provenance"]["denoiser"]["name"] == "gaussian"
    assert len(report["files"]["maps"]) == len(report["maps"]) >= 9
    expected = lowdose.read(folder / "out" / "expected-error.tif")
    assert expected.calibration.pixel_size("nm") == pytest.approx((0.02, 0.02))
    assert expected.calibration.provenance[-1].action == "inspect"
    assert np.asarray(expected).min() >= 0


def test_the_page_holds_everything_itself(folder):
    assert run(folder, "--map", "residuals") == 0
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "data:image/png;base64" in page
    assert 'src="http' not in page
    for words in (
        "In words",
        "residual power",
        "Provenance",
        "gaussian",
        "residual [standard deviations]",
    ):
        assert words in page
    assert (folder / "out" / "panel.png").read_bytes().startswith(b"\x89PNG")
    json.loads((folder / "out" / "inspection.json").read_text(encoding="utf-8"))


def test_without_a_denoiser_only_what_needs_none_is_made(folder, capsys):
    makers = ("--map", "bootstrap", "--map", "residuals")
    assert run(folder, *makers, denoised="bare.tif") == 0
    said = capsys.readouterr()
    assert "does not name a denoiser" in said.err
    assert "not made: bootstrap" in said.out
    assert (folder / "out" / "residual.tif").exists()
    assert not (folder / "out" / "expected-error.tif").exists()


def test_a_named_denoiser_must_be_the_one_that_made_the_image(folder, capsys):
    assert run(folder, "--denoiser", "gaussian", "--set", "sigma=1") == 2
    assert "makes another image" in capsys.readouterr().err
    named = ("--denoiser", "gaussian", "--set", "sigma=2", "--map", "residuals")
    assert run(folder, *named, denoised="bare.tif") == 0


def test_results_are_not_replaced_unasked(folder, capsys):
    only = ("--map", "residuals")
    assert run(folder, *only) == 0
    assert run(folder, *only) == 1
    assert "is there already" in capsys.readouterr().err
    assert run(folder, *only, "--overwrite") == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--map", "residual"), "Did you mean 'residuals'"),
        (("--set", "sigma=2"), "give --denoiser too"),
        (("--offset", "3"), "need --gain"),
        (("--frame", "4"), "no frame 4"),
        (("--repeats", "1"), "repeats=1"),
    ],
)
def test_wrong_commands_are_answered_in_words(folder, capsys, options, words):
    assert run(folder, *options) == 2
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_rescaled_image_is_refused(folder, capsys):
    clean = lowdose.read(folder / "clean.tif")
    scaled = np.asarray(clean) / np.asarray(clean).max()
    lowdose.write(folder / "scaled.tif", clean.replace(data=scaled))
    assert run(folder, denoised="scaled.tif") == 1
    assert "rescaled" in capsys.readouterr().err


def test_compare_ranks_and_says_how_sure_it_is(folder, capsys):
    names = ["-d", "gaussian:sigma=0.4", "-d", "gaussian:sigma=2"]
    file = str(folder / "noisy.tif")
    assert main(["compare", file, *names, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "gaussian:sigma=2"
    assert any("sure" in line for line in lines)
    assert main(["compare", file, *names, "--quiet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ranking"][0]["name"] == "gaussian:sigma=2"
    assert report["denoisers"]["gaussian:sigma=0.4"]["parameters"]["sigma"] == 0.4
    assert 0.9 < report["ranking"][0]["best_probability"] <= 1


def test_compare_tunes_filters_without_the_truth_where_asked(folder, capsys):
    names = ["-d", "gaussian", "-d", "median:radius=1"]
    options = ["--tune", "--quiet", "--json", "--frames", "1"]
    assert main(["compare", str(folder / "noisy.tif"), *names, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    tuned = {
        described["name"]: described["parameters"]
        for described in report["denoisers"].values()
    }
    assert set(tuned) == {"gaussian", "median"}
    assert tuned["gaussian"]["sigma"] != 1.5
    assert tuned["median"]["radius"] == 1  # given, so it stands
    assert {row["name"] for row in report["ranking"]} == set(report["denoisers"])
    assert all(":" in name for name in report["denoisers"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["gaussian"], "at least twice"),
        (["gaussian", "gaussian"], "at least twice"),
        (["gaussian", "gausian"], "Did you mean 'gaussian'"),
        (["gaussian", "gaussian:sigma=,x=1"], "NAME:KEY=VALUE"),
        (["gaussian", "median:sigma=2"], "sigma"),
    ],
)
def test_compare_refuses_what_it_cannot_compare(folder, capsys, names, words):
    options = [text for name in names for text in ("-d", name)]
    assert main(["compare", str(folder / "noisy.tif"), *options, "--quiet"]) == 2
    assert words in capsys.readouterr().err


def test_true_errors_vacuum_and_diameter_may_be_given(folder, capsys):
    y, x = np.mgrid[:64, :64]
    truth = 6 * (1 + 0.5 * np.sin(x / 5) * np.sin(y / 6))
    lowdose.write(folder / "truth.tif", Micrograph(truth.astype(np.float32)))
    options = ["--truth", str(folder / "truth.tif"), "--diameter", "0.2"]
    maps = ["--map", "errors", "--map", "deviance", "--vacuum", ":20,:", "--json"]
    assert run(folder, *options, *maps) == 0
    report = json.loads(capsys.readouterr().out)
    by_name = {one["name"]: one for one in report["maps"]}
    numbers = by_name["absolute error"]["numbers"]
    clean = np.asarray(lowdose.read(folder / "clean.tif"))
    assert numbers["rms_counts"] == pytest.approx(
        np.sqrt(np.square(clean - truth).mean()), rel=1e-3
    )
    assert by_name["local deviance"]["numbers"]["diameter [px]"] == pytest.approx(10)
    assert run(folder, "--map", "errors", output="other") != 0
    assert "no map 'errors'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(folder, "--vacuum", "everywhere")
    assert "Y0:Y1,X0:X1" in capsys.readouterr().err
