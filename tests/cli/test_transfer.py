"""A recipe goes on from other weights: what is frozen stays, what fits is taken, all is said."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from medseg.cli import main

WORDS = ["trainer.steps=2", "optimizer={name: adamw, lr: 0.1}", "schedule=constant"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, tiny):
    """A finished training of two steps, with a plan of its own."""
    folder = tmp_path_factory.mktemp("pretrained")
    (folder / "tiny.yaml").write_text(tiny)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "tiny.yaml", "network.blocks_per_stage=2", "-q"]) == 0
    return folder / "runs" / "tiny"


BARE = """\
extends: base/mr
data: {{root: "{root}", workers: 0}}
plan: {{patch_size: [16, 16, 16], batch_size: 2}}
logger: none
seed: 8
"""


@pytest.fixture
def bare(here, phantom):
    """A recipe that leaves network and features to the weights."""
    path = here / "bare.yaml"
    path.write_text(BARE.format(root=phantom))
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, phantom, pretrained):
    """A finished fine-tuning of everything, each stage at half the next one's rate."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "bare.yaml").write_text(BARE.format(root=phantom))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = [*WORDS, transfer(pretrained, lr_decay=0.5), "-q"]
        assert main(["fit", "bare.yaml", *words]) == 0
    return folder / "runs" / "bare"


def load(run, name="last"):
    return torch.load(run / "fold_0" / "checkpoints" / f"{name}.ckpt", weights_only=True)


def weights_of(content, prefix):
    state = content["state_dict"]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def said(run):
    return json.loads((run / "fold_0" / "transfer.json").read_text())


def transfer(source, **more):
    return f"transfer={json.dumps({'from': str(source), **more})}"


def test_the_small_regime_leaves_all_but_the_head_as_it_was(cli, here, bare, pretrained):
    code, out, err = cli("fit", bare, *WORDS, transfer(pretrained, regime="small"))
    assert code == 0, err
    run = here / "runs" / "bare"
    before = weights_of(load(pretrained, "best"), "averaged.module.")
    for prefix in ("network.", "averaged.module."):
        after = weights_of(load(run), prefix)
        changed = {name for name in before if not after[name].equal(before[name])}
        assert changed == {"heads.0.weight", "heads.0.bias"}
    optimizer = load(run)["optimizer_states"][0]
    assert sum(len(group["params"]) for group in optimizer["param_groups"]) == 2
    report = said(run)
    assert report["regime"] == "small" and report["share"] == 1.0
    assert report["trained_parameters"] == 4 * 3 + 3
    assert "100.0% of the network" in out and "matched" in out
    assert "regime small trains 15 of" in out


def test_network_and_structure_are_inherited_and_written_down(tuned, pretrained):
    record, theirs = load(tuned)["medseg"]["network"], load(pretrained)["medseg"]["network"]
    assert record["name"] == "residual_unet"
    assert record["arguments"] == theirs["arguments"]
    assert record["arguments"]["blocks_per_stage"] == 2  # base/mr says 1
    plan = (tuned / "plan.yaml").read_text()
    assert "features: [4, 8]  # as where the weights were trained" in plan
    assert "blocks_per_stage: 2" in (tuned / "recipe.yaml").read_text()


def test_rates_fall_towards_the_input(tuned):
    groups = load(tuned)["optimizer_states"][0]["param_groups"]
    assert [g["name"] for g in groups] == ["head", "decoder.0", "encoder.1", "encoder.0"]
    assert [g["lr"] for g in groups] == [0.1 * 0.5**depth for depth in range(4)]


def test_what_the_recipe_says_itself_wins(cli, here, bare, pretrained):
    code, _, err = cli("fit", bare, *WORDS, transfer(pretrained), "network.blocks_per_stage=1")
    assert code == 0, err
    assert said(here / "runs" / "bare")["unused"]
    code, _, err = cli(
        *("fit", bare, *WORDS, transfer(pretrained), "plan.features=[4, 6]", "run_dir=runs/b")
    )
    assert code == 2 and "has another shape in the file" in err and "plan.features=[4, 8]" in err


def test_the_whole_plan_can_be_inherited(cli, here, bare, pretrained):
    words = [*WORDS, "plan.spacing=[1.5, 1.5, 1.5]", "run_dir=runs/coarse"]
    assert cli("fit", bare, *words, transfer(pretrained))[0] == 0
    coarse = here / "runs" / "coarse"
    notes = said(coarse)["notes"]
    assert any(n.startswith("spacing is [1.5, 1.5, 1.5], and was") for n in notes), notes
    assert cli("fit", bare, *WORDS, transfer(coarse, inherit="plan"))[0] == 0
    assert "spacing: [1.5, 1.5, 1.5]" in (here / "runs" / "bare" / "plan.yaml").read_text()
    assert said(here / "runs" / "bare")["notes"] == []


MEDIUM = {"regime": "medium", "stages": 2, "lr_decay": 0.8}
LONGER = ["trainer.steps=4", "trainer.checkpoint_every=1", "optimizer.name=muon", "schedule=poly"]


def test_a_killed_training_goes_on_to_the_bit_without_its_source(
    cli, here, bare, pretrained, monkeypatch
):
    from medseg.training.clock import TrainingClock

    source = shutil.copytree(pretrained, here / "source")
    words = ["fit", bare, *LONGER, transfer(source, **MEDIUM)]
    assert cli(*words, "run_dir=runs/whole")[0] == 0
    ordinary = TrainingClock.on_train_batch_end

    def deadly(self, trainer, *rest, **options):
        ordinary(self, trainer, *rest, **options)
        if trainer.global_step == 3:
            raise RuntimeError("the power is cut")

    monkeypatch.setattr(TrainingClock, "on_train_batch_end", deadly)
    code, _, err = cli(*words)
    assert code == 1 and "the power is cut" in err
    monkeypatch.setattr(TrainingClock, "on_train_batch_end", ordinary)
    assert load(here / "runs" / "bare")["global_step"] == 2
    shutil.rmtree(source)
    code, out, err = cli(*words, "--resume")
    assert code == 0, err
    assert "% of the network" not in out
    one, two = load(here / "runs" / "whole"), load(here / "runs" / "bare")
    assert one["global_step"] == two["global_step"] == 4
    for name, value in one["state_dict"].items():
        assert value.equal(two["state_dict"][name]), name
    code, _, err = cli(*words, "--extend", "2")
    assert code == 0, err
    assert load(here / "runs" / "bare")["global_step"] == 6


def test_the_result_predicts_and_the_same_training_again_is_found_finished(
    cli, here, bare, pretrained
):
    words = [bare, *WORDS, transfer(pretrained, regime="small")]
    assert cli("run", *words)[0] == 0
    assert (here / "runs" / "bare" / "metrics.json").is_file()
    code, out, _ = cli("fit", *words)
    assert code == 0 and "is trained, unchanged" in out


def test_a_bundles_network_is_inherited_and_filled(cli, here, bare):
    from medseg.networks import registry

    bundle = here / "bundle"
    for folder in ("configs", "models"):
        (bundle / folder).mkdir(parents=True)
    sizes = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
    rest = {"channels": [4, 8], "strides": [2], "norm": "batch"}
    weights = registry.create("monai.UNet", {**sizes, **rest}).state_dict()
    torch.save(weights, bundle / "models" / "model.pt")
    config = {"network_def": {"_target_": "UNet", **sizes, **rest}}
    (bundle / "configs" / "train.json").write_text(json.dumps(config))
    code, _, err = cli("fit", bare, *WORDS, transfer(bundle, regime="small"))
    assert code == 0, err
    content = load(here / "runs" / "bare")
    assert content["medseg"]["network"]["name"] == "monai.UNet"
    after = weights_of(content, "network.")
    # The classes of the phantom are three, and the bundle's have no names: its head is new.
    assert {n for n in weights if not after[n].equal(weights[n])} == {
        "model.2.conv.weight",
        "model.2.conv.bias",
    }
    assert said(here / "runs" / "bare")["kind"] == "MONAI bundle"


def test_a_network_of_a_bundle_that_nobody_knows_is_said_to_come_from_there(cli, here, bare):
    for folder in ("configs", "models"):
        (here / "bundle" / folder).mkdir(parents=True)
    torch.save({"a.weight": torch.ones(3)}, here / "bundle" / "models" / "model.pt")
    config = {"network_def": {"_target_": "NoSuchNet"}}
    (here / "bundle" / "configs" / "train.json").write_text(json.dumps(config))
    bare.write_text(bare.read_text() + "transfer: {from: bundle}\n")
    code, _, err = cli("plan", bare)
    assert code == 2 and "monai.NoSuchNet" in err
    assert "bare.yaml:6" in err and "network=NAME" in err


def test_other_channels_and_classes_are_adapted(cli, here, bare, phantom, pretrained):
    other = here / "other"
    shutil.copytree(phantom, other)
    meta = json.loads((other / "dataset.json").read_text())
    meta["labels"] = {"0": "background", "1": "tail", "2": "neck"}
    (other / "dataset.json").write_text(json.dumps(meta))
    code, out, err = cli("fit", bare, *WORDS, f"data.root={other}", transfer(pretrained))
    assert code == 0, err
    adapted = {entry["name"]: entry["how"] for entry in said(here / "runs" / "bare")["adapted"]}
    assert adapted["heads.0.weight"] == "kept background, tail; new neck"
    assert "kept background, tail; new neck" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"regime": "tiny"}, "transfer.regime: expected small, medium or large"),
        ({"regime": "small", "stages": 2}, "regime small takes no notice of it"),
        ({"regime": "small", "lr_decay": 0.5}, "regime small takes no notice of it"),
        ({"stages": 2}, "regime large takes no notice of it"),
        ({"lr_decay": 1.5}, "transfer.lr_decay"),
        ({"regime": "medium", "stages": 9}, "ResidualUNet has 3 stages"),
    ],
)
def test_what_cannot_be_is_refused(cli, bare, pretrained, more, message):
    code, _, err = cli("fit", bare, *WORDS, transfer(pretrained, **more))
    assert code == 2 and message in err


def test_a_source_that_is_not_there_is_refused_before_anything_is_written(cli, here, bare):
    code, _, err = cli("fit", bare, *WORDS, transfer(here / "absent"))
    assert code == 2 and "nothing to transfer from" in err
    assert not (here / "runs").exists()


def test_a_transfer_needs_to_know_from_where(cli, bare):
    code, _, err = cli("fit", bare, *WORDS, "transfer.regime=small")
    assert code == 2 and "transfer.from" in err


def test_layers_that_would_stay_random_are_not_frozen(cli, here, bare, pretrained):
    deeper = "network={name: residual_unet, blocks_per_stage: 3}"
    code, _, err = cli("fit", bare, *WORDS, deeper, transfer(pretrained, regime="small"))
    assert code == 2 and "layers that would stay as they are initialised" in err
    assert "transfer.regime=large" in err


def test_weights_that_do_not_fit_leave_no_half_made_training(cli, here, bare, save_weights):
    code, _, err = cli("fit", bare, *WORDS, transfer(save_weights({"a.weight": torch.ones(3)})))
    assert code == 2 and "nothing in the file belongs to this network" in err
    assert not list(here.glob("runs/bare/fold_0/checkpoints/*"))
    assert not list(here.glob("runs/bare/cache/*"))  # nothing was preprocessed in vain
    code, _, err = cli("doctor", bare, *WORDS, transfer(here / "weights.pt"))
    assert code == 2 and "nothing in the file belongs to this network" in err


def test_weights_of_which_little_fits_are_taken_with_a_warning(cli, here, bare, save_weights):
    file = save_weights({"encoder.0.0.0.weight": torch.ones(4, 1, 3, 3, 3)})
    words = ["network=unet", "plan.features=[4, 8]", transfer(file)]
    code, _, err = cli("fit", bare, *WORDS, *words)
    assert code == 0 and "most of the network is not in the file" in err
    assert len(said(here / "runs" / "bare")["matched"]) == 1


@pytest.fixture
def save_weights(here):
    def save(state):
        torch.save(state, here / "weights.pt")
        return here / "weights.pt"

    return save


def test_only_medsegs_own_checkpoints_say_how_images_were_prepared(cli, bare, save_weights):
    file = save_weights({"a.weight": torch.ones(3)})
    code, _, err = cli("fit", bare, *WORDS, transfer(file, inherit="plan"))
    assert code == 2 and "only medseg's own checkpoints" in err


def test_doctor_judges_the_network_that_is_inherited(cli, bare, pretrained):
    code, out, err = cli("doctor", bare, *WORDS, transfer(pretrained, regime="small"))
    assert code == 0, err
    assert "training step" in out
