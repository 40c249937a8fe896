"""What the documents name is there: pages, headings, commands of make and of airlock, and their options."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from cli.main import assembled
from tests.architecture.settings_page import READERS, settings_of
from tests.architecture.settings_page import page as settings_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "deploy/**/*.md") for page in ROOT.glob(pattern)
)
CONFIGURED = (
    "docker-compose.yml",
    "Dockerfile",
    "deploy/lambda/template.yaml",
    "deploy/kubernetes/workers/workers.yaml",
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_in(text: str) -> list[str]:
    """The lines of blocks, without their comments, and what stands between backticks."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].partition("  ")[0] for block in blocks for line in block.splitlines()]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return lines + re.findall(r"`([^`\n]+)`", rest)


def anchors_of(page: Path) -> set[str]:
    """What a link to a heading of it may end with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def commands_of_airlock() -> dict[tuple[str, ...], set[str]]:
    """Every command by its words, with its options."""
    known: dict[tuple[str, ...], set[str]] = {}

    def add(words: tuple[str, ...], command: object) -> None:
        known[words] = {option for each in getattr(command, "params", ()) for option in each.opts} | {"--help"}
        for name, each in getattr(command, "commands", {}).items():
            add((*words, name), each)

    add((), typer.main.get_command(assembled([])))
    return known


def test_there_are_the_pages_that_people_look_for() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} <= {page.name for page in PAGES}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())):
        if not target.startswith(("http:", "https:")):
            led = (page.parent / target) if target else page
            assert led.exists(), target
            assert not anchor or anchor in anchors_of(led), f"{target}#{anchor}"


@every_page
def test_every_command_of_make_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {target for code in code_in(page.read_text()) for target in re.findall(r"^make ([a-z-]+)", code)}

    assert not [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


@every_page
def test_every_command_of_airlock_is_there_with_its_options(page: Path) -> None:
    known = commands_of_airlock()
    for code in code_in(page.read_text()):
        if found := re.match(r"(?:\.venv/bin/)?airlock((?: .*)?)$", code):
            words = re.sub(r'"[^"]*"', "value", found[1]).split()
            command = next((tuple(words[:n]) for n in (2, 1, 0) if tuple(words[:n]) in known), ())
            assert command or not words or words[0].startswith("-"), code
            options = {word.partition("=")[0].strip("[],") for word in words if word.strip("[").startswith("-")} - {"-"}
            assert options <= known[command], f"{code}: {options - known[command]}"


@every_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    made = {"deploy/compose/secrets/cluster.toml"}  # by the reader

    named = {code for code in code_in(page.read_text()) if re.fullmatch(r"[a-z]\w*(/[\w.-]+)+\.[a-z]{2,5}", code)}

    assert not {name for name in named - made if not (ROOT / name).exists() and not (page.parent / name).exists()}


every_file_with_settings = pytest.mark.parametrize(
    "file", [*PAGES, *(ROOT / name for name in CONFIGURED)], ids=lambda file: str(file.relative_to(ROOT))
)


@every_file_with_settings
def test_every_setting_that_is_named_is_one(file: Path) -> None:
    known = {name for kind in READERS.values() for name in settings_of(kind)}
    others = {"AIRLOCK_RUN"}  # the mark of a run

    named = set(re.findall(r"\bAIRLOCK_[A-Z_]+[A-Z]\b", file.read_text()))

    assert not {name for name in named - known - others if not name.startswith("AIRLOCK_REQUIRE_")}  # the tests'


def test_the_page_of_settings_has_them_all_as_they_are() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8") == settings_page()
