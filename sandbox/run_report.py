"""The report of a run, put together from what its runner said and what its backend saw. Pure."""

from __future__ import annotations

from domain.runs import Backend, Isolation, RunRecord, RunReport, RunRequest, Usage
from sandbox.conversation import Conversation
from sandbox.receipt import Receipt
from sandbox.run_end import RunEnd


def report_on(
    request: RunRequest,
    backend: Backend,
    conversation: Conversation | None,
    ended: RunEnd,
    *,
    peak_bytes: int = 0,
) -> RunReport:
    """The report. `peak_bytes` is the memory of all processes together, where the backend knows (0: it does not).

    `conversation` is None where none had begun.
    """
    receipt = conversation.receipt if conversation else None
    began = conversation.began if conversation else None
    return RunReport(
        run_id=request.run_id,
        outcome=ended.outcome,
        exit_code=receipt.exit_code if receipt else None,
        signal=receipt.signal if receipt else None,
        reached_script=receipt.started if receipt else began is not None,
        message=ended.message,
        traceback=ended.traceback,
        has_result=ended.has_result,
        result=ended.result,
        isolation=began.isolation if began else Isolation(backend=backend, level=0),
        record=conversation.record if conversation else RunRecord(),
        usage=_usage(receipt, peak_bytes),
        environment_digest=began.environment_digest if began else None,
        receipt=receipt is not None,
    )


def _usage(receipt: Receipt | None, peak_bytes: int) -> Usage:
    if receipt is None:
        return Usage(peak_memory_bytes=peak_bytes)
    return Usage(
        wall_ms=receipt.wall_ms,
        cpu_ms=receipt.cpu_ms,
        peak_memory_bytes=peak_bytes or receipt.peak_memory_bytes,
        output_bytes=receipt.output_bytes,
        output_truncated=receipt.output_truncated,
    )
