"""Which queue each kind of work waits in; worker roles decide who serves which."""

from __future__ import annotations

WORKFLOWS = "airlock-workflows"
"""The story of each evaluation: needs no rights at all."""
VALIDATION = "airlock-validation"
"""The untrusted queue: scripts that nobody has judged yet."""
EXECUTION = "airlock-execution"
"""The validated queue: what has passed its review. One partition, so that it is first come, first served."""
RECORDS = "airlock-records"
"""What has to be written down."""
MONITOR = "airlock-monitor"
"""Kills: served by another process than the one that runs, so that it works when that one is gone."""

ALL = (WORKFLOWS, VALIDATION, EXECUTION, RECORDS, MONITOR)
