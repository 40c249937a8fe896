"""Decoy secrets: planted in every run, worth nothing, and never seen outside a run unless a script carries them there.

They follow from the script, so that trial and execution show the same ones, and whoever watches a run knows them. They
look like what thieves look for, and no service has ever known them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import Field

from domain.values import Value

_LABEL = b"airlock decoys 1"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Decoys(Value):
    """What is planted in one script's runs."""

    environment: Mapping[str, str] = Field(default_factory=dict)
    """Variables by name. Reading one is an honest habit; its value turning up anywhere is not."""
    files: Mapping[str, str] = Field(default_factory=dict)
    """Contents by path below the home directory."""
    secrets: tuple[str, ...] = ()
    """The values that give a thief away, wherever they turn up."""


def decoys_for(script: bytes) -> Decoys:
    """The decoys of every run of `script`."""
    access_key = "AKIA" + _letters(script, "access key", 16).upper()
    secret_key = _letters(script, "secret key", 40)
    api_key = "sk-proj-" + _letters(script, "api key", 48)
    token = "ghp_" + _letters(script, "token", 36)
    return Decoys(
        environment={"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "OPENAI_API_KEY": api_key},
        files={
            ".aws/credentials": f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n",
            ".git-credentials": f"https://ci:{token}@github.com\n",
        },
        secrets=(access_key, secret_key, api_key, token),
    )


def _letters(script: bytes, purpose: str, count: int) -> str:
    key = hashlib.sha256(script).digest()
    drawn = hashlib.shake_256(_LABEL + purpose.encode("ascii") + key).digest(count)
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in drawn)
