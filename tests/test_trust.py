import sys

import pytest

from medseg.errors import InputError
from medseg.trust import trusted_class


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_own.py").write_text("class Good(dict):\n    pass\n\nvalue = 1\n")
    (tmp_path / "their_broken.py").write_text("import not_installed_anywhere\n")
    yield
    sys.modules.pop("their_own", None)


def test_a_class_of_a_trusted_package_is_imported(package):
    found = trusted_class(
        "their_own:Good", dict, base_name="dict", trust=["their_own"], what="mapping"
    )
    assert issubclass(found, dict)


def test_nothing_of_an_untrusted_package_is_imported(package):
    with pytest.raises(InputError, match="--trust their_own"):
        trusted_class("their_own:Good", dict, base_name="dict", trust=["other"], what="mapping")
    assert "their_own" not in sys.modules


@pytest.mark.parametrize("name", ["their_own:value", "their_own:Absent", "their_own:"])
def test_what_is_no_such_class_is_refused(package, name):
    with pytest.raises(InputError, match=r"expected: a subclass of dict"):
        trusted_class(name, dict, base_name="dict", trust=["their_own"], what="mapping")


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(InputError, match="is not there"):
        trusted_class(
            "their_absent.part:X", dict, base_name="dict", trust=["their_absent"], what="mapping"
        )


def test_what_the_users_module_fails_to_import_is_named(package):
    with pytest.raises(InputError, match="not_installed_anywhere"):
        trusted_class(
            "their_broken:X", dict, base_name="dict", trust=["their_broken"], what="mapping"
        )
