import shlex
import shutil

import pytest

from medseg.recipe import load
from medseg.stages import commands
from medseg.stages.run_folder import RunFolder


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text("run_dir: my run\n")
    folder = RunFolder(load("r.yaml"))
    folder.begin()
    return folder.path


def test_names_with_spaces_are_one_word_of_a_command(run):
    words = ["medseg", "predict", "my run", "IMAGES", "-o", "MASKS"]
    assert shlex.split(commands.predict(run)) == words
    words = ["medseg", "run", "my run/recipe.yaml", "--each-fold"]
    assert shlex.split(commands.run_again(run, "--each-fold")) == words


@pytest.mark.parametrize("name", ["moved", "moved: é 2", "true"])
def test_a_run_that_was_moved_goes_on_where_it_lies_now(run, tmp_path, name):
    moved = shutil.move(run, tmp_path / name)
    *_, recipe, place = shlex.split(commands.run_again(moved))
    assert load(recipe, [place]).run_dir == str(moved)


def test_of_a_recipe_that_cannot_be_read_the_file_is_named(tmp_path):
    assert str(tmp_path) in commands.run_again(tmp_path)
