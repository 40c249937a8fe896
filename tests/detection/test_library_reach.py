from __future__ import annotations

import sys

from detection.library_reach import HARMLESS, JUDGED_BY_NAME, WHOLE_MODULES
from detection.names import MODULE_NAMES
from detection.rules import RULES
from detection.static_tables import RELEVANT_NAMES

LIBRARY = {name for name in sys.stdlib_module_names if not name.startswith("_")}


def test_every_module_of_the_library_has_been_looked_at():
    known = HARMLESS | JUDGED_BY_NAME | {name.partition(".")[0] for name in WHOLE_MODULES}

    assert known >= LIBRARY


def test_no_module_is_both_harmless_and_a_finding():
    assert not HARMLESS & set(WHOLE_MODULES)
    assert not JUDGED_BY_NAME & set(WHOLE_MODULES)


def test_what_is_said_to_be_judged_by_name_is_known_by_some_table():
    tables = set(MODULE_NAMES) | RELEVANT_NAMES | {name.partition(".")[0] for name in (*MODULE_NAMES, *WHOLE_MODULES)}

    assert tables >= JUDGED_BY_NAME


def test_every_rule_of_the_inventory_exists():
    assert set(WHOLE_MODULES.values()) <= set(RULES)
