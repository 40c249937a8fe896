"""Decoy secrets: planted in every run, worth nothing, and never seen outside a run unless a script carries them there.

They follow from the script, so that trial and execution show the same ones, and whoever watches a run knows them. They
look like what thieves look for, and no service has ever known them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import Field

from domain.values import Value

HOME = "home"
"""The name of a script's home directory, in its scratch space."""
_LABEL = b"airlock decoys 1"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_KEY_LINE = 70
"""Letters in a line of a private key."""


class Decoys(Value):
    """What is planted in one script's runs."""

    environment: Mapping[str, str] = Field(default_factory=dict)
    """Variables by name. Reading one is an honest habit; its value turning up anywhere is not."""
    files: Mapping[str, str] = Field(default_factory=dict)
    """Contents by path below the home directory, which is not where a script works."""
    secrets: tuple[str, ...] = ()
    """The values that give a thief away, wherever they turn up."""


def decoys_for(script: bytes) -> Decoys:
    """The decoys of every run of `script`."""
    access_key = "AKIA" + _letters(script, "access key", 16).upper()
    secret_key = _letters(script, "secret key", 40)
    api_key = "sk-proj-" + _letters(script, "api key", 48)
    token = "ghp_" + _letters(script, "token", 36)
    password = _letters(script, "password", 24)
    bearer = _letters(script, "bearer", 64)
    private_key = _letters(script, "private key", 3 * _KEY_LINE)
    return Decoys(
        environment={"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "OPENAI_API_KEY": api_key},
        files={
            ".aws/credentials": f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n",
            ".config/gcloud/application_default_credentials.json": _service_account(private_key),
            ".env": f"OPENAI_API_KEY={api_key}\nDATABASE_URL=postgresql://eval:{password}@db.internal/eval\n",
            ".git-credentials": f"https://ci:{token}@github.com\n",
            ".kube/config": _cluster(bearer),
            ".netrc": f"machine git.internal login ci password {password}\n",
            ".ssh/id_ed25519": _key_file("OPENSSH PRIVATE KEY", private_key),
        },
        secrets=(access_key, secret_key, api_key, token, password, bearer, private_key),
    )


def _letters(script: bytes, purpose: str, count: int) -> str:
    key = hashlib.sha256(script).digest()
    drawn = hashlib.shake_256(_LABEL + purpose.encode("ascii") + key).digest(count)
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in drawn)


def _key_file(kind: str, body: str) -> str:
    lines = [body[at : at + _KEY_LINE] for at in range(0, len(body), _KEY_LINE)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _service_account(private_key: str) -> str:
    key = _key_file("PRIVATE KEY", private_key).replace("\n", "\\n")
    return f'{{"type": "service_account", "project_id": "eval", "private_key": "{key}"}}\n'


def _cluster(bearer: str) -> str:
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: eval\n"
        "clusters: [{name: eval, cluster: {server: https://10.96.0.1:443}}]\n"
        "contexts: [{name: eval, context: {cluster: eval, user: eval}}]\n"
        f"users: [{{name: eval, user: {{token: {bearer}}}}}]\n"
    )
