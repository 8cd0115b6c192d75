"""From what a recipe says about logging to Lightning's loggers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError
from medseg.tracking.options import OPTIONS

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

Spec = Sequence["str | tuple[str, Mapping[str, Any]] | Logger"]


def build_loggers(
    spec: Spec,
    folder: str | Path,
    *,
    config: Mapping[str, Any],
    run_name: str,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> list[Logger]:
    """Open the loggers of one training.

    Args:
        spec: names (``none``, ``csv``, ``tensorboard``, ``wandb``), pairs of a name and its
            options, or Lightning loggers that are ready.
        folder: of the fold; each logger writes below it.
        config: plain containers that describe the run, such as ``{"recipe": …, "plan": …}``. They
            may be sent: pass the recipe with ``${VAR}`` unexpanded.
        run_name: shown by W&B.
        resume: go on where an earlier session stopped: same table, same W&B run.
        say: receives one line for each thing the user should know.

    Raises:
        InputError: an unknown logger or option.
    """
    folder = Path(folder)
    # All options are checked before the first logger opens anything.
    chosen = [pair for item in spec if (pair := _chosen(item)) is not None]
    loggers: list[Logger] = []
    for name, options in chosen:
        if name == "":
            loggers.append(options)
        elif name == "csv":
            from medseg.tracking.csv_logger import CsvLogger

            loggers.append(CsvLogger(folder, resume=resume))
        elif name == "tensorboard":
            from medseg.tracking.tensorboard_logger import TensorBoardLogger

            board = TensorBoardLogger(folder, config=config, options=options)
            board.log_config()
            loggers.append(board)
        else:
            from medseg.tracking.wandb_logger import WandbLogger

            loggers.append(
                WandbLogger(
                    folder,
                    config=config,
                    run_name=run_name,
                    options=options,
                    resume=resume,
                    say=say,
                )
            )
    return loggers


def close_loggers(loggers: Iterable[Logger], *, failed: bool = False) -> None:
    """Finish what the loggers hold open, so that the next training starts its own."""
    for logger in loggers:
        if hasattr(logger, "close"):
            logger.close(failed=failed)
        else:
            logger.finalize("failed" if failed else "success")


def _chosen(item: Any) -> tuple[str, Any] | None:
    """Return a name and its options, ``("", logger)`` for one that is ready, ``None`` for none."""
    if isinstance(item, str):
        item = (item, {})
    if not isinstance(item, tuple):
        return "", item
    name, given = item
    return None if name == "none" else (name, _options(name, given))


def _options(name: str, given: Mapping[str, Any]) -> Any:
    if name not in OPTIONS:
        raise InputError(
            f"there is no logger {name!r}",
            expected=f"one of {', '.join(['none', *OPTIONS])}",
        )
    try:
        return OPTIONS[name](**given)
    except TypeError as error:
        raise InputError(
            f"the logger {name} does not take these options",
            expected=", ".join(field.name for field in fields(OPTIONS[name])) or "none",
            found=", ".join(given) or str(error),
        ) from error
