import subprocess
import sys
import warnings
from importlib.metadata import version

import pytest

from lowdose.cli import info, main
from lowdose.cli.program import COMMANDS
from lowdose.errors import Cancelled, LowDoseWarning


def run_python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        text=True,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def failing(error):
    def run(arguments):
        raise error

    return run


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "usage: lowdose" in capsys.readouterr().err


def test_help_names_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    for command in COMMANDS:
        assert f"{command.NAME} " in out
        assert command.SUMMARY in out
    assert "exit codes:" in out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_help_of_a_command_has_examples_that_it_understands(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command.NAME, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"  lowdose {command.NAME} " in out[out.index("examples:") :]


def test_version_is_the_one_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"lowdose {version('napari-lowdose')}"


@pytest.mark.parametrize(
    "arguments", [["denoize"], ["denoise"], ["info"], ["denoise", "a", "--outp", "b"]]
)
def test_arguments_that_are_not_understood_are_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: lowdose" in capsys.readouterr().err


def test_an_error_is_one_sentence_without_a_traceback(cli):
    code, _, err = cli("denoisers", "nothing-like-it")
    assert code == 2
    assert err.startswith("lowdose: error: There is no denoiser 'nothing-like-it'.")
    assert "Traceback" not in err


def test_debugging_shows_the_traceback_too(cli, monkeypatch):
    monkeypatch.setenv("LOWDOSE_DEBUG", "1")
    code, _, err = cli("info", "gone.tif")
    assert code == 1
    assert "Traceback" in err
    assert "lowdose: error: gone.tif does not exist." in err


def test_a_bug_is_not_disguised(monkeypatch):
    monkeypatch.setattr(info, "run", failing(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main(["info", "a.tif"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled("Cancelled.")])
def test_cancelling_is_code_1_and_no_error(cli, monkeypatch, error):
    monkeypatch.setattr(info, "run", failing(error))
    assert cli("info", "a.tif") == (1, "", "lowdose: Cancelled.\n")


def test_our_warnings_are_lines_shown_once_and_others_stay_warnings(cli, monkeypatch):
    def run(arguments):
        for _ in range(3):
            warnings.warn("the disk is slow", LowDoseWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="foreign"):
            warnings.warn("foreign", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(info, "run", run)
    _, _, err = cli("info", "a.tif")
    assert err == "lowdose: warning: the disk is slow\n"


def test_the_module_is_the_command():
    done = run_python("-m", "lowdose", "denoisers", "gausian")
    assert done.returncode == 2
    assert "Did you mean 'gaussian'" in done.stderr


@pytest.mark.parametrize(
    "command", [["--help"], ["denoisers"], ["denoisers", "gaussian"], ["info", "x"]]
)
def test_torch_is_not_loaded_where_nothing_is_computed(command):
    code = (
        "import sys, contextlib, lowdose.cli\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    lowdose.cli.main({command!r})\n"
        "assert not {'torch', 'napari', 'qtpy', 'matplotlib'} & set(sys.modules)"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_help_loads_no_numerical_library():
    code = (
        "import sys, contextlib, lowdose.cli\n"
        "with contextlib.suppress(SystemExit):\n"
        "    lowdose.cli.main(['denoise', '--help'])\n"
        "assert not {'numpy', 'scipy', 'tifffile', 'rich'} & set(sys.modules)"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_gets_no_traceback():
    process = subprocess.Popen(
        [sys.executable, "-m", "lowdose", "denoisers", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
