"""The error tree: the picture on top of the file is the tree that the code has."""

import re

from domain import errors
from domain.errors import MAX_MESSAGE, PlatformError


def every(error: type[PlatformError]) -> list[type[PlatformError]]:
    """All that anybody outside their own module can meet: a private one is known by its parent's code."""
    found = [each for child in error.__subclasses__() for each in (child, *every(child))]
    return [each for each in found if not each.__name__.startswith("_")]


def test_the_drawn_tree_names_every_error_with_its_code_and_whether_a_retry_helps() -> None:
    drawn = re.findall(r"^\s*\|?\s*[|`]-- (\w+)\s+(\w+)\s+(yes|no)", errors.__doc__ or "", re.MULTILINE)

    assert {(name, code, answer == "yes") for name, code, answer in drawn} == {
        (error.__name__, error.code, error.retryable) for error in every(PlatformError)
    }


def test_codes_are_unique() -> None:
    codes = [error.code for error in every(PlatformError)]

    assert len(codes) == len(set(codes))


def test_long_text_is_cut_where_it_enters() -> None:
    error = PlatformError("x" * 10_000, evidence="y" * 10_000)

    assert len(str(error)) == MAX_MESSAGE
    assert len(error.evidence) == 2 * MAX_MESSAGE
