import signal
import subprocess
import sys

import pytest

START = "from medseg.cli.leash import end_with_starter\nend_with_starter()\n"


@pytest.fixture
def start():
    started = []

    def start(code):
        command = [sys.executable, "-c", START + code]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_a_process_ends_once_nobody_holds_its_standard_input(start):
    process = start("import time\ntime.sleep(60)")
    process.stdin.close()
    assert process.wait(30) == -signal.SIGTERM


def test_one_that_is_done_ends_in_peace_while_its_starter_lives(start):
    process = start("")
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
