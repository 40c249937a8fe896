"""Rules about what a run tried, by the record of its sandbox."""

from __future__ import annotations

from detection.rule_tables.behaviour_acts import DONE
from detection.rule_tables.behaviour_outside import REACHED

BEHAVIOUR = (*REACHED, *DONE)
