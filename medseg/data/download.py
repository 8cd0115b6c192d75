"""Download a task of the Medical Segmentation Decathlon through MONAI, with its checksum."""

from __future__ import annotations

import errno
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from medseg.errors import InputError, did_you_mean

TASKS = (
    "Task01_BrainTumour",
    "Task02_Heart",
    "Task03_Liver",
    "Task04_Hippocampus",
    "Task05_Prostate",
    "Task06_Lung",
    "Task07_Pancreas",
    "Task08_HepaticVessel",
    "Task09_Spleen",
    "Task10_Colon",
)


def download(
    task: str, out: str | Path = ".", *, progress: bool = True, timeout: float = 20.0
) -> Path:
    """Download and unpack one task into ``out/<task>``.

    The address and the MD5 sum are those of `monai.apps.DecathlonDataset`. The archive is fetched
    and unpacked beside the target, which then appears whole.

    Args:
        task: one of `TASKS`.
        out: the folder that will hold the task's folder.
        progress: show a progress bar.
        timeout: seconds to wait for the server's first answer.

    Returns:
        The task's folder.

    Raises:
        InputError: an unknown task, the folder exists, the server cannot be reached, the checksum
            differs, or the disk is full.
    """
    if task not in TASKS:
        raise InputError(
            f"no task {task!r}; {did_you_mean(task, TASKS)}".rstrip("; "),
            expected=", ".join(TASKS),
        )
    target = Path(out).expanduser() / task
    if target.exists():
        raise InputError(
            "exists already",
            file=target,
            remedy="use it as data.root, or remove it to download again",
        )
    from monai.apps import DecathlonDataset

    url, md5 = DecathlonDataset.resource[task], DecathlonDataset.md5[task]
    _require_server(url, timeout)
    made = _make_parents(target.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{task}.", dir=target.parent) as beside:
            _fetch(url, md5, Path(beside), progress)
            unpacked = Path(beside) / task
            if not (unpacked / "dataset.json").is_file():
                raise InputError("the archive holds no dataset.json", file=url)
            unpacked.rename(target)
    except BaseException:
        _remove_empty(made)
        raise
    return target


def _require_server(url: str, timeout: float) -> None:
    """Ask for the header first: MONAI's own request has no time limit."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return
    except urllib.error.HTTPError as error:
        raise InputError(
            "the server refuses the file", file=url, found=f"HTTP {error.code} {error.reason}"
        ) from error
    except OSError as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: BaseException) -> InputError:
    return InputError(
        "cannot be reached: this machine seems to have no internet",
        file=url,
        found=str(getattr(error, "reason", None) or error) or type(error).__name__,
        remedy="download it elsewhere, unpack it and point data.root at the folder; "
        "or work without a download: medseg phantom mr OUT",
    )


def _fetch(url: str, md5: str, folder: Path, progress: bool) -> None:
    from monai.apps.utils import HashCheckError, download_and_extract

    archive = folder / url.rpartition("/")[2]
    try:
        download_and_extract(
            url,
            filepath=archive,
            output_dir=folder,
            hash_val=md5,
            hash_type="md5",
            progress=progress,
        )
    except HashCheckError as error:
        raise InputError(
            "the download is damaged: its checksum differs",
            file=url,
            expected=f"MD5 {md5}",
            remedy="try again; nothing was kept",
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(folder).free / 2**30
            raise InputError(
                "the disk is full",
                file=folder.parent,
                found=f"{free:.1f} GiB free",
                remedy="the archive and its contents need room at once; nothing was kept",
            ) from error
        raise _unreachable(url, error) from error
    except Exception as error:
        # MONAI wraps what the network throws in bare Exception and RuntimeError.
        raise _unreachable(url, error) from error


def _make_parents(folder: Path) -> list[Path]:
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("cannot be made", file=folder, found=str(error.strerror)) from error
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
