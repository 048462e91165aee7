import pytest

from lowdose.cli import main


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "shelf"))


@pytest.fixture
def trained(tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        """
        name = "tiny"
        title = "Tiny"
        summary = "For tests."
        licence = "CC0-1.0"
        seed = 1
        data = { kinds = { amorphous = 1 }, images = 2, size = 32 }
        network = { architecture = "unet2", options = { scales = 2, base = 2 } }
        training = { steps = 1, batch = 1, patch = 32, precision = "float32" }
        """
    )
    folder = tmp_path / "run"
    assert main(["train", str(recipe), "-o", str(folder)]) == 0
    return folder


def test_what_is_trained_is_added_listed_used_and_removed(trained, capsys):
    assert main(["models", "add", str(trained)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tiny"
    assert main(["models"]) == 0
    assert ["tiny", "yours"] in [
        line.split()[:2] for line in capsys.readouterr().out.splitlines()
    ]
    assert main(["denoisers", "tiny"]) == 0
    assert main(["models", "remove", "tiny"]) == 0
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    assert "tiny" not in capsys.readouterr().out


def test_a_folder_that_holds_no_model_is_named(tmp_path, capsys):
    assert main(["models", "add", str(tmp_path)]) == 1
    assert "is not a model folder" in capsys.readouterr().err


def test_a_taken_name_is_a_wrong_command(trained, capsys):
    assert main(["models", "add", str(trained), "--name", "general"]) == 2
    assert "comes with lowdose" in capsys.readouterr().err


def test_the_folder_of_ones_own_models_is_printed(capsys, tmp_path):
    assert main(["models", "folder"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "shelf")


def test_a_model_is_exported_once(trained, tmp_path, capsys):
    out = tmp_path / "made"
    command = ["models", "export", str(trained), "--format", "torch-export"]
    assert main([*command, "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert (out / "denoise.pt2").is_file()
    assert main([*command, "-o", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_wrong_format_or_value_is_a_wrong_command(capsys):
    assert main(["models", "export", "general", "--format", "onxx"]) == 2
    assert "Did you mean 'onnx'?" in capsys.readouterr().err
    command = ["models", "export", "general", "--format", "onnx", "--set", "views=3"]
    assert main(command) == 2
    assert "views" in capsys.readouterr().err


def test_help_names_the_formats_that_there_are():
    from lowdose.cli.models import FORMATS as NAMED
    from lowdose.zoo.exporting import FORMATS

    assert tuple(FORMATS) == NAMED
