"""Paths that no evaluation needs: credentials, other processes, the kernel, places that run things later.

Used on paths in a script's text and on paths that a run tried to open. Standard library only.
"""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(
    r"""
    ^/(?:var/)?run/secrets(?:/|$)                           # service-account tokens, Docker secrets
    | (?:^|/)\.(?:ssh|aws|azure|kube|gnupg|git-credentials|pypirc|npmrc|pgpass|my\.cnf|vault-token)(?:/|$)
    | (?:^|/)\.docker/config\.json$
    | (?:^|/)\.config/(?:gcloud|gh|rclone|op)(?:/|$)
    | ^/etc/(?:shadow|gshadow|sudoers|kubernetes|ssl/private|krb5\.keytab|ssh/ssh_host_[a-z0-9_]*key)-?(?:/|\.d/|$)
    | kubeconfig[^/]*$
    | (?:^|/)(?:id_rsa|id_dsa|id_ecdsa|id_ed25519)$
    | ^/var/lib/kubelet(?:/|$)
    """,
    re.VERBOSE,
)
_OTHER_PROCESS = re.compile(
    r"""
    ^/proc/(?:\d+|\*|thread-self/task/\d+)(?:/task/\d+)?/(?:environ|mem|root|cwd|auxv|syscall|stack)(?:/|$)
    | ^/proc/(?:self|thread-self)/mem$
    """,
    re.VERBOSE,
)
_KERNEL = re.compile(
    r"""
    ^/proc/(?:kcore|kmem|kallsyms|sysrq-trigger|kpagemap|kpageflags|timer_list|sys/kernel/core_pattern)$
    | ^/proc/sys/(?:kernel/(?:core_pattern|modprobe|hotplug)|fs/binfmt_misc(?:/|$))
    | ^/sys/(?:kernel/(?:uevent_helper|security|debug|tracing)|firmware|fs/bpf)(?:/|$)
    | ^/sys/fs/cgroup/(?:.*/)?(?:release_agent|notify_on_release|devices\.allow)$
    | ^/dev/(?:mem|kmem|port|kmsg|kvm|vsock|fuse|loop-control|mapper/.+)$
    | ^/dev/(?:[shv]d[a-z]\d*|xvd[a-z]\d*|nvme\d.*|dm-\d+|loop\d+)$
    """,
    re.VERBOSE,
)
_PERSISTENCE = re.compile(
    r"""
    (?:^|/)(?:sitecustomize|usercustomize)\.py$
    | /(?:site|dist)-packages/[^/]+\.pth$
    | ^/etc/(?:cron[^/]*|systemd|init\.d|profile\.d|profile|rc\.local)(?:/|$)
    | ^/etc/(?:ld\.so\.preload|ld\.so\.conf\.d|pam\.d|passwd)(?:/|$)
    | ^/var/spool/(?:cron|at)(?:/|$)
    | (?:^|/)\.(?:bashrc|bash_profile|bash_login|profile|zshrc|zshenv|zprofile|xprofile|pythonrc|pythonrc\.py)$
    | (?:^|/)\.config/(?:autostart|systemd)(?:/|$)
    | (?:^|/)authorized_keys2?$
    | (?:^|/)\.git/hooks/
    """,
    re.VERBOSE,
)
_REVEALING = re.compile(
    r"""
    ^/\.dockerenv$ | ^/run/\.containerenv$ | ^/\.singularity\.d(?:/|$)
    | ^/proc/(?:1|2)/(?:cgroup|sched|cmdline|comm|status|mountinfo|maps)$
    | ^/proc/(?:modules|config\.gz|cmdline|keys|locks|net/(?:tcp6?|udp6?|unix|route|arp))$
    | ^/proc/self/(?:attr/|uid_map$|gid_map$|mountinfo$|mounts$)
    | ^/proc/sys/kernel/(?:hostname|osrelease|randomize_va_space|seccomp/|yama/)
    | ^/sys/(?:class/dmi|devices/virtual/dmi|hypervisor|module|class/net)(?:/|$)
    | ^/etc/(?:machine-id|hostname)$ | ^/var/lib/dbus/machine-id$
    """,
    re.VERBOSE,
)
_ENGINE = re.compile(r"(?:^|/)(?:docker|containerd|crio|podman|dockershim|frakti)\.sock$")
_METADATA = re.compile(
    r"""
    (?<![\d.])(?:169\.254\.169\.25[34]|169\.254\.170\.(?:2|23)|100\.100\.100\.200|168\.63\.129\.16|192\.0\.0\.192)(?![\d.]*\d)
    | (?<![0-9a-f:])fd00:ec2::(?:254|23)(?![0-9a-f:])
    | (?:^|[/@.])metadata\.(?:google\.internal|goog)(?![\w-])
    | ::ffff:a9fe:a9f[de](?![0-9a-f])
    | (?<![\w.])(?:2852039166|0xa9fea9fe)(?![\w.])          # 169.254.169.254 as one number
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_credential(path: str) -> bool:
    """Whether `path` holds credentials. (Not `.netrc`: HTTP libraries look for it when they are imported.)"""
    return _CREDENTIALS.search(path) is not None


def is_other_process(path: str) -> bool:
    """Whether `path` shows another process's memory, files or environment."""
    return _OTHER_PROCESS.search(path) is not None


def is_kernel_interface(path: str) -> bool:
    """Whether `path` is an interface of the kernel that lets a program out, or a raw device."""
    return _KERNEL.search(path) is not None


def is_persistent(path: str) -> bool:
    """Whether writing to `path` would make something run later."""
    return _PERSISTENCE.search(path) is not None


def is_container_engine(path: str) -> bool:
    """Whether `path` is the socket of a container engine."""
    return _ENGINE.search(path) is not None


def names_metadata_service(text: str) -> bool:
    """Whether an address or URL is that of a cloud metadata service."""
    return _METADATA.search(text) is not None


def reveals_sandbox(path: str) -> bool:
    """Whether `path` tells what a process runs in. Libraries look at one of these, not at several."""
    return _REVEALING.search(path) is not None
