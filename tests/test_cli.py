"""How a command is started and how it ends."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import cli, console

ROOT = Path(__file__).resolve().parents[1]
CRASH_AT_EXIT = """
import atexit, os, signal
from orchestrator.cli import exit_with
from training.errors import StudyError

atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))

def main():
    print("the study is complete")
    {end}

exit_with(main)
"""


@pytest.mark.parametrize(
    ("end", "code", "error"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise StudyError('no')", 2, "error: no\n"),
    ],
)
def test_a_crash_while_python_shuts_down_does_not_change_the_exit_code(
    end: str, code: int, error: str, tmp_path: Path
) -> None:
    ended = python("-c", CRASH_AT_EXIT.format(end=end), home=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "the study is complete\n", error)


def test_a_command_whose_output_nobody_reads_any_more_ends_quietly(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)  # as `head` does when it has enough
    ended = subprocess.run(
        [sys.executable, "-u", "-m", "orchestrator.sweep", "--dry-run"],
        env={"ORCHESTRATOR_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")


def python(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"ORCHESTRATOR_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )


def test_the_help_of_the_script_lists_every_command_with_its_purpose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        console.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: preference-orchestrator COMMAND")
    for command in console.COMMANDS:
        module = importlib.import_module(f"orchestrator.{command}")
        assert f"  {command:<10}{str(module.__doc__).splitlines()[0]}\n" in text


def test_the_script_has_every_module_that_is_a_command() -> None:
    modules = {path.stem for path in (ROOT / "orchestrator").glob("*.py")}
    assert set(console.COMMANDS) == modules - {"__init__", "__main__", "cli", "console"}


@pytest.mark.parametrize("command", console.COMMANDS)
def test_the_help_of_a_command_says_how_it_was_started(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(f"orchestrator.{command}").main
    for start, program in (
        (lambda: console.main([command, "--help"]), f"preference-orchestrator {command}"),
        (lambda: main(["--help"]), f"python -m orchestrator.{command}"),
    ):
        with pytest.raises(SystemExit) as end:
            start()
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: {program} ")


def test_a_wrong_command_is_answered_with_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        console.main(["swep"])
    assert end.value.code == 2
    text = capsys.readouterr().err
    for part in ("no command 'swep'", "did you mean 'sweep'?", *console.COMMANDS):
        assert part in text
    assert console.main([]) == 2
    assert "Train the missing cells" in capsys.readouterr().out


def test_a_command_ends_the_same_however_it_is_started(tmp_path: Path) -> None:
    words = ["--config", "demo"]
    for arguments, code in (
        (["status", *words], 1),  # no cell is finished
        (["sweep", *words, "--dry-run"], 0),
        (["sweep", *words, "methods.dpo.betta=1"], 2),
        (["sweep", *words, "nonsense"], 2),
    ):
        command, *rest = arguments
        by_module = python("-m", f"orchestrator.{command}", *rest, home=tmp_path)
        by_package = python("-m", "orchestrator", *arguments, home=tmp_path)
        assert by_module.returncode == by_package.returncode == code
        assert by_module.stdout == by_package.stdout
        as_module, as_package = f"python -m orchestrator.{command}", f"python -m orchestrator {command}"
        assert by_module.stderr.replace(as_module, as_package) == by_package.stderr


def test_a_mistake_is_one_line_from_the_script_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    code = cli.answer(lambda: console.main(["sweep", "methods.dpo.betta=1", "--dry-run"]))
    assert code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert "methods.dpo.betta" in (tmp_path / "runs/errors.log").read_text()


def test_only_the_chosen_command_is_imported(tmp_path: Path) -> None:
    script = "from orchestrator.console import main; main(['schema', '--out', 'schema.json'])"
    script = f"import os; os.chdir({str(tmp_path)!r}); {script}; import sys; print(*sys.modules)"
    loaded = set(python("-c", script, home=tmp_path).stdout.split())
    assert "orchestrator.schema" in loaded
    assert not loaded & {"orchestrator.sweep", "orchestrator.drill", "pandas", "ray", "mlflow", "torch"}
