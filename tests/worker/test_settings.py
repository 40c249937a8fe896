"""What an operator sets is checked before anything starts, and unsafe combinations are refused in words."""

import pytest

from worker.settings import BadSettings, WorkerSettings, read_settings


@pytest.fixture(autouse=True)
def only_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_DATABASE_URL", "postgresql://airlock:secret@localhost/airlock")


def test_a_database_is_all_that_has_to_be_named() -> None:
    settings = read_settings()

    assert (settings.min_trial_level, settings.min_execution_level) == (2, 2)
    assert settings.grace_seconds < settings.stop_seconds


def test_every_setting_says_what_it_is_for() -> None:
    undescribed = [name for name, field in WorkerSettings.model_fields.items() if not field.description]

    assert undescribed == []


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("GRACE_SECONDS", "28", "AIRLOCK_STOP_SECONDS"),
        ("MIN_TRIAL_LEVEL", "1", "weakest wall"),
        ("MIN_TRIAL_LEVEL", "0", "AIRLOCK_MIN_TRIAL_LEVEL"),
        ("HEARTBEAT_THROTTLE_SECONDS", "60", "AIRLOCK_HEARTBEAT_THROTTLE_SECONDS"),
        ("STICKY_SECONDS", "10", "AIRLOCK_STICKY_SECONDS"),
        ("EXECUTION_SLOTS", "0", "AIRLOCK_EXECUTION_SLOTS"),
        ("TEMPORAL_ADDRESS", "http://localhost", "AIRLOCK_TEMPORAL_ADDRESS"),
        ("SANDBOX", "none", "AIRLOCK_SANDBOX"),
    ],
)
def test_an_unsafe_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str) -> None:
    monkeypatch.setenv(f"AIRLOCK_{name}", value)

    with pytest.raises(BadSettings, match=word):
        read_settings()


def test_a_refusal_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_LOG_LEVEL", "hunter2")

    with pytest.raises(BadSettings) as refused:
        read_settings()

    assert "hunter2" not in str(refused.value)
    assert "secret" not in repr(WorkerSettings(log_level="INFO"))  # type: ignore[call-arg]


def test_without_a_database_it_says_which_variable_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRLOCK_DATABASE_URL")

    with pytest.raises(BadSettings, match="AIRLOCK_DATABASE_URL"):
        read_settings()
