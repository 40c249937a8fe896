"""Names that tell where a value comes from, and names that tell one machine from another. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from detection.word_lists import kinds

ORIGINS: Mapping[str, str] = kinds(
    ("environment", "os.environ os.environb os.getenv os.environ.get os.environ.items"),
    (
        "files",
        """builtins.open io.open os.open os.read linecache.getlines linecache.getline fileinput.input codecs.open""",
    ),
    ("listing", "os.walk os.fwalk os.listdir os.scandir glob.glob glob.iglob"),
    (
        "machine",
        """socket.gethostname socket.getfqdn platform.node platform.uname platform.platform os.uname os.getlogin
        os.getuid getpass.getuser uuid.getnode os.getpid os.getppid os.geteuid os.getgid
        os.getgroups socket.if_nameindex os.sysconf os.confstr os.getloadavg platform.version platform.release
        sys.version sys.flags platform.freedesktop_os_release sys.platform platform.machine platform.processor
        platform.system""",
    ),
    (
        "source",
        """inspect.getsource inspect.getsourcelines sys.path sys.modules
        sys.orig_argv inspect.stack inspect.currentframe
        sys._getframe traceback.extract_stack traceback.format_stack sys.exc_info""",
    ),
    (
        "library",
        """sysconfig.get_path sysconfig.get_paths site.getsitepackages site.getusersitepackages sys.prefix
        sys.base_prefix sys.exec_prefix sys.base_exec_prefix site.USER_SITE site.USER_BASE sysconfig.get_config_var
        importlib.util.find_spec importlib.util.cache_from_source inspect.getsourcefile inspect.getfile
        importlib.metadata.distribution importlib.metadata.files importlib.resources.files
        sys.executable shutil.which os.get_exec_path os.defpath""",
    ),
    ("work directory", "os.getcwd os.getcwdb"),
    ("arguments", "sys.argv builtins.input"),
    (
        "temporary",
        """tempfile.mkdtemp tempfile.mkstemp tempfile.TemporaryDirectory tempfile.NamedTemporaryFile
        tempfile.gettempdir tempfile.mktemp tempfile.TemporaryFile io.StringIO io.BytesIO""",
    ),
    ("modules", "pkgutil.iter_modules pkgutil.walk_packages sys.stdlib_module_names sys.builtin_module_names"),
)
"""What a name gives, by its dotted name."""

PROBES: Mapping[str, str] = kinds(
    (
        "date",
        """datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today time.time
        time.localtime time.gmtime time.strftime time.ctime time.time_ns""",
    ),
    ("host", "socket.gethostname socket.getfqdn platform.node socket.gethostbyname"),
    ("user", "getpass.getuser os.getlogin os.getuid os.geteuid os.getgid os.getegid os.getgroups"),
    (
        "hardware",
        """os.cpu_count multiprocessing.cpu_count os.sysconf shutil.disk_usage os.getloadavg os.sched_getaffinity""",
    ),
    ("address", "uuid.getnode socket.if_nameindex"),
    ("watcher", "sys.gettrace sys.getprofile os.getppid sys.flags sys.breakpointhook"),
    ("place", "locale.getlocale locale.getdefaultlocale time.timezone time.tzname time.altzone locale.getencoding"),
    (
        "kernel",
        "os.uname platform.version platform.release platform.platform os.statvfs os.getpid os.isatty",
    ),
)
"""What tells a trial from an execution, or one machine from another."""
