import json
import shutil

import pytest

from medseg.cli import main
from medseg.stages import choose, pairs, ranking

FOLDS = "data.folds=2"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny):
    """Two cross-validated runs of different spacings."""
    folder = tmp_path_factory.mktemp("choose")
    (folder / "tiny.yaml").write_text(tiny)
    for name, words in (("fine", ()), ("coarse", ("plan.spacing=2",))):
        command = ["run", str(folder / "tiny.yaml"), FOLDS, f"run_dir={folder / name}", *words]
        assert main([*command, "--each-fold", "-q"]) == 0
    return folder


def test_runs_and_pairs_are_ranked_by_their_scores(cli_json, cli, runs, here):
    found = cli_json("choose", runs / "fine", runs / "coarse", "-o", "choice")
    assert json.loads((here / "choice" / "choice.json").read_text()) == found
    scores = [entry["dice"] for entry in found["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert found["best"] == found["candidates"][0]["runs"]
    by_runs = {tuple(entry["runs"]): entry["dice"] for entry in found["candidates"]}
    fine, coarse = str(runs / "fine"), str(runs / "coarse")
    assert set(by_runs) == {(fine,), (coarse,), (fine, coarse)}
    for name in ("fine", "coarse"):
        metrics = json.loads((runs / name / "metrics.json").read_text())
        assert by_runs[(str(runs / name),)] == metrics["mean"]["dice"]
    pair = json.loads(next((here / "choice").glob("*/metrics.json")).read_text())
    assert set(pair["cases"]) == set(metrics["cases"])
    assert set(pair["folds"]) == {"fold_0", "fold_1"}
    assert by_runs[(fine, coarse)] == pytest.approx(pair["mean"]["dice"])
    code, _, err = cli("choose", runs / "fine", runs / "coarse", "-o", "choice")
    assert code == 2 and "--overwrite" in err


def test_a_pair_predicts_each_case_with_networks_that_have_not_seen_it(runs, tmp_path, monkeypatch):
    splits = json.loads((runs / "fine" / "splits.json").read_text())
    asked = []

    def predict(both, cases, *_, **__):
        asked.append(both)
        assert sorted(case.id for case in cases) == splits[both]["val"]

    def load(paths, *, device, **_):
        fold = int(paths[0].name.removeprefix("fold_"))
        assert [path.name for path in paths] == [f"fold_{fold}"] * 2
        return Networks(fold)

    class Networks(int):
        members = (None, None)

    monkeypatch.setattr(pairs.Ensemble, "load", load)
    monkeypatch.setattr(pairs, "predict_cases", predict)
    monkeypatch.setattr(
        choose, "_score", lambda *_, **__: json.loads((runs / "fine" / "metrics.json").read_text())
    )
    paths = [runs / "fine", runs / "coarse"]
    found = choose.run(paths, tmp_path / "out", report=choose.Reporter(quiet=True))
    assert asked == [0, 1]
    # As good as the best single run, a pair is not worth its price.
    assert len(found["best"]) == 1 and found["gain"] is None and "--with" not in found["command"]


@pytest.mark.parametrize("better", [True, False])
def test_a_pair_is_chosen_where_it_is_better_and_its_gain_is_said(runs, better):
    single = json.loads((runs / "fine" / "metrics.json").read_text())
    pair = json.loads(json.dumps(single))
    for case in pair["cases"].values():
        for scores in case.values():
            scores["dice"] = min(1.0, (scores["dice"] or 0.0) + 0.1) if better else 0.0
    pair["mean"]["dice"] = (single["mean"]["dice"] or 0.0) + (0.1 if better else -0.1)
    one, two = (runs / "fine",), (runs / "fine", runs / "coarse")
    scores = {one: single, two: pair}
    ranked = sorted(scores, key=lambda names: -scores[names]["mean"]["dice"])
    found = ranking.choice(ranking.DICE, ranked, scores)
    assert (len(found["best"]) == 2) == better
    assert ("--with" in found["command"]) == better
    assert (found["gain"] is not None) == better


def test_a_run_with_a_fold_missing_is_refused(cli, runs, here):
    shutil.copytree(runs / "fine", here / "half")
    metrics = json.loads((here / "half" / "metrics.json").read_text())
    del metrics["folds"]["fold_1"]
    (here / "half" / "metrics.json").write_text(json.dumps(metrics))
    code, _, err = cli("choose", "half", runs / "coarse", "-o", "choice")
    assert code == 2 and "fold_1" in err and "--each-fold" in err


def test_runs_on_other_splits_are_refused(cli, runs, here):
    shutil.copytree(runs / "fine", here / "other")
    splits = json.loads((here / "other" / "splits.json").read_text())
    (here / "other" / "splits.json").write_text(json.dumps(splits[::-1]))
    code, _, err = cli("choose", runs / "coarse", "other", "-o", "choice")
    assert code == 2 and "different splits" in err
    code, _, err = cli("choose", runs / "coarse", "absent", "-o", "choice")
    assert code == 2 and "no such run" in err
    assert cli("choose", runs / "coarse", "-o", "choice")[0] == 2


def test_masks_of_the_best_pair_are_cleaned_as_they_need_it(cli, runs, here, phantom, monkeypatch):
    # Let the pair win, whatever two steps of training made of it.
    of = ranking.Measure.of
    monkeypatch.setattr(
        ranking.Measure, "of", lambda self, metrics: of(self, metrics) + ("pair" in metrics)
    )
    score = choose._score
    monkeypatch.setattr(choose, "_score", lambda *a, **k: {**score(*a, **k), "pair": True})
    code, _, err = cli("choose", runs / "fine", runs / "coarse", "-o", "choice")
    assert code == 0, err
    found = json.loads((here / "choice" / "choice.json").read_text())
    file = here / "choice" / "postprocessing.yaml"
    assert found["postprocessing"]["file"] == "choice/postprocessing.yaml" and file.is_file()
    assert "6 held-out cases of 2 folds" in file.read_text()
    assert "--postprocessing choice/postprocessing.yaml" in found["command"]
    words = found["command"].replace("IMAGES", str(phantom / "imagesTr")).split()[1:]
    assert cli(*words)[0] == 0


def test_the_choice_never_goes_into_a_file_or_a_run(cli, runs, here):
    shutil.copytree(runs / "fine", here / "fine")
    (here / "fine" / "postprocessing.yaml").write_text("mine")
    (here / "file").write_text("mine")
    for output, word in (("fine", "is a run"), ("file", "is a file")):
        words = ["choose", runs / "fine", runs / "coarse", "-o", output, "--overwrite"]
        code, _, err = cli(*words)
        assert code == 2 and word in err, err
    assert (here / "fine" / "postprocessing.yaml").read_text() == "mine"
    assert (here / "file").read_text() == "mine"


def test_a_run_is_not_paired_with_itself(cli, runs):
    code, _, err = cli("choose", runs / "fine", runs / "fine" / ".", "-o", "choice")
    assert code == 2 and "named twice" in err, err
