"""Rules about programs, processes and the kernel's rarer calls."""

from __future__ import annotations

import posixpath
import re

from detection.rule_tables.rule import Rule
from detection.rules import RULES
from domain.runs import Attempt

_PROBES = frozenset(
    {"lscpu", "uname", "ldconfig", "gcc", "cc", "ld", "ld.bfd", "objdump", "nproc", "getconf", "locale", "lsb_release"}
    | {"file", "ifconfig", "ip", "arp", "lanscan", "netstat", "sysctl", "nvidia-smi", "rocm-smi", "git", "tput", "stty"}
)
"""Libraries run these to learn about the machine: sklearn, platform, ctypes.util, uuid."""
_TEXT_TOOLS = frozenset(
    {"echo", "printf", "true", "false", "date", "seq", "sort", "uniq", "wc", "head", "tail", "cut", "tr", "expr", "bc"}
    | {"basename", "dirname", "pwd", "sleep", "cal", "diff", "cmp"}
)
"""They read what they are given and write it out: nothing that Python could not do."""
_INTERPRETER = re.compile(r"^(?:python|pypy)[\d.]*$")
_INTRUDER_TOOLS = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "fish", "perl", "ruby", "node", "php", "lua", "awk", "gawk"}
    | {"curl", "wget", "nc", "ncat", "netcat", "socat", "telnet", "ftp", "tftp", "ssh", "scp", "sftp", "rsync", "nmap"}
    | {"dig", "nslookup", "host", "ping", "traceroute", "tcpdump", "openssl", "sudo", "su", "doas", "pkexec", "passwd"}
    | {"mount", "umount", "nsenter", "unshare", "chroot", "setpriv", "capsh", "insmod", "modprobe", "kubectl", "docker"}
    | {"podman", "ctr", "crictl", "runc", "systemctl", "service", "crontab", "at", "gdb", "strace", "ltrace", "kill"}
    | {"pkill", "killall", "iptables", "nft", "useradd", "usermod", "chattr", "dd", "shutdown", "reboot", "screen"}
    | {"tmux", "nohup", "xmrig", "apt", "apt-get", "dpkg", "yum", "dnf", "apk", "pip", "pip3", "npm", "tar", "base64"}
)
_WRITABLE = re.compile(r"^/(?:tmp|work|scratch|var/tmp|dev/shm)/|^/proc/(?:self|\d+)/fd/|^/dev/fd/|memfd:")
_OWNERSHIP_COMMANDS = {"fcntl": {8, 10, 15}, "ioctl": {0x8901, 0x8902, 0x5410}}
"""F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP, TIOCSPGRP: signals without a kill call."""
_STEERING = frozenset({4, 22, 35, 0x59616D61})
"""PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_MM, PR_SET_PTRACER."""
_QUIET_KERNEL_CALLS = ("io_uring_", "io_setup", "io_destroy", "io_getevents", "io_submit", "io_cancel", "landlock_")
"""Event loops and sandboxing libraries try these and do without."""


def exec_rule(attempt: Attempt) -> Rule:
    """Every program is refused; which one it was tells an honest library from an intruder."""
    program = posixpath.basename(attempt.target)
    if _INTERPRETER.match(program):
        return RULES["runs_interpreter"]
    if _WRITABLE.search(attempt.target):
        return RULES["runs_dropped_file"]
    if program in _INTRUDER_TOOLS:
        return RULES["runs_intruder_tool"]
    if program in _TEXT_TOOLS:
        return RULES["runs_text_tool"]
    return RULES["runs_probe" if program in _PROBES else "runs_program"]


def process_rule(attempt: Attempt) -> Rule | None:
    """Children are allowed and counted elsewhere; changing what the kernel thinks of a process is not."""
    name, numbers = call_of(attempt.target)
    if name == "personality":
        return RULES["calls_kernel_feature"]
    if name == "prctl" and numbers[:1] and numbers[0] in _STEERING:
        return RULES["tampers_with_runner"]
    return None


def signal_rule(attempt: Attempt) -> Rule | None:
    """Its own children are its own to signal."""
    return None if attempt.allowed else RULES["signals_foreign_process"]


def limits_rule(attempt: Attempt) -> Rule | None:
    """Limits, priorities and owners of other processes: ways to stop the runner without a signal."""
    name, numbers = call_of(attempt.target)
    if name in _OWNERSHIP_COMMANDS:
        command = numbers[1] if len(numbers) > 1 else 0
        return RULES["tampers_with_runner"] if command in _OWNERSHIP_COMMANDS[name] else None
    return None if attempt.allowed else RULES["tampers_with_runner"]


def memory_rule(attempt: Attempt) -> Rule | None:
    """Files without a path, and tools of kernel exploits."""
    name, _ = call_of(attempt.target)
    if name in {"userfaultfd", "remap_file_pages"}:
        return RULES["calls_kernel_feature"]
    return RULES["hides_memory"] if name.startswith("memfd_") else None


def kernel_rule(attempt: Attempt) -> Rule | None:
    """The kernel's own administration."""
    return None if attempt.target.startswith(_QUIET_KERNEL_CALLS) else RULES["calls_kernel_feature"]


def call_of(target: str) -> tuple[str, list[int]]:
    """`fcntl(0x3, 0x8, 0x1)` as a name and numbers; no numbers where there are none."""
    name, _, rest = target.partition("(")
    try:
        return name, [int(number, 0) for number in rest.rstrip(")").split(", ") if number]
    except ValueError:
        return name, []
