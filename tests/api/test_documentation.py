"""The page that documents the API works on a machine without a way out."""

from __future__ import annotations

import re

import httpx


async def test_the_documentation_page_loads_nothing_from_anywhere_else(client: httpx.AsyncClient):
    page = await client.get("/docs")

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    answers = [await client.get(each) for each in loaded]
    assert page.status_code == 200
    assert not [each for each in loaded if "//" in each]
    assert {answer.status_code for answer in answers} == {200}
    assert len(answers) >= 3


async def test_a_browser_is_told_to_load_nothing_from_anywhere_else(client: httpx.AsyncClient):
    policies = [(await client.get(path)).headers["Content-Security-Policy"] for path in ("/docs", "/livez")]

    assert "default-src 'self'" in policies[0]
    assert "default-src 'none'" in policies[1]
    assert not any("http" in policy for policy in policies)
