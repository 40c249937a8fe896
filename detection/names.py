"""Names that say what a script is after: one table per kind, from name to rule. Standard library only.

Names are compared after parsing, so escapes, look-alike letters, comments and strings play no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from detection.library_reach import WHOLE_MODULES


def _table(*rows: tuple[str, Iterable[str]]) -> Mapping[str, str]:
    return MappingProxyType({name: rule for rule, names in rows for name in names})


BUILTIN_NAMES = _table(
    ("dynamic_code", ("exec", "eval", "compile", "__import__", "breakpoint")),
    ("builtins_access", ("__builtins__", "__loader__")),
    ("loader_access", ("__spec__",)),
)
"""Bare names. Those of `dynamic_code` count only where they mean the builtin."""

ATTRIBUTES = _table(
    ("introspection", ("__subclasses__", "__globals__", "__closure__", "__builtins__", "__import__", "__loader__")),
    ("introspection", ("__code__", "gi_code", "cr_code", "ag_code", "f_code", "co_code", "func_globals", "func_code")),
    ("frame_access", ("f_back", "f_globals", "f_locals", "f_builtins", "tb_frame", "gi_frame", "cr_frame", "ag_frame")),
    ("native_code", ("ctypes", "ctypeslib", "CDLL", "PyDLL", "WinDLL", "cdll", "pythonapi", "dlopen", "LoadLibrary")),
    (
        "native_code",
        ("load_library", "dlsym", "c_void_p", "string_at", "PROT_EXEC", "load_extension", "enable_load_extension"),
    ),
    ("native_code", ("__array_interface__", "__array_struct__", "__cuda_array_interface__")),
    ("native_code", ("ExternalFunction", "cpp_extension", "load_inline", "RawKernel", "RawModule")),
    ("starts_process", ("set_executable",)),
    ("dynamic_code", ("runctx", "runeval", "runstring", "rundocs", "source_to_code")),
    ("starts_process", ("subprocess_exec", "subprocess_shell")),
    ("network_protocol", ("create_unix_connection", "create_unix_server", "create_datagram_endpoint")),
    ("network_protocol", ("connect_accepted_socket", "sock_connect", "sock_accept")),
    ("unpickles_literal", ("ForkingPickler",)),
    ("foreign_descriptor", ("connect_read_pipe", "connect_write_pipe")),
    ("introspection", ("get_coro", "temp_original", "get_original")),
    ("introspection", ("_Printer__filenames", "_Printer__data", "_Printer__lines", "_Printer__setup")),
    ("frame_access", ("_getframe", "_current_frames", "_getframemodulename")),
)
"""Attributes, of whatever object."""

CODE_ATTRIBUTES = frozenset({"__code__", "gi_code", "cr_code", "ag_code", "f_code"})
HARMLESS_CODE_FIELDS = frozenset(
    {"co_name", "co_qualname", "co_filename", "co_firstlineno", "co_varnames", "co_argcount", "co_kwonlyargcount"}
    | {"co_posonlyargcount", "co_flags", "co_nlocals"}
)
"""`f.__code__.co_varnames` is how honest code looks at a signature."""

_EXEC = [f"exec{how}" for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")]
_SPAWN = [f"spawn{how}" for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")]
_OS = _table(
    ("starts_process", ("_execvpe", "_spawnvef")),
    ("starts_process", ("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile")),
    ("starts_process", (*_EXEC, *_SPAWN)),
    ("signals_process", ("kill", "killpg", "pidfd_send_signal")),
    ("early_exit", ("_exit", "abort")),
    ("makes_links", ("symlink", "link", "mkfifo", "mknod")),
    ("changes_privileges", ("chroot", "setuid", "setgid", "seteuid", "setegid", "setresuid", "setresgid", "setgroups")),
    ("changes_privileges", ("unshare", "setns", "pidfd_open", "memfd_create", "lchown", "fchown", "setxattr")),
    ("changes_privileges", ("setsid", "setpgid", "setpgrp", "tcsetpgrp", "initgroups", "setreuid", "setregid")),
    ("changes_privileges", ("openpty", "login_tty", "lchflags", "chflags", "removexattr", "pidfd_getfd")),
    ("signals_process", ("setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam")),
    ("hooks_interpreter", ("register_at_fork",)),
    ("signals_process", ("O_ASYNC",)),
)
_SUBPROCESS = _table(
    ("starts_process", ("run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"))
)
_BUILTINS = _table(("dynamic_code", ("exec", "eval", "compile", "__import__", "breakpoint")))

_RUN_AS_CODE: Mapping[str, str] = {
    "dataclasses": "_create_fn _FuncBuilder",
    "typing": "_eval_type _make_forward_ref",
    "gettext": "c2py",
    "sysconfig": "_init_posix",
    "xml.sax": "_create_parser",
    "multiprocessing.spawn": "_fixup_main_from_path _fixup_main_from_name prepare import_main_path spawn_main _main",
    "multiprocessing.sharedctypes": "make_property",
    "optparse.Values()": "read_file read_module",
    "importlib.machinery": "BuiltinImporter FrozenImporter PathFinder",
    "importlib": "_bootstrap _bootstrap_external",
}
"""Functions that the library has for itself: they run, or import, what they are handed as text."""
_PRIVATE = {module: _table(("dynamic_code", names.split())) for module, names in _RUN_AS_CODE.items()}

MODULE_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "os": _OS,
        "posix": _OS,
        "subprocess": _SUBPROCESS,
        "asyncio": _table(("starts_process", ("create_subprocess_exec", "create_subprocess_shell"))),
        "builtins": _BUILTINS,
        "signal": _table(("signals_process", ("pthread_kill", "pidfd_send_signal", "raise_signal"))),
        "gc": _table(
            ("introspection", ("get_objects", "get_referrers", "get_referents")), ("hooks_interpreter", ("callbacks",))
        ),
        "inspect": _table(
            ("frame_lookup", ("currentframe", "stack", "getouterframes", "getinnerframes", "trace")),
            ("frame_access", ("getgeneratorlocals", "getcoroutinelocals", "getasyncgenlocals", "getclosurevars")),
            ("dynamic_code", ("_signature_fromstr", "_signature_from_builtin", "_main")),
        ),
        "sys": _table(
            ("tracing", ("settrace", "setprofile", "addaudithook", "monitoring", "call_tracing")),
            ("native_code", ("setdlopenflags",)),
            ("dynamic_code", ("breakpointhook", "__breakpointhook__")),
            ("hooks_interpreter", ("set_asyncgen_hooks", "set_coroutine_origin_tracking_depth", "__interactivehook__")),
        ),
        "threading": _table(
            ("tracing", ("settrace", "setprofile", "settrace_all_threads", "setprofile_all_threads")),
            ("hooks_interpreter", ("_register_atexit",)),
        ),
        "uuid": _table(
            ("starts_process", ("_get_command_stdout", "_find_mac_near_keyword", "_find_mac_under_heading"))
        ),
        "platform": _table(("starts_process", ("_syscmd_file", "_syscmd_ver", "_Processor"))),
        "pickle": _table(
            ("unpickles_literal", ("REDUCE", "GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD")),
            ("unpickles_literal", ("_Unpickler", "_loads", "_load", "EXT1", "EXT2", "EXT4")),
        ),
        "fcntl": _table(
            ("machine_interface", ("ioctl",)),
            # the kernel signals whom a script names as the owner of a descriptor
            ("signals_process", ("F_SETOWN", "F_SETSIG", "F_SETOWN_EX", "F_SETLEASE", "F_NOTIFY", "FASYNC")),
        ),
        "codecs": _table(("hooks_interpreter", ("register", "unregister"))),
        "encodings": _table(("hooks_interpreter", ("_cache", "aliases")), ("dynamic_code", ("search_function",))),
        "traceback": _table(("frame_access", ("walk_stack",))),
        "xml.sax.handler": _table(("reads_entities", ("feature_external_ges", "feature_external_pes"))),
        "types": _table(("introspection", ("CodeType",))),
        "pkgutil": _table(("dynamic_code", ("resolve_name", "read_code", "ImpLoader", "ImpImporter"))),
        "pydoc": _table(
            (
                "dynamic_code",
                ("locate", "safeimport", "resolve", "importfile", "writedoc", "writedocs", "browse"),
            ),
            ("starts_process", ("pipepager", "tempfilepager")),
        ),
        "site": _table(("dynamic_code", ("addpackage", "execsitecustomize", "execusercustomize"))),
        "warnings": _table(("dynamic_code", ("_getcategory", "_setoption", "_processoptions"))),
        "faulthandler": _table(
            (
                "early_exit",
                ("_sigsegv", "_sigabrt", "_sigfpe", "_fatal_error", "_stack_overflow", "_read_null"),
            ),
            ("early_exit", ("dump_traceback_later",)),
        ),
        **dict.fromkeys(("cProfile", "profile", "timeit", "trace"), _table(("dynamic_code", ("main",)))),
        **dict.fromkeys(
            ("multiprocessing", "multiprocessing.process"), _table(("signals_process", ("parent_process",)))
        ),
        "psutil": _table(("signals_process", ("process_iter", "pids")), ("starts_process", ("Popen",))),
        "psutil.Process()": _table(
            ("signals_process", ("kill", "terminate", "suspend", "send_signal", "parent", "parents"))
        ),
        **_PRIVATE,
        "distutils.spawn": _table(("starts_process", ("spawn",))),
        "multiprocessing.util": _table(("starts_process", ("spawnv_passfds",))),
        "resource": _table(("signals_process", ("prlimit",))),
        "unittest.mock": _table(("dynamic_code", ("_importer", "_dot_lookup", "_get_target", "_set_signature"))),
        "test.support.import_helper": _table(("dynamic_code", ("import_module", "import_fresh_module"))),
        "logging.config": _table(
            ("dynamic_code", ("_resolve", "fileConfig", "listen", "BaseConfigurator", "DictConfigurator")),
            ("dynamic_code", ("_install_handlers", "_install_loggers", "_create_formatters")),
        ),
        "doctest": _table(
            ("dynamic_code", ("DocTestParser", "DocTestRunner", "DebugRunner", "debug_src", "debug_script")),
            ("dynamic_code", ("Example", "DocTest", "_normalize_module")),
        ),
        "pdb": _table(("dynamic_code", ("Pdb",))),
        "importlib.abc": _table(
            ("code_loading", ("InspectLoader", "ExecutionLoader", "FileLoader", "SourceLoader", "Loader")),
            ("code_loading", ("MetaPathFinder", "PathEntryFinder", "ResourceLoader")),
        ),
        "importlib.metadata": _table(("dynamic_code", ("EntryPoint",))),
        "multiprocessing.managers": _table(
            ("network_protocol", ("BaseManager", "SyncManager", "Server")), ("dynamic_code", ("MakeProxyType",))
        ),
        "xmlrpc.server": _table(("dynamic_code", ("resolve_dotted_attribute",))),
        "airlock_runtime": _table(("harness_access", ("send", "receive", "Model", "__file__", "__dict__", "_read"))),
        "webbrowser": _table(("opens_browser", ("open", "open_new", "open_new_tab", "get"))),
    }
)
"""What counts only as a name of that module, whatever the module is called in the script."""

MODULE_ATTRIBUTES = frozenset(name for names in MODULE_NAMES.values() for name in names)

IMPORTS = WHOLE_MODULES
"""Modules whose import alone is a finding."""


@lru_cache(maxsize=4096)
def refusal(module: str) -> str:
    """The rule by which importing `module`, or what it lies in, is a finding; empty where there is none."""
    parts = module.split(".")
    found = (IMPORTS.get(".".join(parts[:length])) for length in range(1, len(parts) + 1))
    return next(filter(None, found), "")


PATCHED_MODULES = frozenset(
    {"builtins", "json", "airlock_runtime", "json.encoder", "json.JSONEncoder", "json.encoder.JSONEncoder"}
)
"""Assigning to an attribute of these changes what the harness around the script sees."""

DANGEROUS_NAMES = frozenset(
    {name for name in (*BUILTIN_NAMES, *ATTRIBUTES) if name != "compile"}
    | set(IMPORTS)
    | set(_OS)
    | {"subprocess", "Popen", "create_subprocess_exec", "create_subprocess_shell", "resolve_name", "CodeType"}
    | {"__class__", "__base__", "__bases__", "__mro__", "__getattribute__", "__self__", "__dict__", "builtins"}
)
"""Names that nobody needs to put together from pieces. (The word `code` is one an honest script may build.)"""
