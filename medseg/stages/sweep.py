"""``sweep``: many short trainings over a space of values, and the best of them."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medseg.data.feed.seeds import mix
from medseg.errors import InputError, InputErrors, Interrupted
from medseg.recipe.space import Choice, Dimension
from medseg.stages.reporter import Reporter
from medseg.stages.side_by_side import INTERRUPTED, Process, end, failure, tell
from medseg.stages.sweep_folder import SweepFolder

Start = Callable[[int, Mapping[str, Any], Any], tuple[Process, Path]]
"""Starts a trial: its number, its values by dotted key, its place; gives process and log."""

# Trials to see before one is given up: the median of fewer says little.
_TRIALS_BEFORE_PRUNING = 4
_PAUSE = 0.5
_TELL_SECONDS = 60.0


@dataclass
class _Running:
    trial: Any  # of Optuna
    place: Any
    log: Path
    told: int = 0  # validations that Optuna knows of
    pruned: bool = False
    scores: list[float] = field(default_factory=list)


def run(
    folder: SweepFolder,
    start: Start,
    *,
    trials: int,
    places: Sequence[Any],
    seed: int,
    report: Reporter,
) -> list[dict[str, Any]]:
    """Run trials until there are so many, those of earlier sessions included.

    A trial's score is the best of its validations, by mean Dice or, of a detection, mAP; one whose
    best so far lies below the median of what the others had at the same validation is given up
    (median stopping, Golovin et al., KDD 2017). Values are proposed by a tree-structured Parzen
    estimator (Bergstra et al., NeurIPS 2011). What a killed session left unfinished goes on.

    Args:
        folder: of the sweep.
        start: starts a trial.
        trials: how many in all.
        places: where they run, one at a time each.
        seed: of what is proposed.
        report: told what begins, ends and fails.

    Returns:
        All trials, best first; see `table_of`.

    Raises:
        InputError: Optuna is missing, or the record of trials is broken; `InputErrors`: no trial
            could be trained.
        Interrupted: a trial was stopped, or this process was; the same command goes on.
    """
    study = _study(folder, seed, parallel=len(places) > 1)
    free, running = list(places), {}
    unfinished = [t for t in study.trials if t.state.name == "RUNNING"]
    failed: list[InputError] = []
    told = time.monotonic()
    try:
        while True:
            while free and (unfinished or len(study.trials) < trials):
                trial = _again(study, unfinished.pop(0)) if unfinished else study.ask()
                place = free.pop(0)
                values = _values(trial, folder.subject.space)
                process, log = start(trial.number, values, place)
                known = study.trials[trial.number].intermediate_values
                running[process] = _Running(trial, place, log, told=len(known))
                report.say(f"trial {trial.number}: {_words(values)}; log: {log}")
            if not running:
                break
            for process, one in list(running.items()):
                code = process.poll()
                _look(one, folder, process, report)
                if code is not None:
                    del running[process]
                    free.append(one.place)
                    if error := _ended(study, one, code, report, folder.score_title):
                        failed.append(error)
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                tell({f"trial {o.trial.number}": o.log for o in running.values()}, report=report)
            time.sleep(_PAUSE)
    finally:
        end(running)
    found = table_of(study, folder.score_key)
    folder.write_trials(found)
    if not any(one[folder.score_key] is not None for one in found):
        raise InputErrors(failed or [InputError("no trial of this sweep has a score")])
    return found


def require_optuna() -> None:
    """Say what is missing before anything starts.

    Raises:
        InputError: Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise InputError(
            "medseg sweep needs Optuna, which is not installed",
            remedy="pip install 'medseg[sweep]', or pip install optuna",
        )


def table_of(study: Any, key: str = "dice") -> list[dict[str, Any]]:
    """List the trials of a study, best first: number, state, score, validations, values.

    Args:
        study: of Optuna.
        key: what the score is called.
    """
    rows = []
    for trial in study.trials:
        scores = list(trial.intermediate_values.values())
        rows.append(
            {
                "trial": trial.number,
                "state": {"COMPLETE": "done", "PRUNED": "given up", "FAIL": "failed"}.get(
                    trial.state.name, "unfinished"
                ),
                key: max(scores, default=trial.value),
                "validations": len(scores),
                "values": {key: _decoded(value) for key, value in trial.params.items()},
            }
        )
    return sorted(rows, key=lambda row: -1.0 if row[key] is None else row[key], reverse=True)


def best_of(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the best of the trials that went to their end; of all, where none did."""
    done = [row for row in found if row["state"] == "done"]
    return (done or list(found))[0]


def show(report: Reporter, found: Sequence[Mapping[str, Any]], folder: SweepFolder) -> None:
    """Print the table of trials."""
    key = folder.score_key
    keys = list(dict.fromkeys(name for row in found for name in row["values"]))
    rows = [
        (
            row["trial"],
            row["state"],
            "" if row[key] is None else f"{row[key]:.4f}",
            *[_word(row["values"].get(name)) for name in keys],
        )
        for row in found
    ]
    report.table("", ("trial", "state", folder.score_title, *keys), rows)


def _study(folder: SweepFolder, seed: int, *, parallel: bool) -> Any:
    require_optuna()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    from sqlalchemy.exc import DatabaseError

    try:
        study = optuna.create_study(
            storage=folder.storage, study_name="sweep", direction="maximize", load_if_exists=True
        )
    except DatabaseError as error:
        raise InputError(
            "the record of this sweep's trials cannot be read or written",
            file=folder.path / "study.db",
            found=str(error.orig),
            remedy="start over with --overwrite, or choose another folder with -o",
        ) from error
    # Begun anew with the same seed, it would propose what it has proposed before.
    study.sampler = optuna.samplers.TPESampler(
        seed=mix(seed, len(study.trials)) % 2**32, constant_liar=parallel
    )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_TRIALS_BEFORE_PRUNING)
    return study


def _again(study: Any, frozen: Any) -> Any:
    """Take up a trial that a killed session left; it keeps its values."""
    import optuna

    return optuna.trial.Trial(study, frozen._trial_id)


def _values(trial: Any, space: Sequence[Dimension]) -> dict[str, Any]:
    """Let Optuna propose a value for every key. Choices are JSON: they may be mappings."""
    values: dict[str, Any] = {}
    for one in space:
        if isinstance(one, Choice):
            chosen = trial.suggest_categorical(one.key, [json.dumps(v) for v in one.values])
            values[one.key] = json.loads(chosen)
        elif one.whole:
            step = 1 if one.step is None else int(one.step)
            values[one.key] = trial.suggest_int(
                one.key, int(one.low), int(one.high), log=one.log, step=step
            )
        else:
            found = trial.suggest_float(one.key, one.low, one.high, log=one.log, step=one.step)
            values[one.key] = found
    return values


def _look(one: _Running, folder: SweepFolder, process: Process, report: Reporter) -> None:
    """Tell Optuna what validations have found, and end a trial that is not worth its time."""
    one.scores = folder.scores(one.trial.number)
    for number in range(one.told, len(one.scores)):
        # The best so far: a validation that is worse by chance shall not end a good trial.
        one.trial.report(max(one.scores[: number + 1]), number + 1)
        one.told = number + 1
        if not one.pruned and process.returncode is None and one.trial.should_prune():
            one.pruned = True
            report.say(f"trial {one.trial.number}: given up, {max(one.scores):.4f}")
            process.terminate()


def _ended(study: Any, one: _Running, code: int, report: Reporter, title: str) -> InputError | None:
    import optuna

    states, number = optuna.trial.TrialState, one.trial.number
    if one.pruned:
        study.tell(one.trial, state=states.PRUNED)
    elif code == INTERRUPTED:
        raise Interrupted(f"trial {number} was stopped; the same command goes on with it")
    elif code or not one.scores:
        study.tell(one.trial, state=states.FAIL)
        error = failure(f"trial {number} could not be trained", one.log)
        report.warn(str(error))
        return error
    else:
        study.tell(one.trial, max(one.scores))
        report.say(f"trial {number}: {title} {max(one.scores):.4f}")
    return None


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_word(value)}" for key, value in values.items())


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)
