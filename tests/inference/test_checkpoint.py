from __future__ import annotations

import gzip
import pickle

import pytest
import torch

from medseg.errors import InputError
from medseg.inference.checkpoint import averaged_state, build_network, find, read
from medseg.planning.plan import Plan


def refused(path, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        build_network(read(path), **kwargs)
    assert str(caught.value.file) == str(path)
    return str(caught.value)


def test_what_training_wrote_is_read(content, save, labels):
    checkpoint = read(save(content))
    assert checkpoint.labels == labels
    assert checkpoint.plan == Plan.from_dict(content["medseg"]["plan"])
    assert checkpoint.channels == ("channel0",)
    assert checkpoint.inference == {"overlap": 0.5, "mirror": False}
    assert checkpoint.version == "0.1.0"


def test_the_average_is_preferred_and_the_raw_weights_are_there(content, save):
    checkpoint = read(save(content))
    averaged, raw = averaged_state(checkpoint), averaged_state(checkpoint, averaged=False)
    assert averaged.keys() == raw.keys()
    for key, value in raw.items():
        assert torch.equal(averaged[key], value * 0.5)


def test_without_an_average_the_raw_weights_are_taken(content, save):
    state = content["state_dict"]
    content["state_dict"] = {k: v for k, v in state.items() if k.startswith("network.")}
    network = build_network(read(save(content)))
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[f"network.{key}"])


def test_an_average_that_never_began_is_passed_over(content, save):
    content["state_dict"]["averaged.n_averaged"] = torch.tensor(0)
    checkpoint = read(save(content))
    raw = averaged_state(checkpoint, averaged=False)
    assert all(torch.equal(v, raw[k]) for k, v in averaged_state(checkpoint).items())


def test_weights_of_a_compiled_network_fit_the_plain_one(content, save):
    content["state_dict"] = {
        key.replace("module.", "module._orig_mod.").replace("network.", "network._orig_mod."): value
        for key, value in content["state_dict"].items()
    }
    assert not build_network(read(save(content))).training


def test_an_absent_file(tmp_path):
    assert "no such checkpoint" in refused(tmp_path / "best.ckpt")


def test_a_folder(tmp_path):
    assert "a checkpoint is a file" in refused(tmp_path)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (gzip.compress(b"image", mtime=0), "a gzip file"),
        (b"task: segmentation\nseed: 1\n", "text"),
        (b"\x89PNG\r\n\x1a\n....", "a PNG picture"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (bytes(range(200, 256)), "another file type"),
    ],
)
def test_another_file_type(tmp_path, written, found):
    path = tmp_path / "best.ckpt"
    path.write_bytes(written)
    message = refused(path)
    assert "not a checkpoint" in message
    assert found in message


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_truncated_file(content, save, kept):
    path = save(content)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert "cut off" in refused(path)


def test_a_zip_archive_of_something_else(tmp_path):
    import zipfile

    path = tmp_path / "best.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/readme.txt", "hello")
    assert "not a checkpoint, or it is damaged" in refused(path)


def test_python_objects_are_not_loaded(content, save):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    content["callbacks"] = Evil()
    assert "could run code" in refused(save(content))


def test_a_lightning_checkpoint_of_somebody_else(content, save):
    del content["medseg"]
    message = refused(save(content))
    assert "not written by medseg" in message
    assert "Lightning checkpoint" in message


def test_bare_weights(save):
    message = refused(save({"conv.weight": torch.zeros(2)}, "weights.pt"))
    assert "weights without it" in message


def test_a_newer_version_says_to_update(content, save):
    content["medseg"].update(schema=2, version="3.1")
    message = refused(save(content))
    assert "3.1" in message
    assert "update medseg" in message


def test_an_older_version_names_the_one_that_wrote_it(content, save):
    content["medseg"].update(schema=0, version="0.0.1")
    assert "predict with medseg 0.0.1" in refused(save(content))


def test_another_task(content, save):
    content["medseg"]["task"] = "detection"
    assert "found: detection" in refused(save(content))


def test_an_incomplete_record(content, save):
    del content["medseg"]["plan"]
    assert "'plan'" in refused(save(content))


def test_an_unknown_network(content, save):
    content["medseg"]["network"]["name"] = "unett"
    message = refused(save(content))
    assert "unett" in message
    assert "did you mean 'unet'" in message


def test_a_network_of_an_untrusted_package(content, save, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise RuntimeError('this ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    content["medseg"]["network"]["name"] = "stranger:Net"
    assert "--trust stranger" in refused(save(content))


def test_a_network_of_a_trusted_package(content, save, tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from medseg.networks import UNet\n\nclass Net(UNet):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    content["medseg"]["network"]["name"] = "my_networks:Net"
    network = build_network(read(save(content)), trust=["my_networks"])
    assert type(network).__name__ == "Net"


def test_weights_of_another_network(content, save):
    content["medseg"]["network"]["arguments"]["features"] = [4, 16]
    assert "do not fit" in refused(save(content))


def test_no_weights(content, save):
    content["state_dict"] = {"loss.weight": torch.zeros(1)}
    assert "found: loss" in refused(save(content))


def test_a_run_gives_its_folds_in_order(tmp_path):
    expected = []
    for fold in (1, 0, 4):
        path = tmp_path / f"fold_{fold}" / "checkpoints" / "best.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        expected.append(path)
    assert find(tmp_path) == sorted(expected)
    assert find(tmp_path / "fold_4") == [expected[2]]
    assert find(tmp_path / "fold_4" / "checkpoints") == [expected[2]]
    assert find(expected[0]) == [expected[0]]


def test_the_last_checkpoint_stands_in_and_says_so(tmp_path, caplog):
    last = tmp_path / "fold_0" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert find(tmp_path) == [last]
    assert "best.ckpt is absent" in caplog.text


def test_a_run_without_checkpoints_says_to_train(tmp_path):
    with pytest.raises(InputError, match="medseg fit"):
        find(tmp_path)


def test_an_absent_run_is_named(tmp_path):
    with pytest.raises(InputError, match="no such run"):
        find(tmp_path / "runs" / "x")


def test_weights_that_are_not_finite_are_refused(content, save):
    name = next(iter(content["state_dict"]))
    content["state_dict"] = {
        key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
        for key, value in content["state_dict"].items()
    }
    message = refused(save(content))
    assert "not finite" in message and name.rpartition(".")[2] in message


def test_a_record_with_an_orientation_that_is_none_is_incomplete(content, save):
    content["medseg"]["plan"]["orientation"] = "RRS"
    assert "RRS" in refused(save(content))


def test_a_record_without_a_format_leaves_it_to_the_files(content, save):
    content["medseg"]["format"] = {}
    assert read(save(content)).format == {"name": "auto", "options": {}}
