from __future__ import annotations

import pytest

from medseg.tracking.wandb_mode import choose_mode, has_credentials

KEY = "k" * 40


@pytest.fixture
def bare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


def test_without_a_key_the_run_is_offline_and_the_reason_said(bare):
    mode, reason = choose_mode(offline=False, environment=bare)
    assert mode == "offline"
    assert "no API key" in reason


def test_a_key_in_the_environment_is_enough(bare):
    assert choose_mode(offline=False, environment={**bare, "WANDB_API_KEY": KEY})[0] == "online"


def test_a_netrc_entry_is_enough_and_for_its_own_host_only(bare, tmp_path):
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai\n login user\n password {KEY}\n")
    assert has_credentials(bare)
    assert not has_credentials({**bare, "WANDB_BASE_URL": "https://wandb.example.org"})
    elsewhere = tmp_path / "keys"
    elsewhere.write_text(f"machine wandb.example.org\n login user\n password {KEY}\n")
    own = {**bare, "NETRC": str(elsewhere), "WANDB_BASE_URL": "https://wandb.example.org"}
    assert has_credentials(own)


def test_a_key_in_the_settings_file_is_enough(bare, tmp_path):
    folder = tmp_path / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text(f"[default]\napi_key = {KEY}\n")
    assert has_credentials(bare)


def test_broken_files_count_as_no_key(bare, tmp_path):
    (tmp_path / ".netrc").write_text("machine machine machine")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("no section")
    assert not has_credentials(bare)


@pytest.mark.parametrize(
    ("variables", "offline", "mode"),
    [
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": KEY}, False, "offline"),
        ({"WANDB_MODE": "dryrun"}, False, "offline"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": KEY}, False, "disabled"),
        ({"WANDB_DISABLED": "true"}, True, "disabled"),
        ({"WANDB_API_KEY": KEY}, True, "offline"),
        ({"WANDB_MODE": "online"}, False, "offline"),
    ],
)
def test_environment_and_recipe_decide(bare, variables, offline, mode):
    assert choose_mode(offline=offline, environment={**bare, **variables})[0] == mode
