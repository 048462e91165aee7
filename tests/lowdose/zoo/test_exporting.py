import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.errors import (
    MissingExtraError,
    OutputError,
    ParameterError,
    UnknownDenoiserError,
)
from lowdose.inference import DenoiseOptions, denoise
from lowdose.zoo import bioimageio_package, list_models, load_model, programs
from lowdose.zoo.denoising_graph import Denoising
from lowdose.zoo.export_text import metadata, readme
from lowdose.zoo.exporting import FORMATS, export_model
from lowdose.zoo.measuring_graph import Measuring, measure_names
from lowdose.zoo.shelf import find_model

# The library of the specification leaves the closing of files to Python.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

#: With a halo, and with spectral mixing; all views would make the export slow.
SHIPPED = {"general": {}, "tem-nanoparticle": {"views": "1"}}
SIZES = ((72, 104), (128, 80))


def poisson(shape, *, dose=5.0, seed=0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    rate = dose * (1 + 0.6 * np.sin(rows / 3) * np.sin(columns / 4))
    return np.random.default_rng(seed).poisson(rate).astype(np.float32)


def tensor(frame):
    return torch.from_numpy(frame)[None, None]


def expected_of(denoiser, frame):
    return denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])[0]


def noise_of(denoiser, frame):
    return denoiser.measure(frame)["sigma"]


@pytest.fixture(scope="module")
def once():
    """Make each program only once, for all formats."""
    made = {}

    def cached(make):
        def cached_make(source):
            key = make.__name__, source.card.name, tuple(source.values.items())
            if key not in made:
                made[key] = make(source)
            return made[key]

        return cached_make

    with pytest.MonkeyPatch.context() as patch:
        for name in ("measure_program", "denoise_program", "whole_program"):
            patch.setattr(programs, name, cached(getattr(programs, name)))
        yield


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request):
    values = SHIPPED[request.param]
    binning = {} if request.param == "general" else {"binning": 1}
    return request.param, values, load_model(request.param, **values, **binning)


def onnx_session(model):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


def check_close(found, expected, noise):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * noise


def test_a_shipped_model_as_onnx_gives_the_same_pixels(shipped, once, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    name, values, denoiser = shipped
    folder = export_model(name, "onnx", tmp_path / "made", values=values)
    measure = onnx_session(folder / "measure.onnx")
    patch = onnx_session(folder / "denoise.onnx")
    for size in SIZES:
        frame = poisson(size)
        (measures,) = measure.run(None, {"frame": frame[None, None]})
        given = {"counts": frame[None, None], "measures": measures}
        (clean,) = patch.run(None, given)
        check_close(
            clean[0, 0], expected_of(denoiser, frame), noise_of(denoiser, frame)
        )
    assert {f.name for f in folder.iterdir()} == {
        "measure.onnx",
        "denoise.onnx",
        "model.json",
        "README.md",
    }


def test_a_shipped_model_for_torch_gives_the_same_pixels(shipped, once, tmp_path):
    name, values, denoiser = shipped
    folder = export_model(name, "torch-export", tmp_path / "made", values=values)
    measure = torch.export.load(folder / "measure.pt2").module()
    patch = torch.export.load(folder / "denoise.pt2").module()
    for size in SIZES:
        frame = poisson(size)
        with torch.inference_mode():
            clean = patch(tensor(frame), measure(tensor(frame)))[0, 0].numpy()
        check_close(clean, expected_of(denoiser, frame), noise_of(denoiser, frame))


# One alone: each takes a minute, and the other formats have both.
@pytest.mark.parametrize("shipped", ["general"], indirect=True)
def test_a_shipped_model_for_bioimageio_is_valid_and_gives_the_same_pixels(
    shipped, once, tmp_path
):
    spec = pytest.importorskip("bioimageio.spec", reason="needs the extra bioimageio")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    name, values, denoiser = shipped
    path = export_model(name, "bioimageio", tmp_path / "made.zip", values=values)
    assert [f.name for f in tmp_path.iterdir()] == ["made.zip"]
    with spec.ValidationContext(perform_io_checks=False):
        described = spec.load_description(path)
    # Not "passed", which would say that its library has run the network too.
    assert described.validation_summary.status == "valid-format"
    assert described.format_version.startswith("0.5.")
    assert str(described.license) == denoiser.card.licence
    with zipfile.ZipFile(path) as package:
        for file in (described.documentation, *described.covers):
            content = package.read(file.source.path.name)
            assert hashlib.sha256(content).hexdigest() == str(file.sha256)
        session = onnx_session(package.read("weights.onnx"))
        with package.open("test_input.npy") as file:
            given = np.load(file)
        with package.open("test_output.npy") as file:
            output = np.load(file)
    options = DenoiseOptions(precision="float32", tile=1024)
    for counts in (given, *(poisson(size)[None, None] for size in SIZES)):
        (clean,) = session.run(None, {"counts": counts})
        expected = np.asarray(denoise(counts[0, 0], denoiser, options=options).data)
        check_close(clean[0, 0], expected, noise_of(denoiser, counts[0, 0]))
    np.testing.assert_allclose(session.run(None, {"counts": given})[0], output)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("general", {"noise": "blind"}),
        ("general", {"noise": "auto", "views": "2"}),
        ("general", {"noise": "counts", "gain": 2.0, "offset": 3.0, "views": "4"}),
        ("general", {"noise": "counts", "read_noise": 2.0}),
        ("tem-nanoparticle", {"binning": 1, "views": "8"}),
        ("tem-nanoparticle", {"binning": 3, "views": "4"}),
    ],
)
@pytest.mark.parametrize(("dose", "offset"), [(0.3, 0.0), (40.0, 30000.5)])
def test_what_is_put_into_a_graph_is_what_the_denoiser_does(name, values, dose, offset):
    denoiser = load_model(name, **values)
    binning = int(values.get("binning", 1))
    frame = poisson((72 * binning, 88 * binning), dose=dose) + np.float32(offset)
    measuring = Measuring(denoiser.card, denoiser.values)
    denoising = Denoising(denoiser.card, denoiser.network, denoiser.values).eval()
    with torch.inference_mode():
        measures = measuring(tensor(frame))
        clean = denoising(tensor(frame), measures)[0, 0].numpy()
    known = denoiser.measure(frame)
    for key, value in zip(measure_names(denoiser.card), measures, strict=True):
        assert value.item() == pytest.approx(
            known[key.removeprefix("out_")], rel=1e-6, abs=1e-6
        )
    # Single precision has no more digits than these of a large offset.
    digits = 2e-7 * abs(offset)
    difference = np.abs(clean - expected_of(denoiser, frame)).max()
    assert difference < 1e-4 * known["sigma"] + digits


@pytest.mark.parametrize(
    "name", [card.name for card in list_models() if card.group != "yours"]
)
def test_the_graph_of_every_shipped_model_gives_the_same_pixels(name):
    card = find_model(name)
    sums = any(parameter.name == "binning" for parameter in card.parameters)
    denoiser = load_model(name, **({"binning": 2 if card.band else 1} if sums else {}))
    frames = np.stack(
        [
            poisson((144, 160) if sums and card.band else (72, 80), seed=n)
            for n in range(card.frames)
        ]
    )
    middle = frames[card.frames // 2]
    measures = denoiser.measure(middle)
    expected = denoiser.denoise_patches(frames[None], [measures])[0]
    denoising = Denoising(card, denoiser.network, denoiser.values)
    with torch.inference_mode():
        found = Measuring(card, denoiser.values)(tensor(middle))
        clean = denoising(torch.from_numpy(frames)[None], found)[0, 0].numpy()
    check_close(clean, expected, measures["sigma"])


@pytest.mark.parametrize("kind", FORMATS)
def test_the_readme_shows_how_frames_of_a_movie_go_in(kind):
    source = programs.program_source(find_model("general"), {})
    facts = {**metadata(source, kind, {}), "frames": 5}
    code = readme(facts).split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert "frame = counts[:, 2:3]" in code
    assert "(1, 5, H, W), counts, in order of time" in code
    assert "(1, 1, H, W), counts" not in code


@pytest.mark.parametrize("size", [(64, 64), (95, 130), (700, 1100)])
def test_frames_of_any_size_are_measured_alike(size):
    denoiser = load_model("general")
    frame = poisson(size, dose=2.0)
    measures = Measuring(denoiser.card, denoiser.values)(tensor(frame))
    known = denoiser.measure(frame)
    expected = [known[key.removeprefix("out_")] for key in measure_names(denoiser.card)]
    np.testing.assert_allclose(measures.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_frame_is_measured_alike(value):
    denoiser = load_model("general")
    frame = np.full((64, 80), value, np.float32)
    measures = Measuring(denoiser.card, denoiser.values)(tensor(frame))
    known = denoiser.measure(frame)
    expected = [known[key.removeprefix("out_")] for key in measure_names(denoiser.card)]
    np.testing.assert_allclose(measures.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_a_model_of_ones_own_is_exported_and_described(
    make_model, tmp_path, monkeypatch
):
    make_model(tmp_path / "model", name="mine")
    folder = export_model(tmp_path / "model", "torch-export", tmp_path / "made")
    denoiser = load_model(tmp_path / "model")
    frame = poisson((64, 72))
    patch = torch.export.load(folder / "denoise.pt2").module()
    measure = torch.export.load(folder / "measure.pt2").module()
    with torch.inference_mode():
        clean = patch(tensor(frame), measure(tensor(frame)))[0, 0].numpy()
    check_close(clean, expected_of(denoiser, frame), noise_of(denoiser, frame))
    code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1]
    np.save(folder / "frame.npy", frame)
    monkeypatch.chdir(folder)
    names = {}
    exec(code.split("```")[0], names)
    np.testing.assert_allclose(names["clean"].mean(), frame.mean(), rtol=1e-6)
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert facts["name"] == "mine"
    assert facts["weights_sha256"] == denoiser.card.sha256
    assert facts["fixed_sizes_px"] == {}
    assert facts["licence"] in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("kind", FORMATS)
def test_the_readme_says_what_remains_to_be_done(name, kind):
    source = programs.program_source(find_model(name), {})
    facts = metadata(source, kind, {"denoise": None})
    text = readme(facts)
    assert source.card.sha256 in text
    assert f"multiples of {source.step}" in text
    assert "e-/px" in text
    if source.card.sampling is not None:
        assert f"{source.card.sampling.pixel_size:g} nm" in text
        assert "192 px that overlap by 48 px" in text
    else:
        assert "the outer 121 px (the halo)" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, "`--set binning=n`"), ({"binning": 3}, "3 x 3 pixels")],
)
def test_the_readme_says_that_a_program_cannot_choose(
    values, expected, make_model, tmp_path
):
    folder = make_model(tmp_path / "m", inputs={"band": True})
    source = programs.program_source(find_model(folder), values)
    text = readme(metadata(source, "onnx", {"denoise": None}))
    assert "a program cannot choose" in text
    assert expected in text


def test_a_readme_is_written_of_any_card():
    source = programs.program_source(find_model("general"), {})
    facts = metadata(source, "onnx", {"denoise": (64, 72)})
    facts |= {"valid": "any", "limits": "none known", "reference": ""}
    assert "none known" in readme(facts)
    assert "one size [px] alone: denoise: 64 x 72" in readme(facts)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_there_is_not_replaced_unasked(kind, make_model, tmp_path):
    make_model(tmp_path / "model")
    path = tmp_path / "made.zip"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export_model(tmp_path / "model", kind, path)
    assert path.read_text() == "mine"


def test_a_folder_that_no_export_made_is_never_replaced(make_model, tmp_path):
    make_model(tmp_path / "model")
    with pytest.raises(OutputError, match="no export has made"):
        export_model(
            tmp_path / "model", "torch-export", tmp_path / "model", overwrite=True
        )
    assert (tmp_path / "model" / "card.toml").is_file()


def test_an_export_is_replaced_when_asked(make_model, tmp_path):
    make_model(tmp_path / "model")
    path = tmp_path / "made"
    path.mkdir()
    (path / "model.json").write_text("old")
    export_model(tmp_path / "model", "torch-export", path, overwrite=True)
    assert (path / "denoise.pt2").is_file()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["made", "model"]


def test_a_missing_folder_is_named(make_model, tmp_path):
    make_model(tmp_path / "model")
    with pytest.raises(OutputError, match="does not exist"):
        export_model(tmp_path / "model", "onnx", tmp_path / "none" / "made")


def test_unknown_names_formats_and_values_are_refused(tmp_path):
    with pytest.raises(UnknownDenoiserError, match="general"):
        export_model("genral", "onnx", tmp_path / "made")
    with pytest.raises(ParameterError, match="Did you mean 'onnx'"):
        export_model("general", "onx", tmp_path / "made")
    with pytest.raises(ParameterError, match="views"):
        export_model("general", "torch-export", tmp_path / "m", values={"views": "3"})
    with pytest.raises(ParameterError, match="zip"):
        export_model("general", "bioimageio", tmp_path / "made")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "missing", "extra"),
    [("onnx", "onnxscript", "onnx"), ("bioimageio", "bioimageio.spec", "bioimageio")],
)
def test_a_missing_extra_is_named(kind, missing, extra, tmp_path, monkeypatch):
    if kind == "bioimageio":
        pytest.importorskip("onnxscript", reason="needs the extra onnx")
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"napari-lowdose\[{extra}\]"):
        export_model("general", kind, tmp_path / "made.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["torch-export", "bioimageio"])
def test_nothing_is_left_of_what_failed(kind, make_model, tmp_path, monkeypatch):
    if kind == "bioimageio":
        pytest.importorskip("bioimageio.spec", reason="needs the extra bioimageio")
        pytest.importorskip("onnxscript", reason="needs the extra onnx")
    make_model(tmp_path / "model")

    def fail(source):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(programs, "denoise_program", fail)
    monkeypatch.setattr(programs, "whole_program", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        export_model(tmp_path / "model", kind, tmp_path / "made.zip")
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_a_licence_that_bioimageio_does_not_know_is_named(
    make_model, tmp_path, monkeypatch
):
    pytest.importorskip("bioimageio.spec", reason="needs the extra bioimageio")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    card = make_model(tmp_path / "model") / "card.toml"
    text = card.read_text(encoding="utf-8").replace("CC0-1.0", "do as you like")
    card.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match="license:"):
        export_model(tmp_path / "model", "bioimageio", tmp_path / "made.zip")
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_citations_are_taken_from_the_reference():
    text = "After A, doi:10.1109/TCI.2022.3176536, and B, arXiv:1709.07871."
    entries = bioimageio_package._citations(text, "https://example.org")
    assert [e.get("doi") or e["url"] for e in entries] == [
        "https://example.org",
        "10.1109/TCI.2022.3176536",
        "https://arxiv.org/abs/1709.07871",
    ]


def test_the_default_name_says_model_and_format():
    assert {kind: Path(n.format(name="a")).name for kind, n in FORMATS.items()} == {
        "onnx": "a-onnx",
        "torch-export": "a-torch-export",
        "bioimageio": "a.bioimageio.zip",
    }
