"""Decide between online, offline and disabled before wandb could ask anybody anything."""

from __future__ import annotations

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["online", "offline", "disabled"]

# Where a key may have been stored for W&B's own cloud, by older and newer versions of wandb.
_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")


def choose_mode(
    *, offline: bool, environment: Mapping[str, str] = os.environ
) -> tuple[Mode, str | None]:
    """Return the mode and, where it is not what was asked for, why.

    Args:
        offline: what the recipe says.
        environment: ``WANDB_MODE`` and ``WANDB_DISABLED`` overrule everything but ``offline``.
    """
    asked = environment.get("WANDB_MODE", "").lower()
    if asked == "disabled" or environment.get("WANDB_DISABLED", "").lower() in {"true", "1"}:
        return "disabled", None
    if offline or asked in {"offline", "dryrun"}:
        return "offline", None
    if not has_credentials(environment):
        return "offline", "no API key is configured (wandb login)"
    return "online", None


def has_credentials(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether wandb would find a key: environment, netrc, or a settings file."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    home = Path(environment.get("HOME") or Path.home())
    folder = Path(environment.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb")
    settings = [_settings(file) for file in (folder / "settings", Path("wandb") / "settings")]
    if any("api_key" in found for found in settings):
        return True
    bases = [found["base_url"] for found in settings if "base_url" in found]
    base = environment.get("WANDB_BASE_URL") or (bases[-1] if bases else None)
    hosts = _HOSTS if base is None else (urlsplit(base).netloc or base,)
    if environment.get("NETRC"):
        files = [Path(environment["NETRC"])]
    else:
        files = [home / ".netrc", home / "_netrc"]
    return any(_netrc_knows(file, host) for file in files for host in hosts)


def _netrc_knows(file: Path, host: str) -> bool:
    try:
        entry = netrc.netrc(str(file)).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
    return bool(entry and entry[2])


def _settings(file: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    return {key: value for section in parser for key, value in parser[section].items() if value}
