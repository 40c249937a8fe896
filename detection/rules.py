"""The table of rules: what each finding weighs, what it means, and which technique it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from domain.findings import Severity

INFO, LOW, MEDIUM, HIGH, CRITICAL = Severity
_PYTHON = "T1059.006"
"""Command and scripting interpreter: Python."""


@dataclass(frozen=True)
class Rule:
    """One rule. Its severity never depends on the case: where it should, there are two rules."""

    id: str
    severity: Severity
    why: str
    """What is wrong with it, and what an honest author writes instead."""
    technique: str | None = None
    """MITRE ATT&CK id, where one fits."""


TEXT = (
    Rule("too_large", HIGH, "The script is larger than a script may be."),
    Rule("nul_byte", HIGH, "A NUL byte is not part of any Python program."),
    Rule("not_utf8", HIGH, "The script is not UTF-8. Save it as UTF-8."),
    Rule("encoding_cookie", HIGH, "An encoding other than UTF-8 can hide code from readers. Save as UTF-8.", "T1027"),
    Rule("lone_carriage_return", HIGH, "A carriage return alone ends a line for Python and for few editors.", "T1027"),
    Rule("form_feed", HIGH, "A form feed resets indentation for Python, invisibly. Remove it.", "T1027"),
    Rule("control_character", MEDIUM, "A control character hides text in terminals. Write it as an escape.", "T1027"),
    Rule("bidi_character", MEDIUM, "Direction controls make code read other than it runs. Write escapes.", "T1027"),
    Rule("invisible_character", MEDIUM, "An invisible character. Write it as an escape.", "T1027"),
    Rule("lookalike_name", MEDIUM, "A name in letters that only Python reads as ASCII.", "T1036"),
)
PARSING = (
    Rule("syntax_error", HIGH, "The script is not valid Python for its environment's interpreter."),
    Rule("empty_script", HIGH, "The script contains no statement."),
    Rule("too_deep", HIGH, "The script nests deeper than anybody writes by hand."),
    Rule("too_many_nodes", HIGH, "The script has too many parts. Shorten its literals."),
    Rule("too_costly", HIGH, "The script needs too much memory to be parsed."),
    Rule("parser_died", HIGH, "The script made the parser crash or run out of time, twice.", "T1499"),
    Rule("huge_constant", MEDIUM, "A literal of this size is data, not code."),
)
IMPORTS = (
    Rule("missing_module", HIGH, "This environment does not have the module."),
    Rule("relative_import", HIGH, "A script is not part of a package: there is nothing to import relatively."),
    Rule("native_code", HIGH, "Native code passes by every check of Python. Use Python alone.", "T1106"),
    Rule("code_loading", HIGH, "Loads code that nobody has seen. Write the code into the script.", "T1620"),
    Rule("debugger", MEDIUM, "A debugger has no terminal here. Remove it."),
    Rule("harness_access", HIGH, "Reaches into the harness that measures the script.", "T1565"),
)
NAMES = (
    Rule(
        "dynamic_code",
        HIGH,
        "Code from text is code that nobody has seen. Literals: ast.literal_eval.",
        _PYTHON,
    ),
    Rule(
        "builtins_access",
        HIGH,
        "Reaches builtins or loaders by the back door. Call what you need by name.",
        _PYTHON,
    ),
    Rule("loader_access", MEDIUM, "Reaches the import machinery of the script. Import what you need by name."),
    Rule("introspection", HIGH, "Walks from an object to the interpreter's internals. Honest code need not.", _PYTHON),
    Rule("frame_access", HIGH, "Reads or changes other functions' variables. Pass values as arguments.", _PYTHON),
    Rule("frame_lookup", LOW, "Looks at the call stack."),
    Rule("starts_process", HIGH, "Starts another program or process. Compute in the script.", "T1059"),
    Rule("star_import", HIGH, "Imports every name of a module that starts processes. Name what you need.", "T1059"),
    Rule("starts_interpreter", MEDIUM, "Starts another interpreter of its own kind.", _PYTHON),
    Rule("signals_process", HIGH, "Signals or limits other processes.", "T1489"),
    Rule("changes_privileges", HIGH, "Changes identity, namespaces or roots, or runs from memory.", "T1611"),
    Rule("makes_links", MEDIUM, "Links and special files redirect whoever collects results.", "T1547"),
    Rule("early_exit", MEDIUM, "Ends the process past the harness: there would be no result. Return instead."),
    Rule("harness_patch", HIGH, "Replaces what the harness relies on. Wrap it in a function of your own.", "T1565"),
    Rule("tracing", MEDIUM, "Watches or steers every call in the interpreter."),
    Rule("opens_browser", LOW, "There is no browser here."),
)
QUICK_CHECKS = (*TEXT, *PARSING, *IMPORTS, *NAMES)

STATIC_ANALYSIS = (
    Rule("invalid_program", HIGH, "It parses, but cannot be compiled."),
    Rule("not_analysed", HIGH, "The script cannot be analysed within the bounds that honest scripts keep."),
    Rule("hidden_dynamic_code", HIGH, "Reaches the exec family by a detour.", "T1027"),
    Rule("hidden_process", HIGH, "Starts or signals processes by a detour.", "T1027"),
    Rule("hidden_introspection", HIGH, "Reaches the interpreter's internals by a detour.", "T1027"),
    Rule("hidden_import", HIGH, "Imports a forbidden module by a detour.", "T1027"),
    Rule("computed_name", HIGH, "A dangerous name is put together from pieces.", "T1027"),
    Rule(
        "computed_attribute",
        MEDIUM,
        "Reads a module's attribute by a name that nobody can know. Write it out.",
        "T1027",
    ),
    Rule("computed_import", MEDIUM, "Imports a module by a name that nobody can know. Write it out.", "T1129"),
    Rule("encoded_code", HIGH, "An encoded text holds code that would be refused in the open.", "T1027"),
    Rule("format_leak", HIGH, "A format string reads the interpreter's internals.", _PYTHON),
    Rule("type_walk", HIGH, "Climbs from a literal to the root of all types.", _PYTHON),
    Rule("constructs_code", HIGH, "Builds functions or types from code objects.", _PYTHON),
    Rule("text_as_code", MEDIUM, "Hands text to something that runs it. Call a function instead.", _PYTHON),
    Rule("loads_module_file", MEDIUM, "Loads a module from a file or changes how imports work.", "T1129"),
    Rule("replaces_module", MEDIUM, "Puts something else in a module's place.", "T1574"),
    Rule("forges_harness", HIGH, "Puts something else in the place of what the harness uses.", "T1565"),
    Rule("opens_model", HIGH, "Reaches behind the model object, to what carries its answers. Only ask it.", "T1565"),
    Rule("looks_into_model", MEDIUM, "Reads private parts of the model object. Use its public methods."),
    Rule("unpickles_literal", HIGH, "Unpickles data from the script's own text: hidden code.", "T1027"),
    Rule("unpickles", LOW, "Unpickling runs whatever the data says. Use JSON."),
    Rule("sensitive_file", HIGH, "Opens credentials, other processes' secrets or system interfaces.", "T1552.001"),
    Rule("system_file", MEDIUM, "Opens a file that describes the machine.", "T1082"),
    Rule("metadata_service", HIGH, "Names the address of a cloud metadata service.", "T1552.005"),
    Rule("network_use", MEDIUM, "A run never has a network. Ask the model through `model`.", "T1071"),
    Rule("sends_environment", HIGH, "Collects the environment, and has means to send it away.", "T1041"),
    Rule("reads_credentials", INFO, "Credentials never enter a run: the worker answers model calls.", "T1552.007"),
    Rule("foreign_descriptor", HIGH, "Writes to a descriptor that the script did not open."),
    Rule("persistence", HIGH, "Writes what would be run later by others.", "T1546"),
    Rule("hooks_imports", HIGH, "Changes how every later import works.", "T1574"),
    Rule("loads_foreign_code", HIGH, "Loads code from a file that is not part of the script.", "T1129"),
    Rule("links_system_file", HIGH, "Links to a file of the system, to have it read or written by others.", "T1547"),
    Rule("patches_library", MEDIUM, "Replaces a function by which results are measured.", "T1565"),
    Rule("leaks_credentials", HIGH, "Reads credentials, and speaks to the network below HTTP.", "T1041"),
    Rule("forges_result", HIGH, "Prints a result and ends the process past the harness.", "T1565"),
    Rule("destroys_files", HIGH, "Removes files from the root or a home directory on.", "T1485"),
    Rule("capabilities", INFO, "What the script is able to do."),
    Rule("uses_network_modules", INFO, "Imports network modules. A run never has a network."),
    Rule("uses_process_modules", LOW, "Imports modules that start processes."),
)

_BANDIT: tuple[tuple[str, Severity, str, str | None], ...] = (
    ("B102", MEDIUM, "exec is used.", _PYTHON),
    ("B103", MEDIUM, "Sets permissive file modes.", "T1222"),
    ("B104", MEDIUM, "Listens on all interfaces.", "T1571"),
    ("B302", MEDIUM, "marshal loads code objects.", _PYTHON),
    ("B307", MEDIUM, "eval is used.", _PYTHON),
    ("B312", HIGH, "telnet is called.", "T1071"),
    ("B321", HIGH, "FTP is called.", "T1071.002"),
    ("B401", MEDIUM, "telnetlib is imported.", "T1071"),
    ("B402", MEDIUM, "ftplib is imported.", "T1071.002"),
    ("B411", MEDIUM, "xmlrpc is imported.", "T1071"),
    ("B412", MEDIUM, "CGI code is imported.", None),
    ("B413", LOW, "pycrypto is imported.", None),
    ("B506", LOW, "yaml.load makes arbitrary objects. Use yaml.safe_load.", None),
    ("B602", HIGH, "A subprocess runs through a shell.", "T1059.004"),
    ("B604", MEDIUM, "A function is called with shell=True.", "T1059.004"),
    ("B605", HIGH, "A process is started through a shell.", "T1059.004"),
    ("B606", MEDIUM, "A process is started.", "T1059"),
    ("B609", MEDIUM, "A shell command contains a wildcard.", "T1059.004"),
    ("B612", MEDIUM, "Listens for logging configuration.", "T1571"),
    ("B614", LOW, "torch.load unpickles.", None),
)
BANDIT = tuple(
    Rule(f"bandit.{test}", severity, f"Bandit: {why}", technique) for test, severity, why, technique in _BANDIT
)
"""The curated tests. Their severity is the most they may weigh; bandit's own opinion may lower it."""

BEHAVIOUR = (
    Rule("contacts_metadata_service", CRITICAL, "Tried to reach a cloud metadata service.", "T1552.005"),
    Rule("contacts_network", HIGH, "Tried to reach a network address. A run never has a network.", "T1071"),
    Rule("scans_network", CRITICAL, "Tried many network addresses.", "T1046"),
    Rule("opens_reverse_shell", CRITICAL, "Tried to reach a network and to run a shell for whoever is there.", "T1059"),
    Rule("contacts_engine", CRITICAL, "Tried to reach a container engine.", "T1611"),
    Rule("contacts_local_socket", LOW, "Tried to reach another program on this machine."),
    Rule("creates_socket", LOW, "Created a network socket."),
    Rule("creates_special_socket", HIGH, "Tried to create a socket of a kind that no evaluation needs.", "T1095"),
    Rule("listens", MEDIUM, "Tried to accept connections.", "T1571"),
    Rule("reads_credential_file", HIGH, "Tried to open credentials.", "T1552.001"),
    Rule("reads_other_process", HIGH, "Tried to read another process's secrets.", "T1003.007"),
    Rule("opens_kernel_interface", HIGH, "Tried to open an interface of the kernel or a raw device.", "T1611"),
    Rule("carries_decoy", HIGH, "A decoy secret, planted to be found, turned up in what leaves the run.", "T1552"),
    Rule("probes_sandbox", LOW, "Tried to learn what it runs in.", "T1497.001"),
    Rule("studies_sandbox", MEDIUM, "Tried in several ways to learn what it runs in.", "T1497.001"),
    Rule("reads_own_environment_file", LOW, "Read its environment from /proc.", "T1082"),
    Rule("persists", HIGH, "Tried to leave something that would run later.", "T1546"),
    Rule("writes_system_file", MEDIUM, "Tried to change the system's files.", "T1565.001"),
    Rule("writes_outside", LOW, "Tried to write outside its work directory."),
    Rule("runs_intruder_tool", HIGH, "Tried to run a shell, a downloader or an administrator's tool.", "T1059.004"),
    Rule("runs_dropped_file", HIGH, "Tried to run a file that it had written.", "T1204.002"),
    Rule("runs_interpreter", LOW, "Tried to start another Python. Worker processes are made by forking here."),
    Rule("runs_program", MEDIUM, "Tried to run another program.", "T1059"),
    Rule("runs_text_tool", LOW, "Tried to run a program that only handles text. Compute in the script.", "T1059"),
    Rule("runs_probe", INFO, "Tried to run a program that libraries ask about the machine."),
    Rule("starts_many_processes", MEDIUM, "Tried to start very many processes.", "T1499.001"),
    Rule("signals_foreign_process", HIGH, "Tried to signal a process that is not its own.", "T1489"),
    Rule("tampers_with_runner", HIGH, "Tried to limit, own or steer the process that supervises it.", "T1562.001"),
    Rule("traces_process", HIGH, "Tried to read or steer another process.", "T1055.008"),
    Rule("enters_namespace", HIGH, "Tried to change namespaces, mounts or roots.", "T1611"),
    Rule("changes_identity", HIGH, "Tried to become another user.", "T1548"),
    Rule("hides_memory", MEDIUM, "Tried to make a file that has no path.", "T1620"),
    Rule("hides_network_code", HIGH, "Tried to reach a network, and nothing in its text says so.", "T1027"),
    Rule("hides_process_code", HIGH, "Tried to run a program, and nothing in its text says so.", "T1027"),
    Rule("uses_up_limit", LOW, "Used up a limit. An honest script may; a hostile one does so on purpose.", "T1499"),
    Rule("ends_early", LOW, "Ended before `evaluate_model` had returned: whatever it printed is no result."),
    Rule("makes_forbidden_call", HIGH, "Was ended for a system call that no program here can make by itself.", "T1068"),
    Rule("tries_something_else", LOW, "Tried something that was refused."),
    Rule("calls_kernel_feature", HIGH, "Tried a system call that no evaluation needs.", "T1068"),
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.id: rule for rule in (*QUICK_CHECKS, *STATIC_ANALYSIS, *BANDIT, *BEHAVIOUR)}
)
"""Every rule by its id."""
