"""What would eat the machine: loops without an end that only grow, and values of absurd size. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from detection.local_names import own_nodes
from detection.node_kinds import DEFINITIONS, TEXTS
from detection.notes import Note, note_at
from detection.patch_rules import is_own_function
from detection.reaching import ASKING
from detection.resolving import Resolver
from detection.syntax_tree import within

HUGE = 1 << 30
"""Bytes or elements at once: an evaluation works with thousandths of it."""
DEEPEST = 10_000_000
"""Frames, or bytes of a thread's stack in thousands: nobody recurses that deep on purpose."""
MANY = 5_000
"""Threads or processes of one loop."""
MAX_EXPONENT = 1_000_000
_ENDERS = frozenset({"BaseException", "KeyboardInterrupt", "SystemExit"})
_LACKS = frozenset({"OSError", "IOError", "EnvironmentError", "MemoryError"})
_FILLING = frozenset({"sendfile", "copy_file_range", "splice", "pwrite", "posix_fallocate"})
_ENDS = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await)
_GROWING = frozenset({"append", "extend", "add", "insert", "update", "bytearray"})
_WRITING = frozenset(
    {"print", "write", "writelines", "open", "write_bytes", "write_text", "mkdir", "mkdtemp", "touch", "mkstemp"}
)
_MAKING = frozenset({"mkdir", "mkdtemp", "touch", "mkstemp", "open"})
_WAITING = frozenset(
    {"get", "recv", "accept", "wait", "sleep", "acquire", "read", "readline", "exit", "poll", "select"}
)
_STARTERS = frozenset({"Thread", "Process", "fork", "Timer", "Popen", "start", "submit", "start_new_thread"})
_SIZED = frozenset({"builtins.bytearray", "builtins.bytes"})
_ARRAYS = frozenset({"numpy.zeros", "numpy.ones", "numpy.empty", "numpy.full"})
_TAKING = frozenset(f"builtins.{name}" for name in ("list", "tuple", "set", "sorted", "sum"))
_ENDLESS = frozenset({"itertools.count", "itertools.cycle", "itertools.repeat"})
_ENDING = frozenset({"SIGTERM", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGSEGV", "SIGXCPU", "SIGSYS", "SIGBUS"})
_OFTEN_IGNORED = frozenset({"SIGINT", "SIGPIPE", "SIGCHLD", "SIGALRM"})


def loop_notes(node: ast.While | ast.For, resolver: Resolver) -> Iterator[Note]:
    """A loop without an end whose body only adds."""
    if isinstance(node, ast.While) and _calls_starter(within(node.test, 200)):
        yield note_at("endless_spawning", node)
    elif isinstance(node, ast.For) and _turns(node.iter, resolver) >= MANY:
        parts = list(own_nodes(node.body))
        if _calls_starter(parts) or any(isinstance(part, ast.Call) and _last_name(part) in _MAKING for part in parts):
            yield note_at("endless_spawning", node)
    elif _is_endless(node, resolver) and not _breaks(node.body):
        full = _until_full(node.body)
        parts = [part for part in own_nodes(node.body) if id(part) not in full]
        names = {_last_name(part) for part in parts}
        if names & _WAITING or any(isinstance(part, _ENDS) for part in parts):
            return
        if any(map(_goes_on, parts)):
            yield note_at("ignores_signals", node, evidence="a loop that nothing ends")
        if _calls_starter(parts) or names & _WRITING:
            yield note_at("endless_spawning", node)
        elif names & _GROWING or any(map(_adds, parts)):
            yield note_at("endless_questions" if names & ASKING else "endless_growth", node)


def size_notes(node: ast.expr, resolver: Resolver) -> Iterator[Note]:
    """`bytearray(1 << 40)`, `"x" * 10**12`, `9 ** 9 ** 9`."""
    match node:
        case ast.Call(args=[size, *_]):
            huge = _is_sized(node, resolver) and _product(size, resolver) >= HUGE
            huge = huge or _takes_all(node, size, resolver)
        case ast.BinOp(left=items, op=ast.Mult(), right=times) if _is_literal(items):
            huge = _product(times, resolver) >= HUGE
        case ast.BinOp(left=times, op=ast.Mult(), right=items) if _is_literal(items):
            huge = _product(times, resolver) >= HUGE
        case ast.BinOp(op=ast.Pow(), right=exponent):
            huge = _is_tower(node) or max(resolver.integers(exponent), default=0) > MAX_EXPONENT
        case _:
            huge = False
    if huge:
        yield note_at("huge_value", node)


def signal_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`signal.signal(signal.SIGTERM, signal.SIG_IGN)`."""
    if len(node.args) != 2:
        return
    ignored = "signal.SIG_IGN" in resolver.meanings(node.args[1]) and _last_name(node.args[0]) not in _OFTEN_IGNORED
    ending = _last_name(node.args[0]) in _ENDING or isinstance(node.args[0], ast.Name | ast.Constant)
    if ignored or (ending and is_own_function(node.args[1], resolver)):
        yield note_at("ignores_signals", node)


def limit_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`resource.setrlimit(..., (resource.RLIM_INFINITY, ...))`."""
    for argument in node.args[1:]:
        if "resource.RLIM_INFINITY" in resolver.meanings(argument) or -1 in resolver.integers(argument):
            yield note_at("raises_limits", node)
            return


def stack_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`sys.setrecursionlimit(10**9)`: the interpreter crashes instead of raising."""
    if max((number for each in node.args[:1] for number in resolver.integers(each)), default=0) >= DEEPEST:
        yield note_at("raises_limits", node)


def blocking_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`signal.pthread_sigmask(signal.SIG_BLOCK, ...)`."""
    if (
        "signal.pthread_sigmask" in resolver.meanings(node.func)
        and _last_name(node.args[0] if node.args else node) != "SIG_UNBLOCK"
    ):
        yield note_at("ignores_signals", node)


def _until_full(body: list[ast.stmt]) -> set[int]:
    """What a loop does only once the machine has nothing left to give, by identity."""
    found: set[int] = set()
    for part in own_nodes(body):
        if isinstance(part, ast.ExceptHandler):
            until = part.body if _is_lack(part.type) else []
        else:
            until = part.body if isinstance(part, ast.If) and any(map(_fills, within(part.test, 50))) else []
        found.update(id(each) for line in until for each in within(line))
    return found


def _fills(node: ast.AST) -> bool:
    return _last_name(node) in _FILLING


def _is_lack(caught: ast.expr | None) -> bool:
    """Whether a handler is for what happens when memory, space or descriptors run out, and for little else."""
    several = caught.elts if isinstance(caught, ast.Tuple) else [] if caught is None else [caught]
    return bool(several) and all(_last_name(each) in _LACKS for each in several)


def _goes_on(node: ast.AST) -> bool:
    """Whether a statement lets nothing end the loop that it stands in."""
    if isinstance(node, ast.With):
        calls = [each.context_expr for each in node.items if isinstance(each.context_expr, ast.Call)]
        return any(_last_name(call) == "suppress" and _ENDERS & set(map(_last_name, call.args)) for call in calls)
    if not isinstance(node, ast.Try):
        return False
    return any(map(_swallows_all, node.handlers)) or any(isinstance(each, ast.Continue) for each in node.finalbody)


def _swallows_all(handler: ast.ExceptHandler) -> bool:
    """`except BaseException: pass`."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    everything = any(each is None or _last_name(each) in _ENDERS for each in caught)
    return everything and not any(isinstance(each, ast.Raise | ast.Break | ast.Return) for each in handler.body)


def _is_endless(node: ast.While | ast.For, resolver: Resolver) -> bool:
    if isinstance(node, ast.While):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    if not isinstance(node.iter, ast.Call):
        return False
    called = resolver.meanings(node.iter.func)
    if "builtins.iter" in called:
        return len(node.iter.args) == 2 and "builtins.int" in resolver.meanings(node.iter.args[0])
    return bool(called & _ENDLESS) and not (len(node.iter.args) == 2 and "itertools.repeat" in called)


def _calls_starter(parts: Iterable[ast.AST]) -> bool:
    """Whether something among some nodes starts a thread or a process."""
    return any(isinstance(part, ast.Call) and _last_name(part) in _STARTERS for part in parts)


def _turns(node: ast.expr, resolver: Resolver) -> int:
    """How often a loop over `range(...)` turns, 0 where it is no such loop."""
    if not isinstance(node, ast.Call) or "builtins.range" not in resolver.meanings(node.func):
        return 0
    return max((number for each in node.args[:2] for number in resolver.integers(each)), default=0)


def _breaks(body: list[ast.stmt]) -> bool:
    """Whether a `break` in a loop's body belongs to that loop."""
    for statement in body:
        if isinstance(statement, ast.Break):
            return True
        inner = [
            *getattr(statement, "body", []),
            *getattr(statement, "orelse", []),
            *getattr(statement, "finalbody", []),
        ]
        handlers = [each for each in getattr(statement, "handlers", []) if not _is_lack(each.type)]
        inner += [each for handler in handlers for each in handler.body]
        inner += [each for case in getattr(statement, "cases", []) for each in case.body]
        if isinstance(statement, ast.For | ast.While | ast.AsyncFor):
            inner = [each for each in inner if not isinstance(each, ast.Break)]
        if not isinstance(statement, DEFINITIONS) and _breaks(inner):
            return True
    return False


def _adds(node: ast.AST) -> bool:
    if not isinstance(node, ast.AugAssign):
        return False
    doubled = isinstance(node.op, ast.Add) and ast.dump(node.target)[:-12] == ast.dump(node.value)[:-11]
    return doubled or isinstance(node.op, ast.Mult | ast.Pow | ast.LShift)


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node, ast.List) or (isinstance(node, ast.Constant) and isinstance(node.value, TEXTS))


def _is_tower(node: ast.BinOp) -> bool:
    """`9 ** 9 ** 9`, all of it written out."""
    tower = isinstance(node.right, ast.BinOp) and isinstance(node.right.op, ast.Pow)
    return tower and all(isinstance(part, ast.BinOp | ast.Constant) for part in within(node, 20))


def _takes_all(node: ast.Call, items: ast.expr, resolver: Resolver) -> bool:
    """`list(itertools.count())`."""
    if not isinstance(items, ast.Call) or resolver.meanings(node.func).isdisjoint(_TAKING):
        return False
    if _turns(items, resolver) >= HUGE:
        return True
    endless = resolver.meanings(items.func) & _ENDLESS
    return bool(endless) and not ("itertools.repeat" in endless and len(items.args) > 1)


def _is_sized(node: ast.Call, resolver: Resolver) -> bool:
    return bool(resolver.meanings(node.func) & (_SIZED | _ARRAYS))


def _product(node: ast.expr, resolver: Resolver) -> int:
    """The largest size that `node` may mean; a shape is its product."""
    value = resolver.folder.fold(node)
    if isinstance(value, tuple):
        size = 1
        for each in value:
            size *= each if isinstance(each, int) and 0 < each < 1 << 64 else 1
            if size >= HUGE:
                return HUGE
        return size
    return max(resolver.integers(node), default=0)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
