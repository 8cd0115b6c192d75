"""What a finished training leaves with the trackers that keep files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


def log_artifacts(
    loggers: Iterable[Logger],
    *,
    checkpoint: Path | None = None,
    metrics: Path | None = None,
    transfer: Path | None = None,
) -> None:
    """Hand the best checkpoint and JSON files to W&B; files that are absent are left out.

    Loggers that keep no files are passed over. With ``hash_cases`` the metrics are sent with
    pseudonyms in place of case ids; the means also go into the run's own summary. A detection's
    ``froc.png``, beside the metrics, is shown.
    """
    from medseg.tracking.wandb_logger import WandbLogger

    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        if checkpoint is not None and checkpoint.is_file() and logger.options.log_checkpoint:
            logger.log_file(checkpoint, kind="model")
        if metrics is not None and metrics.is_file():
            _log_metrics(logger, metrics)
        if transfer is not None and transfer.is_file():
            logger.log_file(transfer, kind="transfer")


def _log_metrics(logger: Any, path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    summary = {name: data[name] for name in ("mean", "per_class") if name in data}
    if "mean" in (kept := data.get("kept") or {}):
        summary["kept"] = {name: kept[name] for name in ("mean", "working")}
    summary = _named_sensitivities(summary, data.get("fps", ()))
    logger.log_summary(flattened(summary, prefix="metrics/"))
    if (picture := path.with_name("froc.png")).is_file():
        logger.log_image("froc", [str(picture)])
    if not logger.case_names.hashed:
        logger.log_file(path, kind="metrics")
        return
    # Ids are not looked for in lists of scores, whose digits may be an id.
    boxes = {logger.case_names(case): of for case, of in data.pop("boxes", {}).items()}
    hidden = logger.case_names.in_data(data, data.get("cases", {}))
    hidden |= {"boxes": boxes} if boxes else {}
    # Beside the run's other files: W&B reads it again when an offline run is sent.
    folder = Path(tempfile.mkdtemp(prefix="metrics-", dir=logger.experiment.dir))
    copy = folder / "metrics.json"
    copy.write_text(json.dumps(hidden, indent=1), encoding="utf-8")
    logger.log_file(copy, kind="metrics")


def _named_sensitivities(tree: Any, fps: Sequence[float]) -> Any:
    """Give sensitivities the false positives per case that they are at as names."""
    if not isinstance(tree, Mapping):
        return tree
    out = {name: _named_sensitivities(value, fps) for name, value in tree.items()}
    if isinstance(values := tree.get("sensitivity"), list):
        out["sensitivity"] = {f"{at:g}": one for at, one in zip(fps, values, strict=True)}
    return out


def flattened(tree: Mapping[str, Any], *, prefix: str = "") -> dict[str, float]:
    """Return the numbers of nested mappings under joined names: ``{"a": {"b": 1}}`` -> ``a/b``."""
    out: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            out |= flattened(value, prefix=f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out[f"{prefix}{name}"] = value
    return out
