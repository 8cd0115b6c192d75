from __future__ import annotations

import pickle

from medseg.errors import InputError, InputErrors, MedsegError


def test_message_names_file_expectation_finding_and_remedy():
    error = InputError("bad", file="a.nii", expected="x", found="y", remedy="z")
    assert str(error).splitlines() == ["a.nii: bad", "  expected: x", "  found: y", "  remedy: z"]


def test_a_message_without_details_is_one_line():
    assert str(InputError("bad")) == "bad"


def test_input_error_is_a_value_error_and_ours():
    assert isinstance(InputError("bad"), ValueError)
    assert isinstance(InputError("bad"), MedsegError)


def test_errors_survive_the_border_between_processes():
    error = InputErrors([InputError("one", file="a", found="y"), "two"])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InputErrors
    assert str(copy) == str(error)
    assert [p.file for p in copy.problems] == ["a", None]


def test_several_errors_are_told_together():
    text = str(InputErrors([InputError("one", file="a"), InputError("two", file="b")]))
    assert "a: one" in text
    assert "b: two" in text
