from __future__ import annotations

import pytest

from detection.behaviour.watch import BehaviourWatch
from detection.rules import BEHAVIOUR
from domain.findings import Severity, StageReport, Verdict
from domain.lifecycle import Stage
from domain.policy import Policy
from domain.runs import Attempt, RunRecord

EXAMPLES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "contacts_metadata_service": (("connect", "169.254.169.254:80"), ("connect", "/run/nscd/socket")),
    "contacts_network": (("connect", "127.0.0.1:5432"), ("connect", "")),
    "contacts_engine": (("connect", "/var/run/docker.sock"), ("connect", "/dev/log")),
    "contacts_local_socket": (("connect", "/tmp/some.sock"), ("connect", "/var/run/nscd/socket")),
    "creates_socket": (("socket", "inet stream"), ("socket", "unix stream")),
    "creates_special_socket": (("socket", "family 38 type 5"), ("socket", "family 16 type 3")),
    "listens": (("bind", "0.0.0.0:8080"), ("bind", "/tmp/pymp-1/listener")),
    "reads_credential_file": (("open", "/root/.aws/credentials"), ("open", "/root/.config/matplotlib/matplotlibrc")),
    "reads_other_process": (("open", "/proc/1/environ"), ("open", "/proc/self/maps")),
    "opens_kernel_interface": (("open", "/proc/sysrq-trigger"), ("open", "/sys/fs/cgroup/memory.max")),
    "reads_own_environment_file": (("open", "/proc/self/environ"), ("open", "/proc/self/status")),
    "persists": (("write", "/etc/cron.d/job"), ("open", "/etc/profile")),
    "writes_system_file": (("write", "/usr/bin/python3"), ("write", "/usr/lib/python3/__pycache__/a.pyc.1")),
    "writes_outside": (("write", "/srv/file"), ("write", "/dev/null")),
    "runs_intruder_tool": (("exec", "/bin/bash"), ("exec", "/usr/bin/lscpu")),
    "runs_dropped_file": (("exec", "/proc/self/fd/5"), ("exec", "/usr/bin/uname")),
    "runs_interpreter": (("exec", "/usr/bin/python3.11"), ("exec", "/usr/bin/ldconfig")),
    "runs_program": (("exec", "/usr/bin/factor"), ("exec", "/sbin/ldconfig")),
    "runs_text_tool": (("exec", "/usr/bin/echo"), ("exec", "/usr/bin/id")),
    "probes_sandbox": (("open", "/.dockerenv"), ("open", "/proc/self/cgroup")),
    "runs_probe": (("exec", "/usr/bin/uname"), ("exec", "/usr/bin/id")),
    "signals_foreign_process": (("signal", "kill(runner)"), ("process", "fork")),
    "tampers_with_runner": (("limits", "prlimit64(runner)"), ("limits", "ioctl(0x1, 0x5414, 0x0)")),
    "traces_process": (("ptrace", "ptrace(0x10, 0x1, 0x0)"), ("process", "fork")),
    "enters_namespace": (("namespace", "unshare(0x10000000, 0x0, 0x0)"), ("process", "clone")),
    "changes_identity": (("identity", "setuid(0x0, 0x0, 0x0)"), ("process", "fork")),
    "hides_memory": (("memory", "memfd_create(0x1, 0x2, 0x3)"), ("memory", "shmget(0x1, 0x2, 0x3)")),
    "tries_something_else": (("unheard of", "x"), ("process", "fork")),
    "calls_kernel_feature": (("kernel", "bpf(0x1, 0x2, 0x3)"), ("kernel", "io_uring_setup(0x1, 0x2, 0x3)")),
}
OF_THE_WHOLE = {  # tests/detection/behaviour/test_whole_run.py
    *("scans_network", "starts_many_processes", "hides_network_code", "hides_process_code", "studies_sandbox"),
    *("opens_reverse_shell", "carries_decoy", "uses_up_limit", "ends_early", "makes_forbidden_call"),
}

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


def refused(kind: str, target: str, count: int = 1) -> Attempt:
    return Attempt(kind=kind, target=target, allowed=False, count=count)


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_notices_its_example(rule: str):
    kind, target = EXAMPLES[rule][0]

    assert rule in rules(refused(kind, target))


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_leaves_its_neighbour_alone(rule: str):
    kind, target = EXAMPLES[rule][1]
    allowed = kind == "process"

    assert rule not in rules(Attempt(kind=kind, target=target, allowed=allowed))


def test_every_behaviour_rule_has_its_examples():
    assert {rule.id for rule in BEHAVIOUR} == set(EXAMPLES) | OF_THE_WHOLE


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
