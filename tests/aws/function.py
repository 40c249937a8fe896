"""The function as Lambda runs it: an event a line on standard input, its answer a line on standard output."""

from __future__ import annotations

import json
import os
import sys

from api.serverless.handler import handle


class Time:
    """What Lambda tells of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(handle(json.loads(line), Time())) + "\n")
        sys.stdout.flush()
    os._exit(0)  # as Lambda does it: nobody is told


if __name__ == "__main__":
    main()
