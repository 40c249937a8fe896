"""The environment variables of a script: those that its interpreter reads as it starts, and all of them."""

from __future__ import annotations

from sandbox.box.home import home_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.box.order import Order


def at_start(seed: int) -> dict[str, str]:
    """What changes an interpreter for good, so that it has to be there when it starts."""
    return {
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": str(seed % (1 << 32)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def environment_of(order: Order) -> dict[str, str]:
    """The script's whole environment."""
    return {
        "HOME": home_below(order.scratch),
        "TMPDIR": order.scratch,
        "PATH": "/usr/bin:/bin",
        "USER": "airlock",  # its uid has no name, and `getpass.getuser` would fail
        **at_start(order.task["seed"]),
        "OMP_NUM_THREADS": "1",  # one thread each: libraries would start one per processor of the machine
        "OPENBLAS_NUM_THREADS": "1",
        "LOKY_MAX_CPU_COUNT": "1",  # otherwise joblib starts lscpu
        "MPLBACKEND": "Agg",
        **order.decoys,
    }
