import json
import subprocess
import sys

import pytest

from medseg.cli import main
from medseg.data import phantoms

TINY = """\
# A tiny training for tests.
extends: base/mr
data: {{root: "{root}", workers: 0}}
plan: {{patch_size: [16, 16, 16], features: [4, 8], batch_size: 2}}
trainer: {{steps: 2}}
logger: none
seed: 7
"""


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """A Decathlon-layout phantom of six small cases."""
    folder = tmp_path_factory.mktemp("phantom") / "mr"
    phantoms.write("mr", folder, cases=6, seed=1, shape=(24, 28, 20))
    return folder


@pytest.fixture(scope="session")
def tiny(phantom):
    """The text of a recipe that trains on it in a moment."""
    return TINY.format(root=phantom)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tmp_path


@pytest.fixture
def recipe(here, tiny):
    path = here / "tiny.yaml"
    path.write_text(tiny)
    return path


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run medseg in this process: exit code, standard output, standard error."""
    # Processes of a test run tell each other the terminal's width.
    monkeypatch.setenv("COLUMNS", "160")

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def cli_json(cli):
    def run(*words):
        code, out, err = cli(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def medseg_process(*words, cwd, **options):
    """Start medseg in a process of its own."""
    command = [sys.executable, "-m", "medseg", *map(str, words)]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


@pytest.fixture
def process():
    return medseg_process
