"""A later release of the workflow: it checks a script once more before it is executed, behind `patched()`."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.evaluation import Evaluation, EvaluationEnd
    from domain.lifecycle import Stage
    from domain.runs import ExecutionReport
    from workflows import steps
    from workflows.evaluation import EvaluationWorkflow

AGAIN = 7
"""The attempt by which a test knows the new step."""


@workflow.defn(name="EvaluationWorkflow")
class SecondVersion(EvaluationWorkflow):
    """The same, with one more step for those that have not passed its place yet."""

    @workflow.init
    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation)

    @workflow.run
    async def run(self, evaluation: Evaluation) -> EvaluationEnd:
        return await super().run(evaluation)

    async def _execute(self) -> ExecutionReport:
        if workflow.patched("checked-once-more"):
            await self._work.finished(steps.start_review(Stage.QUICK_CHECKS, self._evaluation, AGAIN))
        return await super()._execute()


@workflow.defn(name="EvaluationWorkflow")
class Unpatched(EvaluationWorkflow):
    """The same change without `patched()`: what nobody may release."""

    @workflow.init
    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation)

    @workflow.run
    async def run(self, evaluation: Evaluation) -> EvaluationEnd:
        return await super().run(evaluation)

    async def _execute(self) -> ExecutionReport:
        await self._work.finished(steps.start_review(Stage.QUICK_CHECKS, self._evaluation, AGAIN))
        return await super()._execute()
