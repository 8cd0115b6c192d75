from __future__ import annotations

import hashlib
import hmac
import stat

from medseg.tracking.case_names import CaseNames


def test_unhashed_names_are_the_ids(tmp_path):
    names = CaseNames(tmp_path, hashed=False)
    assert names("patient_7") == "patient_7"
    assert names.in_data({"patient_7": 1}, ["patient_7"]) == {"patient_7": 1}
    assert not list(tmp_path.iterdir())


def test_pseudonym_is_a_keyed_hash_that_lasts(tmp_path):
    name = CaseNames(tmp_path, hashed=True)("patient_7")
    key = bytes.fromhex((tmp_path / "case_key").read_text())
    expected = hmac.new(key, b"patient_7", hashlib.sha256).hexdigest()[:12]
    assert name == f"case-{expected}" == CaseNames(tmp_path, hashed=True)("patient_7")
    assert stat.S_IMODE((tmp_path / "case_key").stat().st_mode) == 0o600


def test_another_folder_has_another_key(tmp_path):
    one, two = (CaseNames(tmp_path / part, hashed=True)("patient_7") for part in "ab")
    assert one != two


def test_ids_vanish_from_keys_and_paths(tmp_path):
    names = CaseNames(tmp_path, hashed=True)
    data = {"cases": {"p_1": {"dice": 0.5}, "p_10": {"file": "/d/p_10.nii.gz"}}, "n": [1, "p_1"]}
    hidden = names.in_data(data, ["p_1", "p_10"])
    assert set(hidden["cases"]) == {names("p_1"), names("p_10")}
    assert hidden["cases"][names("p_10")]["file"] == f"/d/{names('p_10')}.nii.gz"
    assert hidden["n"] == [1, names("p_1")]
    assert "p_1" not in str(hidden)
