"""An order of a wall travels as JSON."""

import json

import pytest

from sandbox.controls.wall_spec import WallSpec


def test_an_order_survives_json() -> None:
    spec = WallSpec(require=("nice",), read_roots=("/usr",), memory_bytes=5, recorded=False)

    again = WallSpec.from_json(json.loads(json.dumps(spec.to_json())))

    assert again.to_json() == spec.to_json()


def test_a_part_that_no_wall_has_is_an_error() -> None:
    with pytest.raises(TypeError):
        WallSpec.from_json({"door": True})
