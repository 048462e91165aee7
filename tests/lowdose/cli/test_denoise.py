import json
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

import lowdose
from lowdose.cli import denoise as module

GAUSSIAN = ("--denoiser", "gaussian")


def files():
    return sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())


def save_frames(rng, *names):
    for name in names:
        np.save(name, rng.poisson(4.0, (20, 24)).astype(np.uint16))


def test_a_movie_keeps_shape_and_calibration_and_says_what_was_done(cli, movie):
    code, out, err = cli("denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN)
    assert (code, err) == (0, "")
    assert "clean.tif" in out
    assert "3 x 40 x 52 px" in out
    clean = lowdose.read("clean.tif")
    assert clean.shape == movie.shape
    assert clean.dtype == np.float32
    assert clean.calibration.axes == movie.calibration.axes
    (step,) = clean.calibration.provenance
    assert (step.action, step.source) == ("denoise", "movie.tif")
    assert step.details["denoiser"]["name"] == "gaussian"


def test_the_command_line_gives_the_pixels_of_python(cli, movie):
    code, _, _ = cli(
        "denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN, "--set", "sigma=2.5"
    )
    assert code == 0
    expected = lowdose.denoise(movie, "gaussian", sigma=2.5)
    np.testing.assert_array_equal(lowdose.read("clean.tif").data, expected.data)


def test_small_tiles_change_nothing(cli, movie):
    for number, tile in enumerate(((), ("--tile", 32, "--batch", 2))):
        assert (
            cli("denoise", "movie.tif", "-o", f"{number}.tif", *GAUSSIAN, *tile)[0] == 0
        )
    whole, tiled = (lowdose.read(f"{number}.tif").data for number in range(2))
    np.testing.assert_allclose(tiled, whole, rtol=1e-5)


def test_the_mean_is_kept_unless_told_otherwise(cli, movie):
    arguments = ("--denoiser", "median", "--no-keep-mean")
    assert cli("denoise", "movie.tif", "-o", "free.tif", *arguments)[0] == 0
    assert cli("denoise", "movie.tif", "-o", "kept.tif", *arguments[:2])[0] == 0
    noisy, free, kept = (
        np.asarray(lowdose.read(f"{name}.tif").data, np.float64).mean((1, 2))
        for name in ("movie", "free", "kept")
    )
    np.testing.assert_allclose(kept, noisy, rtol=1e-5)
    assert not np.allclose(free, noisy, rtol=1e-5)


def test_many_files_go_into_a_folder_that_is_made(cli, rng):
    save_frames(rng, "a2.npy", "a10.npy", "b.npy")
    code, out, _ = cli(
        "denoise", "a*.npy", "b.npy", "-o", "new/clean", "--format", "mrc", *GAUSSIAN
    )
    assert code == 0
    names = ["a2-denoised.mrc", "a10-denoised.mrc", "b-denoised.mrc"]
    assert [line.split()[0] for line in out.splitlines()] == [
        f"new/clean/{name}" for name in names
    ]
    assert sorted(path.name for path in Path("new/clean").iterdir()) == sorted(names)


def test_a_file_that_fails_does_not_stop_the_others(cli, rng):
    save_frames(rng, "good.npy", "last.npy")
    Path("bad.tif").write_bytes(b"not a picture at all")
    code, out, err = cli(
        "denoise",
        "good.npy",
        "bad.tif",
        "gone.tif",
        "last.npy",
        "-o",
        "out/",
        *GAUSSIAN,
    )
    assert code == 1
    assert files()[-2:] == ["out/good-denoised.tif", "out/last-denoised.tif"]
    assert len(out.splitlines()) == 2
    summary = err[err.index("2 of 4 files failed:") :]
    assert "bad.tif is named like a TIFF file" in summary
    assert "gone.tif does not exist" in summary


def test_json_says_what_became_of_each_file(cli, rng):
    save_frames(rng, "good.npy")
    code, out, _ = cli(
        "denoise", "good.npy", "gone.npy", "-o", "out/", "--json", *GAUSSIAN
    )
    report = json.loads(out)
    good, gone = report["files"]
    assert code == 1
    assert good["output"] == str(Path("out/good-denoised.tif"))
    assert good["shape"] == [20, 24]
    assert gone["output"] is None
    assert "does not exist" in gone["error"]
    assert report["denoiser"]["name"] == "gaussian"
    assert report["cancelled"] is False


def test_quiet_writes_nothing_but_errors(cli, movie):
    arguments = ("denoise", "movie.tif", "-o", "clean.tif", "--quiet", *GAUSSIAN)
    assert cli(*arguments) == (0, "", "")
    code, out, err = cli(*arguments)
    assert (code, out) == (1, "")
    assert "clean.tif exists already" in err


def test_a_result_is_replaced_only_when_allowed(cli, movie):
    Path("clean.tif").write_text("precious")
    arguments = ("denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN)
    code, _, err = cli(*arguments)
    assert code == 1
    assert "--overwrite" in err
    assert Path("clean.tif").read_text() == "precious"
    assert cli(*arguments, "--overwrite")[0] == 0
    assert lowdose.read("clean.tif").shape == movie.shape


def test_the_input_is_not_replaced_even_when_overwriting(cli, movie):
    before = Path("movie.tif").read_bytes()
    code, _, err = cli(
        "denoise", "movie.tif", "-o", "./movie.tif", "--overwrite", *GAUSSIAN
    )
    assert code == 2
    assert "would replace the input movie.tif" in err
    assert Path("movie.tif").read_bytes() == before


def test_one_image_of_several_is_chosen(cli, rng):
    first, second = rng.poisson(5.0, (2, 16, 16)).astype(np.float32)
    np.savez("two.npz", first=first, second=second)
    code, _, err = cli("denoise", "two.npz", "-o", "out.tif", *GAUSSIAN)
    assert code == 1
    assert "first" in err
    assert "second" in err
    arguments = ("--dataset", "second", *GAUSSIAN)
    assert cli("denoise", "two.npz", "-o", "out.tif", *arguments)[0] == 0
    assert lowdose.read("out.tif").shape == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--denoiser", "gausian"), "no denoiser 'gausian'. Did you mean 'gaussian'"),
        ((*GAUSSIAN, "--set", "sigm=1"), "no parameter 'sigm'. Did you mean 'sigma'"),
        ((*GAUSSIAN, "--set", "sigma=-1"), "sigma='-1' is out of range. Allowed"),
        ((*GAUSSIAN, "--set", "sigma=wide"), "sigma='wide' is not a number"),
        ((*GAUSSIAN, "--set", "name=x"), "no parameter 'name'"),
        ((*GAUSSIAN, "--preset", "none-such"), "none-such"),
        ((*GAUSSIAN, "--device", "tpu"), "device='tpu' is not a device"),
        ((*GAUSSIAN, "--device", "cuda:99"), "no device 'cuda:99' here; there is"),
        ((*GAUSSIAN, "--precision", "int4"), "precision='int4' is not one of"),
        ((*GAUSSIAN, "--tile", "0"), "tile=0 must be a positive whole number"),
        ((*GAUSSIAN, "--batch", "-3"), "batch=-3 must be a positive whole number"),
        (
            (*GAUSSIAN, "-o", "clean.jpg"),
            "'.jpg' is not the suffix of a format",
        ),
        ((*GAUSSIAN, "-o", "out/", "--format", "png"), "Use one of .tif"),
    ],
)
def test_a_wrong_command_is_told_before_any_file_is_opened(cli, arguments, message):
    code, out, err = cli("denoise", "no-such-file.tif", "-o", "clean.tif", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "no-such-file" not in err
    assert files() == []


@pytest.mark.parametrize("text", ["sigma", "sigma=", "=1", "="])
def test_a_setting_without_key_or_value_is_a_usage_error(cli, capsys, text):
    with pytest.raises(SystemExit) as stop:
        cli("denoise", "a.tif", "-o", "b.tif", "--set", text)
    assert stop.value.code == 2
    assert f"{text!r} is not of the form KEY=VALUE" in capsys.readouterr().err


def test_several_inputs_want_a_folder(cli, rng):
    save_frames(rng, "a.npy", "b.npy")
    code, _, err = cli("denoise", "a.npy", "b.npy", "-o", "clean.tif", *GAUSSIAN)
    assert code == 2
    assert "2 inputs cannot go into the one file clean.tif" in err


def test_an_output_in_a_folder_that_is_not_there_is_refused(cli, movie):
    code, _, err = cli("denoise", "movie.tif", "-o", "gone/clean.tif", *GAUSSIAN)
    assert code == 1
    assert "the folder gone does not exist" in err


def test_a_full_disk_is_noticed_before_the_work(cli, movie, monkeypatch):
    usage = type(tifffile)("usage")
    usage.total, usage.free = 10**9, 10
    monkeypatch.setattr("lowdose.io.paths.shutil.disk_usage", lambda path: usage)
    code, _, err = cli("denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN)
    assert code == 1
    assert "Free some space" in err
    assert files() == ["movie.tif"]


def test_a_folder_is_no_input(cli):
    Path("folder").mkdir()
    code, _, err = cli("denoise", "folder", "-o", "clean.tif", *GAUSSIAN)
    assert code == 1
    assert "folder is a folder" in err


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((8, 8), complex), "complex"),
        (np.float32(3), "0 axes"),
        (np.ones(9, np.uint8), "1 axes"),
        (np.ones((0, 7), np.uint8), "empty"),
        (np.full((8, 8), np.nan), "finite"),
        (np.full((8, 8), None), "object"),
    ],
    ids=["complex", "0-d", "1-d", "empty", "all NaN", "object"],
)
def test_what_is_no_image_is_refused_with_the_reason(cli, array, message):
    np.save("odd.npy", array, allow_pickle=True)
    code, _, err = cli("denoise", "odd.npy", "-o", "clean.tif", *GAUSSIAN)
    assert code == 1
    assert message in err
    assert "odd.npy" in err
    assert files() == ["odd.npy"]


def test_a_colour_image_is_refused(cli, rng):
    colours = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    tifffile.imwrite("rgb.tif", colours, photometric="rgb")
    code, _, err = cli("denoise", "rgb.tif", "-o", "clean.tif", *GAUSSIAN)
    assert code == 1
    assert "colour" in err.lower()


def test_a_truncated_file_is_refused(cli, movie):
    whole = Path("movie.tif").read_bytes()
    Path("cut.tif").write_bytes(whole[: len(whole) // 2])
    code, _, err = cli("denoise", "cut.tif", "-o", "clean.tif", *GAUSSIAN)
    assert code == 1
    assert "cut.tif" in err
    assert files() == ["cut.tif", "movie.tif"]


@pytest.mark.parametrize(
    "array",
    [
        np.full((9, 11), 7, np.uint8),
        -np.arange(64, dtype=np.int16).reshape(8, 8),
        np.array([[1, 2], [3, 4]], ">u2"),
        np.arange(17, dtype=np.float64)[None],
        np.arange(17, dtype=np.float32)[:, None],
        np.ones((5, 5), bool),
    ],
    ids=["constant", "negative", "2x2 big-endian", "1xN", "Nx1", "bool"],
)
def test_odd_images_are_denoised_all_the_same(cli, array):
    np.save("odd.npy", array)
    code, _, err = cli("denoise", "odd.npy", "-o", "clean.tif", *GAUSSIAN)
    assert (code, err) == (0, "")
    clean = lowdose.read("clean.tif")
    assert clean.shape == array.shape
    np.testing.assert_allclose(np.mean(clean.data), array.mean(), atol=1e-4)


@pytest.fixture
def interrupted(monkeypatch):
    """Press Ctrl-C after the first report of progress of a file, for every file."""
    usual = module.reporting

    @contextmanager
    def press(title, *, quiet):
        with usual(title, quiet=quiet) as report:

            def report_and_press(progress):
                report(progress)
                if not progress.done:
                    signal.raise_signal(signal.SIGINT)

            yield report_and_press

    monkeypatch.setattr(module, "reporting", press)


def test_ctrl_c_leaves_no_half_file(cli, movie, interrupted):
    code, out, err = cli("denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN)
    assert (code, out) == (1, "")
    assert "Cancelled: 0 of 1 files are done. Not done: movie.tif." in err
    assert files() == ["movie.tif"]


def test_ctrl_c_ends_a_batch_and_says_what_is_missing(cli, rng, interrupted):
    save_frames(rng, "a.npy", "b.npy")
    code, out, err = cli("denoise", "a.npy", "b.npy", "-o", "out", "--json", *GAUSSIAN)
    assert code == 1
    assert "Cancelled: 0 of 2 files are done. Not done: a.npy, b.npy." in err
    assert json.loads(out)["cancelled"] is True
    assert files() == ["a.npy", "b.npy"]


def test_the_handlers_of_signals_are_back_after_a_run(cli, movie):
    before = signal.getsignal(signal.SIGINT)
    assert cli("denoise", "movie.tif", "-o", "clean.tif", *GAUSSIAN)[0] == 0
    assert signal.getsignal(signal.SIGINT) is before
