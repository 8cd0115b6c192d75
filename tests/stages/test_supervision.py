import subprocess
import sys
import time

import pytest

from medseg.errors import InputError, Interrupted
from medseg.ranks import AnotherRankFailed
from medseg.stages import supervision
from medseg.stages.supervision import failure_file, reporting, supervise

ENDLESS = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(supervision, "_LAST_WORDS_SECONDS", 0.5)


@pytest.fixture
def start(tmp_path):
    """Start a process for each piece of code; FOLDER stands for where they note failures."""
    started = []

    def start(*codes):
        for code in codes:
            command = [sys.executable, "-c", code.replace("FOLDER", repr(str(tmp_path)))]
            started.append(subprocess.Popen(command, start_new_session=True))
        return started

    yield start
    for process in started:
        process.kill()
        process.wait()


def note(folder, number, error):
    def fail():
        raise error

    return reporting(fail, failure_file(folder, number))


def test_all_done_is_done(start, tmp_path):
    supervise(start("pass", "pass"), tmp_path, [None, None])


def test_the_one_that_failed_ends_the_others_in_its_own_words(start, tmp_path):
    note(tmp_path, 1, InputError("the loss became nan", remedy="look"))
    began = time.monotonic()
    with pytest.raises(InputError, match="the loss became nan") as caught:
        supervise(start(ENDLESS, "raise SystemExit(2)"), tmp_path, [None, None])
    assert "remedy: look" in str(caught.value)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("others", [AnotherRankFailed("gone"), RuntimeError("in a collective")])
def test_what_followed_from_a_failure_does_not_hide_it(start, tmp_path, others):
    note(tmp_path, 0, others)
    note(tmp_path, 1, InputError("a case is missing"))
    with pytest.raises(InputError, match="a case is missing"):
        supervise(start("exit(1)", "exit(2)"), tmp_path, [None, None])


def test_a_fault_comes_with_its_traceback(start, tmp_path):
    assert note(tmp_path, 1, ZeroDivisionError("by what?")) == 1
    with pytest.raises(RuntimeError, match=r"process 1 of 2.*\n(.*\n)+.*by what\?"):
        supervise(start(ENDLESS, "exit(1)"), tmp_path, [None, None])


def test_one_that_was_killed_is_named_with_the_usual_reason(start, tmp_path):
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(InputError, match="SIGKILL") as caught:
        supervise(start(ENDLESS, killed), tmp_path, [None, tmp_path / "1.log"])
    assert "memory ran out" in str(caught.value) and "1.log" in str(caught.value)


def test_one_that_does_not_listen_is_killed(start, tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "_TERM_SECONDS", 0.5)
    deaf = (
        "import pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(FOLDER, 'deaf').touch()\ntime.sleep(60)"
    )
    wait = "import pathlib, time\nwhile not pathlib.Path(FOLDER, 'deaf').exists(): time.sleep(.05)"
    processes = start(deaf, f"{wait}\nexit(2)")
    with pytest.raises(InputError, match="exit code 2"):
        supervise(processes, tmp_path, [None, None])
    assert all(process.returncode is not None for process in processes)


def test_a_request_to_stop_is_passed_on_and_waited_for(start, tmp_path, monkeypatch):
    polite = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(.3); pathlib.Path(FOLDER, 'NAME').touch(); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(FOLDER, 'readyNAME').touch()\ntime.sleep(60)"
    )
    processes = start(*[polite.replace("NAME", str(i)) for i in range(2)])

    def interrupt(_):
        if len(list(tmp_path.glob("ready*"))) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(supervision, "time", type("T", (), {"sleep": staticmethod(interrupt)}))
    with pytest.raises(KeyboardInterrupt):
        supervise(processes, tmp_path, [None, None])
    assert (tmp_path / "0").exists() and (tmp_path / "1").exists()


def test_one_that_was_interrupted_is_no_failure(start, tmp_path):
    assert note(tmp_path, 0, Interrupted("stopped by SIGTERM after step 3")) == 130
    note(tmp_path, 1, AnotherRankFailed("gone"))
    with pytest.raises(Interrupted, match="after step 3"):
        supervise(start("exit(130)", "exit(1)"), tmp_path, [None, None])
