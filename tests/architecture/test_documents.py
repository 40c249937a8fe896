"""What the documents name is there: pages, headings, commands of make and of airlock, and their options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from cli.main import assembled

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "deploy/**/*.md") for page in ROOT.glob(pattern)
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
def test_every_setting_that_is_named_is_read_somewhere(page: Path) -> None:
    code = "\n".join(file.read_text() for folder in ("api", "worker", "cli") for file in (ROOT / folder).rglob("*.py"))
    outside = {
        "AIRLOCK_URL",
        "AIRLOCK_API_KEY",
        "AIRLOCK_REQUIRE_SANDBOXES",
    }  # the client's and the tests'

    for name in set(re.findall(r"\bAIRLOCK_[A-Z_]+[A-Z]\b", page.read_text())) - outside:
        assert name in code or re.search(rf"^    {name.removeprefix('AIRLOCK_').lower()}:", code, re.MULTILINE), name
