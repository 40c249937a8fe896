from __future__ import annotations

from domain.decoys import decoys_for


def test_a_script_has_the_same_decoys_in_every_run():
    assert decoys_for(b"one") == decoys_for(b"one")
    assert not set(decoys_for(b"one").secrets) & set(decoys_for(b"another").secrets)


def test_every_planted_thing_holds_a_secret():
    decoys = decoys_for(b"one")

    planted = [
        text.replace("\\n", "").replace("\n", "") for text in (*decoys.environment.values(), *decoys.files.values())
    ]
    assert all(any(secret in text for secret in decoys.secrets) for text in planted)
