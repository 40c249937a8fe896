"""`python -m worker --role ROLE [--role ROLE ...]`: one process that works as these roles."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Sequence

from worker.process import work
from worker.roles import Role
from worker.settings import BadSettings, read_settings
from worker.start_up import CannotStart
from workflows.logs import configure_logs

CANNOT_START = 2
"""Exit code: starting it again helps only after somebody has done what the message says."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until told to leave. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="Works as one or several roles of Airlock.")
    names = [role.value for role in Role]
    parser.add_argument("--role", action="append", required=True, choices=names, help="may be given several times")
    roles = [Role(name) for name in dict.fromkeys(parser.parse_args(arguments).role)]
    try:
        settings = read_settings()
        configure_logs(settings.log_level)
        asyncio.run(work(roles, settings))
    except (BadSettings, CannotStart) as error:
        sys.stderr.write(f"airlock worker: {error}\n")
        return CANNOT_START
    finally:
        gc.collect()  # a client of Temporal that is collected at the interpreter's exit can crash it
    return 0


if __name__ == "__main__":
    sys.exit(main())
