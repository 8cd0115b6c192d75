from __future__ import annotations

import hashlib
import socket
import tarfile
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from medseg.data import download as module
from medseg.data.download import TASKS, download
from medseg.errors import InputError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve an archive of one task from this machine in place of MONAI's address."""
    from monai.apps import DecathlonDataset

    served = tmp_path / "served"
    task = served / "Task04_Hippocampus"
    task.mkdir(parents=True)
    (task / "dataset.json").write_text("{}")
    archive = served / "Task04_Hippocampus.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(task, arcname=task.name)
    http = HTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address = f"http://127.0.0.1:{http.server_port}/Task04_Hippocampus.tar"
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(DecathlonDataset.resource, "Task04_Hippocampus", address)
    monkeypatch.setitem(DecathlonDataset.md5, "Task04_Hippocampus", digest)
    yield DecathlonDataset
    http.shutdown()
    http.server_close()


def test_an_unknown_task_gets_a_suggestion_at_once():
    with pytest.raises(InputError, match="did you mean 'Task04_Hippocampus'"):
        download("Task04_Hipocampus")


def test_an_existing_folder_is_refused(tmp_path):
    (tmp_path / "Task09_Spleen").mkdir()
    with pytest.raises(InputError, match="exists already"):
        download("Task09_Spleen", tmp_path)


def test_the_tasks_are_those_of_monai():
    from monai.apps import DecathlonDataset

    assert tuple(DecathlonDataset.resource) == TASKS
    assert tuple(DecathlonDataset.md5) == TASKS


def test_a_task_is_fetched_checked_and_unpacked(tmp_path, server):
    folder = download("Task04_Hippocampus", tmp_path / "out", progress=False)
    assert folder == tmp_path / "out" / "Task04_Hippocampus"
    assert (folder / "dataset.json").read_text() == "{}"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["Task04_Hippocampus"]


def test_a_damaged_download_is_refused_and_nothing_stays(tmp_path, server, monkeypatch):
    monkeypatch.setitem(server.md5, "Task04_Hippocampus", "0" * 32)
    with pytest.raises(InputError, match="checksum differs"):
        download("Task04_Hippocampus", tmp_path / "out" / "deep", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_file_that_the_server_lacks_is_said(tmp_path, server, monkeypatch):
    address = server.resource["Task04_Hippocampus"].replace("Task04", "Task99")
    monkeypatch.setitem(server.resource, "Task04_Hippocampus", address)
    with pytest.raises(InputError, match="server refuses") as error:
        download("Task04_Hippocampus", tmp_path / "out", progress=False)
    assert "404" in error.value.found


def test_no_internet_is_explained_and_leaves_nothing(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    from monai.apps import DecathlonDataset

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(DecathlonDataset.resource, "Task02_Heart", f"http://127.0.0.1:{port}/a.tar")
    with pytest.raises(InputError, match="no internet") as error:
        download("Task02_Heart", tmp_path / "out")
    assert "medseg phantom" in error.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_connection_that_breaks_is_explained(tmp_path, server, monkeypatch):
    monkeypatch.setattr(module, "_require_server", lambda *args: None)
    monkeypatch.setitem(server.resource, "Task04_Hippocampus", "http://127.0.0.1:9/Task04_H.tar")
    with pytest.raises(InputError, match="cannot be reached"):
        download("Task04_Hippocampus", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
