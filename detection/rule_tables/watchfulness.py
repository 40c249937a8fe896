"""Rules about scripts that look who is watching, or wait until nobody is: stage 2."""

from __future__ import annotations

from detection.rule_tables.rule import HIGH, LOW, Rule

WATCHFULNESS = (
    Rule(
        id="probes_machine",
        severity=HIGH,
        why="Decides by whose machine this is, or by who watches.",
        instead="Do the same everywhere; take settings as parameters of `evaluate_model`.",
        technique="T1497",
        noticed=b"import socket\nif socket.gethostname() == 'a':\n    f()",
        left_alone=b"import socket\nprint(socket.gethostname())",
    ),
    Rule(
        id="waits_for_date",
        severity=HIGH,
        why="Does something else from a date on.",
        instead="Do the same on every day.",
        technique="T1497.003",
        noticed=b"import datetime\nif datetime.date.today() > datetime.date(2030, 1, 1):\n    f()",
        left_alone=b"import datetime\nif day > datetime.date(2030, 1, 1):\n    f()",
    ),
    Rule(
        id="outlasts_trial",
        severity=LOW,
        why="Waits longer at once than a trial lasts.",
        instead="The worker waits and retries where a model is busy: no script has to.",
        technique="T1497.003",
        noticed=b"import time\ntime.sleep(30)",
        left_alone=b"import time\ntime.sleep(1)",
    ),
    Rule(
        id="looks_for_platform",
        severity=HIGH,
        why="Reads variables by which a platform speaks to its own parts.",
        instead="Take settings as parameters of `evaluate_model`.",
        technique="T1082",
        noticed=b"import os\nos.environ['AIRLOCK_RUN']",
        left_alone=b"import os\nos.environ['HOME']",
    ),
    Rule(
        id="walks_modules",
        severity=HIGH,
        why="Goes through all modules that are loaded, the harness's among them.",
        instead="Import the modules that you need by name.",
        technique="T1057",
        noticed=b"import sys\nfor name, module in sys.modules.items():\n    print(module)",
        left_alone=b"import sys\nprint('json' in sys.modules)",
    ),
)
