"""The two stages that look at a script without running it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import StageTask
from activities.quick_checks import QuickChecks
from activities.static_analysis import StaticAnalysis
from detection.parser_pool import ParsedScript
from domain.errors import AnalysisTimeout, EnvironmentUnavailable, ParserTimeout, PlatformError
from domain.findings import Finding, Severity, StageReport
from domain.lifecycle import STAGE_DEADLINES, Stage, Status
from tests.builders import SCRIPT, an_evaluation
from tests.memory_records import MemoryRecords

EVALUATION = an_evaluation()
ID = EVALUATION.evaluation_id
TASK = StageTask(evaluation=EVALUATION)
FOUND = Finding(rule="a-rule", severity=Severity.HIGH, message="seen", line=1)


class Looker:
    """Checks and analyses as it is told; keeps what it was shown."""

    def __init__(self, raises: PlatformError | None = None) -> None:
        self.raises = raises
        self.shown: list[bytes] = []
        self.within = timedelta()

    async def check(self, source: bytes, environment: str, within: timedelta) -> ParsedScript:
        assert environment == EVALUATION.config.environment
        return ParsedScript(report=self._look(Stage.QUICK_CHECKS, source, within))

    async def analyse(self, source: bytes, within: timedelta) -> StageReport:
        return self._look(Stage.STATIC_ANALYSIS, source, within)

    def _look(self, stage: Stage, source: bytes, within: timedelta) -> StageReport:
        self.shown.append(source)
        self.within = within
        if self.raises is not None:
            raise self.raises
        return StageReport(stage=stage, findings=(FOUND,))


def records() -> MemoryRecords:
    records = MemoryRecords()
    records.keep(EVALUATION.tenant, SCRIPT)
    return records


def attempt(number: int) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number, retry_policy=RetryPolicy(maximum_attempts=3))
    return environment


async def perform(stage: Stage, kept: MemoryRecords, looker: Looker, number: int = 1) -> StageReport:
    if stage is Stage.QUICK_CHECKS:
        return await attempt(number).run(QuickChecks(kept, kept, looker).quick_checks, TASK)
    return await attempt(number).run(StaticAnalysis(kept, kept, looker).static_analysis, TASK)


STAGES = pytest.mark.parametrize("stage", [Stage.QUICK_CHECKS, Stage.STATIC_ANALYSIS])


@STAGES
async def test_a_stage_reports_what_was_found_in_the_stored_script(stage: Stage) -> None:
    looker = Looker()

    report = await perform(stage, records(), looker)

    assert (report.stage, report.findings, looker.shown) == (stage, (FOUND,), [SCRIPT])


@STAGES
async def test_a_stage_leaves_itself_time_to_say_that_it_was_late(stage: Stage) -> None:
    looker = Looker()

    await perform(stage, records(), looker)

    assert timedelta() < looker.within < STAGE_DEADLINES[stage]


@STAGES
async def test_its_start_and_end_are_journaled(stage: Stage) -> None:
    kept = records()

    await perform(stage, kept, Looker())

    assert [(told, payload["state"]) for _, told, payload in kept.stages] == [(stage, "started"), (stage, "ended")]


@pytest.mark.parametrize(
    ("stage", "late"),
    [(Stage.QUICK_CHECKS, ParserTimeout("late")), (Stage.STATIC_ANALYSIS, AnalysisTimeout("late"))],
)
async def test_a_late_analyser_is_asked_again_and_then_inconclusive(stage: Stage, late: PlatformError) -> None:
    with pytest.raises(ApplicationError) as failed:
        await perform(stage, records(), Looker(late), number=2)
    report = await perform(stage, records(), Looker(late), number=3)

    assert not failed.value.non_retryable
    assert not report.complete


@STAGES
async def test_a_missing_environment_is_our_failure(stage: Stage) -> None:
    with pytest.raises(ApplicationError) as failed:
        await perform(stage, records(), Looker(EnvironmentUnavailable("not here")))

    assert (failed.value.type, failed.value.non_retryable) == ("environment_unavailable", True)


@STAGES
async def test_a_script_that_is_not_what_its_digest_says_is_missing(stage: Stage) -> None:
    kept = records()
    kept.scripts = dict.fromkeys(kept.scripts, b"something else")

    with pytest.raises(ApplicationError) as failed:
        await perform(stage, kept, Looker())

    assert failed.value.type == "script_missing"


async def test_the_first_stage_takes_the_evaluation_out_of_the_queue() -> None:
    kept = records()

    await perform(Stage.QUICK_CHECKS, kept, Looker())

    assert kept.statuses[ID] == [Status.QUEUED, Status.PENDING_VALIDATION]
