"""Open a W&B run without ever asking, and without failing for want of a server."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medseg.tracking.options import WandbOptions
from medseg.tracking.wandb_mode import Mode, choose_mode

ID_FILE = "wandb_id"
_CONNECT_SECONDS = 30.0


def open_run(
    folder: Path,
    *,
    config: Mapping[str, Any],
    name: str,
    project: str,
    options: WandbOptions,
    resume: bool,
    say: Callable[[str], None],
) -> Any:
    """Return an open ``wandb.Run`` whose files lie below ``folder/wandb``.

    Without a key, or when the server does not take it, the run is offline and ``say`` hears why.
    """
    mode, reason = choose_mode(offline=options.offline)
    import wandb

    def start(mode: Mode, run_id: str) -> Any:
        return wandb.init(
            project=project,
            entity=options.entity,
            group=options.group,
            tags=list(options.tags),
            notes=options.notes,
            name=name,
            id=run_id,
            dir=str(folder),
            config=dict(config),
            allow_val_change=True,
            mode=mode,
            resume="allow",
            # A run of the user's own may be open in this process.
            reinit="create_new",
            # The command line, the console and the repository may hold what the recipe leaves
            # unexpanded: secrets, paths, names of patients.
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                x_disable_meta=True,
                init_timeout=_CONNECT_SECONDS,
            ),
        )

    run_id = _run_id(folder, resume=resume)
    try:
        with _no_keyboard():
            run = start(mode, run_id)
    except wandb.Error as error:
        if mode != "online":
            raise
        mode, reason = "offline", f"the server did not take the run: {_first_line(error)}"
        # The attempt left the id in use; only wandb's end gives it back.
        if wandb.run is None:
            wandb.teardown()
        else:
            run_id = _run_id(folder, resume=False)
        run = start(mode, run_id)
    if mode == "offline":
        why = f": {reason}" if reason else ""
        say(f"W&B: offline{why}; to send it later: wandb sync {folder}/wandb/offline-run-*")
    elif mode == "online":
        say(f"W&B: {run.url}")
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


@contextlib.contextmanager
def _no_keyboard() -> Iterator[None]:
    """Hide the terminal: where wandb cannot ask for a key, it raises an error instead."""
    before = sys.stdin
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before


def _run_id(folder: Path, *, resume: bool) -> str:
    file = folder / ID_FILE
    if resume and file.is_file() and (known := file.read_text(encoding="ascii").strip()):
        return known
    run_id = secrets.token_hex(4)
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    beside.write_text(run_id + "\n", encoding="ascii")
    beside.replace(file)
    return run_id


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
