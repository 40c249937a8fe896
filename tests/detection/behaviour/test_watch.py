from __future__ import annotations

import pytest

from detection.behaviour.watch import BehaviourWatch, findings_of
from detection.rule_tables.rule import Rule, RunExample
from detection.rules import BEHAVIOUR
from domain.decoys import decoys_for
from domain.findings import Severity, StageReport, Verdict
from domain.lifecycle import Stage
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.runs import Attempt, Backend, Isolation, RunRecord, RunReport

SCIENCE = [  # what importing scientific libraries, asyncio and platform leave in a record
    Attempt(kind="open", target="/etc/localtime", allowed=False),
    Attempt(kind="open", target="/etc/nsswitch.conf", allowed=False),
    Attempt(kind="open", target="/etc/passwd", allowed=False),
    Attempt(kind="open", target="/proc/self/maps", allowed=False),
    Attempt(kind="open", target="/proc/cpuinfo", allowed=False),
    Attempt(kind="open", target="/proc/meminfo", allowed=False),
    Attempt(kind="open", target="/sys/devices/system/cpu/possible", allowed=False),
    Attempt(kind="open", target="/sys/fs/cgroup/cpu.max", allowed=False),
    Attempt(kind="open", target="/root/.netrc", allowed=False),
    Attempt(kind="open", target="/root/.cache/huggingface/token", allowed=False),
    Attempt(kind="open", target="/usr/share/locale/en/LC_MESSAGES/libc.mo", allowed=False),
    Attempt(kind="write", target="/root/.config/matplotlib", allowed=False),
    Attempt(kind="write", target="/usr/lib/python3/site-packages/numba/__pycache__/x.pyc.140", allowed=False),
    Attempt(kind="write", target="/dev/shm/sem.mp-1", allowed=False),
    Attempt(kind="write", target="/var/lib/libuuid/clock.txt", allowed=False),  # uuid.uuid1()
    Attempt(kind="exec", target="/usr/local/bin/lscpu", allowed=False),
    Attempt(kind="exec", target="/usr/bin/uname", allowed=False),
    Attempt(kind="exec", target="/sbin/ldconfig", allowed=False),
    Attempt(kind="exec", target="/usr/bin/python3.11", allowed=False),
    Attempt(kind="connect", target="/var/run/nscd/socket", allowed=False),
    Attempt(kind="connect", target="", allowed=False),
    Attempt(kind="socket", target="inet stream", allowed=True),
    Attempt(kind="process", target="fork", allowed=True, count=40),
    Attempt(kind="process", target="prctl(0x1, 0x9, 0x0)", allowed=False),
    Attempt(kind="limits", target="ioctl(0x3, 0x5414, 0x0)", allowed=False),
    Attempt(kind="kernel", target="io_uring_setup(0x1, 0x2, 0x3)", allowed=False),
]


def rules(*attempts: Attempt, script: bytes = b"import socket") -> list[str]:
    return [found.rule for found in BehaviourWatch(script).conclude(RunRecord(attempts=attempts))]


def rules_of(example: RunExample) -> set[str]:
    attempts = [an_attempt(words, example.times) for words in example.tried]
    isolation = Isolation(backend=Backend.LANDLOCK, level=1)
    outcome = RunOutcome(example.outcome)
    report = RunReport(run_id="a", outcome=outcome, isolation=isolation, record=RunRecord(attempts=tuple(attempts)))
    decoy = decoys_for(example.script).secrets[0]
    return {found.rule for found in findings_of(example.script, report, [example.printed.replace("DECOY", decoy)])}


def an_attempt(words: str, times: int) -> Attempt:
    kind, _, target = words.removeprefix("+").partition(" ")
    return Attempt(kind=kind, target=target, allowed=words.startswith("+"), count=times)


def refused(kind: str, target: str, count: int = 1) -> Attempt:
    return Attempt(kind=kind, target=target, allowed=False, count=count)


@pytest.mark.parametrize("rule", BEHAVIOUR, ids=lambda rule: rule.id)
def test_a_rule_notices_its_example_and_leaves_its_neighbour_alone(rule: Rule):
    assert isinstance(rule.noticed, RunExample)
    assert isinstance(rule.left_alone, RunExample)

    assert rule.id in rules_of(rule.noticed)
    assert rule.id not in rules_of(rule.left_alone)


def test_every_rule_about_runs_has_its_technique():
    assert [rule.id for rule in BEHAVIOUR if rule.technique is None] == []


def test_what_science_does_is_approved():
    findings = BehaviourWatch(b"import sklearn").conclude(RunRecord(attempts=tuple(SCIENCE), complete=True))

    report = StageReport(stage=Stage.SANDBOX_TRIAL, findings=findings)
    assert Policy().verdict_of(report) is Verdict.APPROVED, findings


@pytest.mark.parametrize(
    "target",
    [
        "[::ffff:169.254.169.254]:80",
        "[fd00:ec2::254]:80",
        "100.100.100.200:80",
        "169.254.170.2:80",
        "[::ffff:a9fe:a9fe]:80",
    ],
)
def test_a_metadata_service_is_known_by_all_its_addresses(target: str):
    assert rules(refused("connect", target)) == ["contacts_metadata_service"]


@pytest.mark.parametrize("target", ["169.254.169.25:80", "1.169.254.169.2:80", "169.254.1.1:80"])
def test_a_neighbour_of_the_metadata_service_is_only_a_network(target: str):
    assert rules(refused("connect", target)) == ["contacts_network"]


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/run/secrets/db",
        "/home/me/.ssh/id_rsa",
        "/etc/shadow",
        "/proc/self/root/etc/shadow",
        "/proc/1/root/etc/shadow",
        "/etc/../etc//shadow",
        "/root/.kube/config",
        "/tmp/my-kubeconfig.yaml",
        "/home/me/.config/gcloud/credentials.db",
    ],
)
def test_credentials_are_known_by_their_paths(path: str):
    assert rules(refused("open", path)) == ["reads_credential_file"]


def test_a_link_is_judged_by_both_its_ends():
    assert rules(refused("write", "/etc/shadow -> /work/result.json")) == ["reads_credential_file"]
    assert rules(refused("write", "/work/a -> /etc/cron.d/a")) == ["persists"]


def test_its_own_files_are_nobodys_business():
    assert rules(Attempt(kind="write", target="/work/.bashrc", allowed=True)) == []


@pytest.mark.parametrize(
    "call", ["fcntl(0x3, 0x8, 0x1)", "fcntl(0x3, 0xa, 0x9)", "ioctl(0x3, 0x8901, 0x0)", "sched_setaffinity(1)"]
)
def test_every_detour_to_the_runner_is_tampering(call: str):
    assert rules(refused("limits", call)) == ["tampers_with_runner"]


def test_an_attempt_is_told_at_once_and_concluded_once():
    watch = BehaviourWatch(b"import socket")
    attempt = refused("connect", "10.0.0.1:80")

    told = watch.see(attempt)
    concluded = watch.conclude(RunRecord(attempts=(attempt, attempt)))

    assert told is not None
    assert told.severity is Severity.HIGH
    assert concluded == (told,)


def test_the_heaviest_finding_comes_first():
    assert (
        rules(refused("socket", "inet stream"), refused("connect", "169.254.169.254:80"))[0]
        == "contacts_metadata_service"
    )


def test_text_of_the_script_is_made_harmless():
    (found,) = BehaviourWatch().conclude(RunRecord(attempts=(refused("open", "/etc/shadow/\x1b[2J\n" + "x" * 250),)))

    assert found.evidence.isprintable()
    assert len(found.evidence) <= 300
