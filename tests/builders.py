"""Values that tests start from; each names only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from domain.evaluation import EffectiveConfig, Evaluation, ScriptRef
from domain.policy import Policy

SCRIPT = b"def evaluate_model(model):\n    return model.generate('hello')\n"
QUEUED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def an_evaluation(
    name: str = "a",
    *,
    script: bytes = SCRIPT,
    tenant: str = "tenant-a",
    model_id: str = "mock",
    config: EffectiveConfig | None = None,
    policy: Policy | None = None,
) -> Evaluation:
    """An accepted evaluation. `name` (letters a-z and 2-7) makes its id."""
    return Evaluation(
        evaluation_id="eval_" + (name * 26)[:26],
        tenant=tenant,
        model_id=model_id,
        script=ScriptRef(sha256=sha256(script).hexdigest(), size=len(script)),
        config=config or EffectiveConfig(),
        policy=policy or Policy(),
        queued_at=QUEUED_AT,
    )
