"""A worker that is killed at a named point of its first execution: `python -m tests.e2e.mortal_worker POINT --role R`.

The pod by which a worker proves itself at its start is let through.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import sandbox.kubernetes.backend as backend_module
from activities.pod_execution import PodExecution
from sandbox.conversation import Conversation
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.pod_run import PodRun
from sandbox.port import Began, Printed
from worker.__main__ import main

POINTS: dict[str, tuple[Any, str]] = {
    "before create": (Cluster, "create_pod"),
    "after create": (backend_module, "started"),
    "first frame": (PodRun, "_receive"),
    "begin": (Conversation, "_tell"),
    "mid-stream": (Conversation, "_tell"),
    "receipt": (PodRun, "_see_its_fate"),
    "completion": (KubernetesSandbox, "_leave"),
    "recorded": (PodExecution, "_record"),
}
"""What is called there. Of the last alone a worker dies after it, not before."""
MIDDLE = "2"
"""What a script prints in its middle."""


def prepare(point: str) -> None:
    """Have the process killed there."""
    owner, name = POINTS[point]
    reached = getattr(owner, name)
    running = KubernetesSandbox.run
    armed = False

    async def arm(sandbox: KubernetesSandbox, request: Any, **how: Any) -> Any:
        nonlocal armed
        armed = armed or request.run_id.startswith("eval_")
        return await running(sandbox, request, **how)

    def dies(*given: Any, **named: Any) -> Any:
        if armed and is_told(point, given):
            os.kill(os.getpid(), signal.SIGKILL)
        return reached(*given, **named)

    async def dies_afterwards(*given: Any, **named: Any) -> Any:
        await reached(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    KubernetesSandbox.run = arm  # type: ignore[method-assign, assignment]
    setattr(owner, name, dies_afterwards if point == "recorded" else dies)


def is_told(point: str, given: tuple[Any, ...]) -> bool:
    """Whether it is this point and no other one at which the same is called."""
    told: dict[str, Callable[[Any], bool]] = {
        "begin": lambda event: isinstance(event, Began),
        "mid-stream": lambda event: isinstance(event, Printed) and event.text == MIDDLE,
    }
    return point not in told or told[point](given[-1])


if __name__ == "__main__":
    prepare(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
