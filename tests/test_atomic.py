import os
import subprocess
import sys

import pytest

from medseg.atomic import abandoned, is_temporary, locked, replacing, signature, sweep


def of_an_ended_process(path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    name = signature().replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    left = path.with_name(f".{path.name}.{name}.tmp")
    left.write_text("half")
    return left


def test_temporaries_of_ended_processes_are_swept_and_others_left(tmp_path):
    left = of_an_ended_process(tmp_path / "plan.yaml")
    with replacing(tmp_path / "recipe.yaml") as mine:
        mine.write_text("x")
        assert is_temporary(mine) and not abandoned(mine)
        sweep(tmp_path)
        assert mine.exists() and not left.exists()


def test_a_temporary_without_a_signature_is_swept_after_an_hour(tmp_path):
    left = tmp_path / ".progress.png.25778.tmp"
    left.write_text("")
    sweep(tmp_path)
    assert left.exists()
    os.utime(left, (0, 0))
    sweep(tmp_path)
    assert not left.exists()


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(TimeoutError), locked(tmp_path, patience=0):
        pass
    with locked(tmp_path, patience=0):
        pass
