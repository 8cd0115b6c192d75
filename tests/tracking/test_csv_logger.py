from __future__ import annotations

import csv

from medseg.tracking.csv_logger import CsvLogger


def rows(folder):
    with (folder / "progress.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_rows_of_one_step_are_one_row_and_columns_may_come_later(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_metrics({"train/loss": 1.0, "epoch": 0}, step=1)
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=2)
    logger.log_metrics({"val/dice": 0.8, "epoch": 0}, step=2)
    assert rows(tmp_path) == [
        {"step": "1", "epoch": "0", "train/loss": "1.0"},
        {"step": "2", "epoch": "0", "train/loss": "0.5", "val/dice": "0.8"},
    ]


def test_resuming_appends_and_drops_what_will_be_logged_again(tmp_path):
    first = CsvLogger(tmp_path)
    for step in range(5):
        first.log_metrics({"train/loss": float(step)}, step=step)
    resumed = CsvLogger(tmp_path, resume=True)
    assert len(rows(tmp_path)) == 5
    resumed.log_metrics({"train/loss": 30.0}, step=3)
    resumed.log_metrics({"train/loss": 40.0}, step=4)
    assert [row["train/loss"] for row in rows(tmp_path)] == ["0.0", "1.0", "2.0", "30.0", "40.0"]


def test_a_row_cut_off_by_a_kill_is_forgotten(tmp_path):
    (tmp_path / "progress.csv").write_text("step,epoch,a,b\n1,0,1.0,2.0\n2,0,1.")
    CsvLogger(tmp_path, resume=True).log_metrics({"a": 9.0}, step=2)
    assert rows(tmp_path) == [
        {"step": "1", "epoch": "0", "a": "1.0", "b": "2.0"},
        {"step": "2", "a": "9.0"},
    ]


def test_a_new_training_starts_a_new_table(tmp_path):
    CsvLogger(tmp_path).log_metrics({"a": 1.0}, step=7)
    CsvLogger(tmp_path).log_metrics({"a": 2.0}, step=1)
    assert rows(tmp_path) == [{"step": "1", "a": "2.0"}]


def test_infinite_and_undefined_values_are_kept(tmp_path):
    CsvLogger(tmp_path).log_metrics({"a": float("nan"), "b": float("inf")}, step=1)
    CsvLogger(tmp_path, resume=True).log_metrics({"a": 1.0}, step=2)
    assert rows(tmp_path)[0] == {"step": "1", "a": "nan", "b": "inf"}
