from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medseg.data.prepare.pool import map_cases
from medseg.errors import InputError, InputErrors, MedsegError


def double(number: int) -> int:
    if number < 0:
        raise InputError("negative", file=f"{number}.nii", found=str(number))
    if number == 99:
        raise ZeroDivisionError("ninety-nine")
    if number == 77:
        os._exit(9)
    return 2 * number


def jobs(*numbers: int) -> list:
    return [(f"case_{n}", (n,)) for n in numbers]


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_jobs(workers):
    seen = []
    out = map_cases(double, jobs(3, 1, 2), workers=workers, progress=lambda *p: seen.append(p))
    assert out == [6, 2, 4]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("workers", [0, 2])
def test_all_failing_cases_are_named_at_once(workers):
    with pytest.raises(InputErrors) as caught:
        map_cases(double, jobs(1, -5, 2, -6), workers=workers)
    assert [p.file for p in caught.value.problems] == ["-5.nii", "-6.nii"]
    assert "case case_-5: negative" in str(caught.value)


def test_one_failing_case_is_an_error_of_its_own():
    with pytest.raises(InputError, match="case_-5") as caught:
        map_cases(double, jobs(-5))
    assert not isinstance(caught.value, InputErrors)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fault_of_ours_names_the_case_and_keeps_its_traceback(workers):
    with pytest.raises(MedsegError, match="case_99: ZeroDivisionError: ninety-nine") as caught:
        map_cases(double, jobs(99), workers=workers)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not isinstance(caught.value, InputError)


def test_a_killed_worker_is_told_as_such():
    with pytest.raises(InputError, match="killed") as caught:
        map_cases(double, jobs(77), workers=2)
    assert "case_77" in str(caught.value)


def test_the_environment_is_put_back():
    before = dict(os.environ)
    map_cases(double, jobs(1), workers=2)
    assert dict(os.environ) == before


def linger(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def nap(seconds: float) -> None:
    time.sleep(seconds)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_pool as t\n"
        "if __name__ == '__main__':\n"
        "    jobs = [(str(i), (sys.argv[1],)) for i in range(4)]\n"
        "    t.map_cases(t.linger, jobs, workers=2)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    pids = tmp_path / "pids"
    pids.mkdir()
    here = str(Path(__file__).parent)
    parent = subprocess.Popen([sys.executable, str(script), str(pids), here, *sys.path])
    until = time.monotonic() + 60
    while len(list(pids.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = [int(p.name) for p in pids.iterdir()]
    parent.kill()
    parent.wait()
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(alive, workers))


def test_nothing_to_do_is_fine():
    assert map_cases(double, [], workers=4) == []


def run_script(tmp_path: Path, text: str) -> subprocess.Popen:
    script = tmp_path / "script.py"
    script.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(script), str(Path(__file__).parent), *sys.path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_script_without_a_guard_is_told_so(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import test_pool as t\n"
        "t.map_cases(t.double, t.jobs(1, 2, 3), workers=2)\n"
    )
    _, said = run_script(tmp_path, code).communicate(timeout=100)
    assert '__name__ == "__main__"' in said
    assert "memory" not in said
    assert "bootstrapping" not in said


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")
@pytest.mark.parametrize("after", [0.0, 0.3])
def test_ctrl_c_while_workers_start_leaves_no_traceback(tmp_path, after):
    code = (
        "import signal, sys; sys.path[:0] = sys.argv[1:]\n"
        "import test_pool as t\n"
        "if __name__ == '__main__':\n"
        # What a shell runs in the background is born deaf to Ctrl-C.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    print('ready', flush=True)\n"
        "    try:\n"
        "        t.map_cases(t.nap, [(str(i), (0.1,)) for i in range(99)], workers=2)\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped')\n"
    )
    process = run_script(tmp_path, code)
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    # To all processes, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=100)
    assert (out, said) == ("stopped\n", "")
