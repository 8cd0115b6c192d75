import errno
import os
import shutil
import stat
import subprocess

import pytest
import torch

from medseg.errors import InputError
from medseg.training.checkpoint_io import AtomicCheckpointIO


def test_what_is_written_is_read_back_without_pickle(tmp_path):
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(3), "b": {"c": 1}}, tmp_path / "x.ckpt")
    state = AtomicCheckpointIO().load_checkpoint(tmp_path / "x.ckpt", weights_only=False)
    assert torch.equal(state["a"], torch.ones(3)) and state["b"] == {"c": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.ckpt"]


class Untold:
    def __reduce__(self):
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file_and_no_remains(tmp_path):
    io = AtomicCheckpointIO()
    io.save_checkpoint({"step": 1}, tmp_path / "x.ckpt")
    with pytest.raises(KeyboardInterrupt):
        io.save_checkpoint({"step": Untold()}, tmp_path / "x.ckpt")
    assert io.load_checkpoint(tmp_path / "x.ckpt") == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_file_system_that_cannot_sync_a_folder_keeps_the_checkpoint(tmp_path, monkeypatch):
    sync = os.fsync

    def refusing(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refusing)
    AtomicCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "x.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "x.ckpt") == {"step": 1}


def test_the_full_disk_behind_torchs_error_is_told(tmp_path, monkeypatch):
    def full(*_):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("PytorchStreamWriter failed writing file") from error

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="no space left on the disk"):
        AtomicCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "x.ckpt")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 2 MB, where the machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tiny_disk):
    io = AtomicCheckpointIO()
    io.save_checkpoint({"weights": torch.zeros(250_000)}, tiny_disk / "last.ckpt")
    with pytest.raises(InputError, match="no space left on the disk"):
        io.save_checkpoint({"weights": torch.ones(400_000)}, tiny_disk / "last.ckpt")
    assert float(io.load_checkpoint(tiny_disk / "last.ckpt")["weights"].sum()) == 0.0
    assert [p.name for p in tiny_disk.iterdir()] == ["last.ckpt"]
