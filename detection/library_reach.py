"""What the standard library reaches, module by module: the inventory that the tables of names are made from.

Every module of the library is in one of the tables (a test goes through the interpreter's own list), so that a module
that a later Python adds is looked at by somebody. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

from detection.word_lists import kinds, words

HARMLESS = words("""
    __future__ abc aifc argparse array ast audioop base64 binascii bisect bz2 calendar chunk cmath colorsys
    collections configparser contextlib contextvars copy csv dataclasses datetime decimal difflib dis email enum errno
    filecmp fileinput fnmatch fractions functools genericpath getopt gettext graphlib gzip hashlib heapq hmac html
    imghdr ipaddress itertools json keyword lib2to3 locale lzma mailbox math mimetypes modulefinder ntpath nturl2path
    numbers opcode optparse pathlib pickletools plistlib posixpath pprint pyclbr pydoc_data pyexpat queue quopri
    random re reprlib sched secrets select selectors shlex sndhdr sre_compile sre_constants sre_parse stat statistics
    string stringprep struct cmd py_compile compileall sunau symtable tabnanny tarfile textwrap this time token
    tokenize tomllib unicodedata uu warnings wave weakref xdrlib xml zipfile zlib zoneinfo compression annotationlib
    string.templatelib
""")
"""They compute, or work with files whose paths are judged where they are named."""

JUDGED_BY_NAME = words("""
    asyncio atexit builtins cProfile codecs concurrent copyreg dbm distutils doctest encodings fcntl gc
    getpass glob http importlib inspect io linecache logging mmap multiprocessing operator os pickle pkgutil platform
    posix profile pstats pydoc resource shelve shutil signal site socket sqlite3 ssl subprocess sys sysconfig
    tempfile threading timeit trace traceback tracemalloc types typing unittest urllib uuid
""")
"""Some of their names are in a table of `names` or of `static_tables`, or a rule asks for them."""

WHOLE_MODULES: Mapping[str, str] = kinds(
    (
        "network_protocol",
        """ftplib smtplib smtpd poplib imaplib nntplib telnetlib socketserver asyncore asynchat xmlrpc wsgiref
        http.server cgi cgitb http.cookiejar urllib.robotparser paramiko scapy pexpect fabric asyncssh pysftp
        websockets websocket dns ldap3 zmq pika""",
    ),
    (
        "machine_interface",
        """pwd grp spwd crypt nis syslog termios tty ossaudiodev msvcrt winreg winsound nt msilib curses readline
        tkinter turtle turtledemo idlelib mailcap pynput pyautogui""",
    ),
    ("credential_store", "netrc keyring secretstorage browser_cookie3 win32crypt"),
    (
        "starts_process",
        """pty pipes venv sh plumbum invoke multiprocessing.forkserver multiprocessing.resource_tracker
        multiprocessing.popen_fork multiprocessing.popen_spawn_posix multiprocessing.popen_forkserver""",
    ),
    (
        "native_code",
        """ctypes _ctypes cffi _cffi_backend _posixsubprocess _posixshmem _testcapi _testinternalcapi numpy.f2py
        pyximport _xxsubinterpreters _interpreters _imp _io_uring _winapi _overlapped _multiprocessing llvmlite
        numpy.ctypeslib concurrent.interpreters cython cppyy torch.utils.cpp_extension triton weave""",
    ),
    (
        "code_loading",
        """bdb runpy zipimport imp code codeop marshal _frozen_importlib _frozen_importlib_external __builtin__ pip
        ensurepip _bootstrap_external importlib._bootstrap importlib._bootstrap_external rlcompleter zipapp
        test.support test.libregrtest distutils.core distutils.ccompiler distutils.spawn setuptools numpy.distutils
        lib2to3.refactor lib2to3.main lib2to3.pgen2.driver""",
    ),
    ("debugger", "pdb faulthandler"),
    ("harness_access", "__main__"),
    ("opens_browser", "webbrowser antigravity"),
    (
        "private_module",
        """_socket _ssl _pickle _signal _sqlite3 _dbm _gdbm _lsprof _tkinter _crypt _curses _bootsubprocess
        _aix_support _osx_support _scproxy _sitebuiltins _pyio""",
    ),
)
"""Modules whose import alone is a finding, and of which rule."""
