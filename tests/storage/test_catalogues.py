"""What operators configure in files, and what they are told when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.model_catalogue import Provider
from storage.catalogues import CatalogueError, load_environments, load_models

ENVIRONMENT = {"name": "default", "python": "/usr/bin/python3", "digest": "a" * 64, "modules": ["json"]}
MODEL = '[[models]]\nmodel_id = "one"\nprovider = "openai_compatible"\nbase_url = "https://models.example/v1"\n'


def written(directory: Path, **manifests: object) -> Path:
    for name, manifest in manifests.items():
        (directory / f"{name}.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return directory


def test_environments_are_loaded_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a manifest")
    written(tmp_path, first=ENVIRONMENT, second={**ENVIRONMENT, "name": "science", "field_of_tomorrow": 1})

    loaded = load_environments(tmp_path)

    assert sorted(loaded) == ["default", "science"]
    assert loaded["default"].modules == ("json",)


@pytest.mark.parametrize(
    ("manifests", "words"),
    [
        ({}, "no environment"),
        ({"one": "{"}, "one.json is not valid: "),
        ({"one": "[]"}, "one.json is not valid: "),
        ({"one": {**ENVIRONMENT, "digest": "short"}}, "digest: "),
        ({"one": {**ENVIRONMENT, "name": "Not A Name"}}, "name: "),
        ({"one": ENVIRONMENT, "two": ENVIRONMENT}, "'default' is there twice, the second time in "),
    ],
)
def test_a_wrong_environment_is_one_sentence(tmp_path: Path, manifests: dict[str, object], words: str) -> None:
    written(tmp_path, **manifests)

    with pytest.raises(CatalogueError) as caught:
        load_environments(tmp_path)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no directory of environments at .*nowhere"):
        load_environments(tmp_path / "nowhere")


def test_an_unreadable_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.json").mkdir()

    with pytest.raises(CatalogueError, match=r"one\.json cannot be read"):
        load_environments(tmp_path)


@pytest.mark.parametrize("file", [None, Path("nowhere/models.toml")])
def test_without_a_catalogue_there_are_two_models_that_cost_nothing(file: Path | None) -> None:
    models = load_models(file)

    assert sorted(models) == ["gpt-4", "mock"]
    assert {model.provider for model in models.values()} == {Provider.MOCK}


def test_models_are_loaded_by_id(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MODEL)

    assert load_models(tmp_path / "models.toml")["one"].base_url == "https://models.example/v1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "names no model"),
        ("models = 3", "models: "),
        ("[[models]", "is not TOML"),
        ("models = [3]", "models.0: "),
        ("[[model]]\nmodel_id = 'one'", "model: "),
        (MODEL.replace("base_url", "base_uri"), "base_uri: "),
        (MODEL.replace("openai_compatible", "somebody"), "provider: "),
        ("[[models]]\nmodel_id = 'one'\nprovider = 'openai_compatible'", "needs base_url"),
        (MODEL + MODEL, "'one' is there twice"),
        (MODEL.replace("https://models.example", "https://models.example:many"), "base_url is no address"),
        (MODEL.replace("https://models.example", "models.example"), "base_url is no address"),
        (MODEL.replace("https://models.example", "https://"), "base_url is no address"),
        (MODEL.replace("models.example", "models example"), "base_url is no address"),
        ("\x00", "is not TOML"),
    ],
)
def test_a_wrong_catalogue_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "models.toml").write_text(content)

    with pytest.raises(CatalogueError) as caught:
        load_models(tmp_path / "models.toml")

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_catalogue_that_is_not_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(CatalogueError, match="is not TOML"):
        load_models(tmp_path / "models.toml")


def test_a_value_that_does_not_fit_is_not_repeated(tmp_path: Path) -> None:
    """A key that was pasted into the wrong field must not get into a log."""
    (tmp_path / "models.toml").write_text(MODEL + 'api_key = "sk-secret"\n')

    with pytest.raises(CatalogueError) as caught:
        load_models(tmp_path / "models.toml")

    assert "api_key" in str(caught.value)
    assert "sk-secret" not in str(caught.value)
