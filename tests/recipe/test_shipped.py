import pytest

from medseg.recipe import shipped as package_function
from medseg.recipe.shipped import find, folder, headline, said, shipped


def test_package_offers_the_same_list():
    assert package_function() == shipped()


def test_recipes_are_found_by_path_and_by_last_part():
    assert find("quickstart") == [folder() / "quickstart.yaml"]
    (path,) = find("task04_hippocampus")
    assert find("segmentation/decathlon/task04_hippocampus.yaml") == [path]
    assert find("no_such_recipe") == []


@pytest.mark.parametrize("name", list(shipped()))
def test_recipe_opens_with_what_it_is_for(name):
    assert len(headline(shipped()[name])) > 10


def test_headline_is_the_first_line_of_the_comment(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("# yaml-language-server: $schema=x\n#\n# For this.\n# And that.\nseed: 1\n")
    assert headline(path) == "For this."
    path.write_text("seed: 1\n# no\n")
    assert headline(path) == ""


def test_what_is_said_behind_a_word_ends_at_the_next(tmp_path):
    path = tmp_path / "r.yaml"
    comment = "# For this.\n#   medseg run r\n# Data: here\n# and there.\n# Expected: .9\n"
    path.write_text(f"{comment}seed: 1\n# Licence: none\n")
    assert said(path, "Data") == "here and there."
    assert said(path, "Expected") == ".9"
    assert said(path, "Licence") == ""
