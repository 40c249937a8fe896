"""How the platform fails. Never how a script ended: that is a RunOutcome.

PlatformError                          code                   another attempt may help
|-- SandboxUnavailable                 sandbox_unavailable    yes: a control is not in force
|   `-- PodRefused                     pod_refused            no: the cluster's rights or policy forbid it
|-- EnvironmentUnavailable             environment_unavailable no: not configured, or not what it was
|   `-- EnvironmentChanged             environment_changed    no: trial and execution would differ
|-- ModelUnavailable                   model_unavailable      no: it has left the catalogue
|-- ImageUnavailable                   image_unavailable      no
|-- Unschedulable                      unschedulable          yes
|-- NodeLost                           node_lost              no: it may still be running
|-- WorkerLost                         worker_lost            no: begun, and never begun twice
|-- RunnerLost                         runner_lost            no: ended without a receipt or evidence
|-- ScriptMissing                      script_missing         no: deleted meanwhile
|-- RecordMissing                      record_missing         no: no submission has written it
|-- AnalyserFailed                     analyser_failed        yes
|   |-- ParserTimeout                  parser_timeout         yes: its children were busy
|   `-- AnalysisTimeout                analysis_timeout       yes: likewise
|-- StorageUnavailable                 storage_unavailable    yes
|-- WorkflowsUnavailable               workflows_unavailable  yes: Temporal is away
|   |-- WorkflowRefused                workflow_refused       no: it takes no more of one workflow
|   `-- QueueUnavailable               queue_unavailable      yes: the queue before it is away
|-- WorkflowLost                       workflow_lost          no: it has left without an end
`-- StopUnconfirmed                    stop_unconfirmed       no: somebody has to look
"""

from __future__ import annotations

from typing import ClassVar

MAX_MESSAGE = 500
"""Longer text is cut: errors travel through histories and logs."""


class PlatformError(Exception):
    """We failed. `code` names it everywhere; `retryable` says whether another attempt of ours may help."""

    code: ClassVar[str] = "platform_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, evidence: str = "") -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.message = message[:MAX_MESSAGE]
        self.evidence = evidence[: 2 * MAX_MESSAGE]


class SandboxUnavailable(PlatformError):
    """A control that was asked for is not in force, so nothing was run."""

    code = "sandbox_unavailable"
    retryable = True


class PodRefused(SandboxUnavailable):
    """The cluster refuses the pod, and will refuse it again: rights, admission policy, another pod of that name."""

    code = "pod_refused"
    retryable = False


class EnvironmentUnavailable(PlatformError):
    """The environment is not configured here."""

    code = "environment_unavailable"


class EnvironmentChanged(EnvironmentUnavailable):
    """The execution would run in something else than the trial did."""

    code = "environment_changed"


class ModelUnavailable(PlatformError):
    """The model was in the catalogue when the evaluation was accepted, and is not in this worker's."""

    code = "model_unavailable"


class ImageUnavailable(PlatformError):
    """An image cannot be had."""

    code = "image_unavailable"


class Unschedulable(PlatformError):
    """No node takes the pod."""

    code = "unschedulable"
    retryable = True


class NodeLost(PlatformError):
    """The machine of a run does not answer. Lost is not dead: no licence to run again."""

    code = "node_lost"


class WorkerLost(PlatformError):
    """The worker of a begun run is gone, and the run cannot be adopted."""

    code = "worker_lost"


class RunnerLost(PlatformError):
    """A run ended without a receipt, and nothing else tells how."""

    code = "runner_lost"


class ScriptMissing(PlatformError):
    """The script was deleted while its evaluation was under way."""

    code = "script_missing"


class RecordMissing(PlatformError):
    """There is no row of the evaluation: it did not come through a submission."""

    code = "record_missing"


class AnalyserFailed(PlatformError):
    """An analyser died of something that is not the script."""

    code = "analyser_failed"
    retryable = True


class ParserTimeout(AnalyserFailed):
    """No parser answered in time: all are busy, or this script takes longer than the caller could wait."""

    code = "parser_timeout"


class AnalysisTimeout(AnalyserFailed):
    """Static analysis did not answer in time: its children are busy, or this script takes too long."""

    code = "analysis_timeout"


class StorageUnavailable(PlatformError):
    """The database does not answer."""

    code = "storage_unavailable"
    retryable = True


class WorkflowsUnavailable(PlatformError):
    """Temporal does not answer."""

    code = "workflows_unavailable"
    retryable = True


class WorkflowRefused(WorkflowsUnavailable):
    """Temporal answers, and refuses this for this one workflow: too many signals, too large a payload."""

    code = "workflow_refused"
    retryable = False


class QueueUnavailable(WorkflowsUnavailable):
    """The queue through which workflows are started does not answer, or refuses us."""

    code = "queue_unavailable"


class WorkflowLost(PlatformError):
    """A workflow was ended from outside, or is gone, and its evaluation had not ended."""

    code = "workflow_lost"


class StopUnconfirmed(PlatformError):
    """A stop was ordered, and nobody could confirm that everything is dead."""

    code = "stop_unconfirmed"
