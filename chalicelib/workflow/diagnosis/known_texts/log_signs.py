"""Log lines that reveal why a container fails, in the exact words of common programs.

Only certain signs are here: a wrong hint is worse than none. A sign must be a whole line, after the
program's own time, level and logger name. So a text that a user sends cannot be a sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a sign reveals."""

    MEMORY = auto()
    SLOW_WORKER = auto()
    HOST_REJECTED = auto()
    CANNOT_IMPORT = auto()
    PORT_IN_USE = auto()
    PORT_DENIED = auto()
    EXEC_FORMAT = auto()
    NO_PROGRAM = auto()
    NOT_EXECUTABLE = auto()


@dataclass(frozen=True)
class Sign:
    """A line of a program.

    Attributes:
        pattern: matches the whole line, without the prefix of its logger; group 1 is a name, such
            as the missing module.
        source: where the program's code or documentation has the line.
    """

    kind: Kind
    pattern: str
    source: str
    examples: tuple[str, ...]


_GITHUB = "https://github.com/"
_GUNICORN = _GITHUB + "benoitc/gunicorn/blob/master/gunicorn/arbiter.py"
_PYTHON = "https://docs.python.org/3/library/exceptions.html"
_NODE = "https://nodejs.org/api/errors.html"
# Health checks have an IPv4 address in their Host header. Other hosts are those of other clients.
_HOST = r"[\d.]+(?::\d+)?"
_RUBY = r"[\w./-]+:\d+:in [`'][^']*': "
_ADDRESS = r"\('?[^']*'?, ?\d+\)"

SIGNS = (
    Sign(
        Kind.SLOW_WORKER,
        r"WORKER TIMEOUT \(pid:\d+\)",
        _GUNICORN,
        ("[2026-11-24 09:30:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)",),
    ),
    Sign(
        Kind.MEMORY,
        r"Worker (?:\(pid:\d+\) )?was sent SIGKILL! Perhaps out of memory\?",
        _GUNICORN,
        (
            "[2026-11-24 09:30:00 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out "
            "of memory?",
            "Worker was sent SIGKILL! Perhaps out of memory?",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"MemoryError(?:: .*)?|(?:[\w.]+\.)?_ArrayMemoryError: Unable to allocate .*",
        _PYTHON + "#MemoryError",
        (
            "MemoryError",
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array "
            "with shape (1000000000,) and data type float64",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"RuntimeError: \[enforce fail at alloc_cpu\.cpp:\d+\] .*DefaultCPUAllocator: (?:can't "
        r"allocate|not enough) memory.*",
        _GITHUB + "pytorch/pytorch/blob/main/c10/core/impl/alloc_cpu.cpp",
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: "
            "can't allocate memory: you tried to allocate 8000000000 bytes. Error code 12 (Cannot "
            "allocate memory)",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"OSError: \[Errno 12\] Cannot allocate memory(?:: .*)?|[\w./-]+: (?:line \d+: )?(?:fork: )"
        r"?Cannot allocate memory",
        "https://man7.org/linux/man-pages/man3/errno.3.html",
        ("OSError: [Errno 12] Cannot allocate memory", "/bin/sh: fork: Cannot allocate memory"),
    ),
    Sign(
        Kind.MEMORY,
        r'(?:Exception in thread "[^"]*" |Caused by: |Terminating due to )?'
        r"java\.lang\.OutOfMemoryError(?:: .*)?",
        "https://docs.oracle.com/en/java/javase/21/troubleshoot/troubleshooting-memory-leaks.html",
        (
            'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
            "Terminating due to java.lang.OutOfMemoryError: Java heap space",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"FATAL ERROR: .* - JavaScript heap out of memory",
        _GITHUB + "nodejs/node/blob/main/src/node_errors.cc",
        (
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
            "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript "
            "heap out of memory",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"fatal error: runtime: (?:out of memory|cannot allocate memory)(?:: .*)?",
        _GITHUB + "golang/go/blob/master/src/runtime/mem_linux.go",
        ("fatal error: runtime: out of memory", "fatal error: runtime: cannot allocate memory"),
    ),
    Sign(
        Kind.MEMORY,
        r"terminate called after throwing an instance of 'std::bad_alloc'|memory allocation of "
        r"\d+ bytes failed",
        "https://en.cppreference.com/w/cpp/memory/new/bad_alloc",
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "memory allocation of 8000000000 bytes failed",
        ),
    ),
    Sign(
        Kind.MEMORY,
        r"[\w./-]+: line \d+: +\d+ Killed +\S.*",
        "https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html",
        ("/app/start.sh: line 3:     7 Killed                  python serve.py",),
    ),
    Sign(
        Kind.HOST_REJECTED,
        rf"(?:django\.core\.exceptions\.DisallowedHost: )?Invalid HTTP_HOST header: '{_HOST}'\. "
        r"You may need to add .* to ALLOWED_HOSTS\.?",
        _GITHUB + "django/django/blob/main/django/http/request.py",
        (
            "Invalid HTTP_HOST header: '10.0.0.7:8000'. You may need to add '10.0.0.7' to "
            "ALLOWED_HOSTS.",
            "ERROR:django.security.DisallowedHost:Invalid HTTP_HOST header: '10.0.0.7'. You may "
            "need to add '10.0.0.7' to ALLOWED_HOSTS.",
        ),
    ),
    Sign(
        Kind.HOST_REJECTED,
        rf"Invalid [Hh]ost header(?:: {_HOST})?",
        _GITHUB + "encode/starlette/blob/master/starlette/middleware/trustedhost.py",
        ("Invalid host header", "WARNING:  Invalid Host header: 10.0.0.7:8000"),
    ),
    Sign(
        Kind.HOST_REJECTED,
        rf"(?:werkzeug\.exceptions\.)?SecurityError: 400 Bad Request: Host '{_HOST}' is not "
        r"trusted.*",
        _GITHUB + "pallets/werkzeug/blob/main/src/werkzeug/sansio/utils.py",
        ("werkzeug.exceptions.SecurityError: 400 Bad Request: Host '10.0.0.7' is not trusted.",),
    ),
    Sign(
        Kind.HOST_REJECTED,
        r"(?:\[ActionDispatch::HostAuthorization::DefaultResponseApp\] )?Blocked hosts?: " + _HOST,
        _GITHUB + "rails/rails/blob/main/actionpack/lib/action_dispatch/middleware/"
        "host_authorization.rb",
        (
            "[ActionDispatch::HostAuthorization::DefaultResponseApp] Blocked hosts: 10.0.0.7:3000",
            "Blocked host: 10.0.0.7",
        ),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        r"ModuleNotFoundError: No module named '([\w.]+)'(?:; '[\w.]+' is not a package)?",
        _PYTHON + "#ModuleNotFoundError",
        ("ModuleNotFoundError: No module named 'torch'",),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        r"[\w./-]*python[\d.]*: No module named ([\w.]+)",
        "https://docs.python.org/3/using/cmdline.html#cmdoption-m",
        ("/usr/local/bin/python3.11: No module named uvicorn",),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        r'Error loading ASGI app\. Could not import module "([\w.]+)"\.',
        _GITHUB + "encode/uvicorn/blob/master/uvicorn/importer.py",
        ('ERROR:    Error loading ASGI app. Could not import module "main".',),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        _RUBY + r"cannot load such file -- (\S+) \(LoadError\)",
        "https://docs.ruby-lang.org/en/master/LoadError.html",
        ("/app/serve.rb:1:in `require': cannot load such file -- sinatra (LoadError)",),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        r"(?:ImportError|OSError): (\S+\.so[\w.]*): cannot open shared object file: No such file "
        r"or directory|[\w./-]+: error while loading shared libraries: (\S+\.so[\w.]*): cannot "
        r"open .*",
        "https://man7.org/linux/man-pages/man8/ld.so.8.html",
        (
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
            "/app/server: error while loading shared libraries: libgomp.so.1: cannot open shared "
            "object file: No such file or directory",
        ),
    ),
    Sign(
        Kind.CANNOT_IMPORT,
        r"Error(?: \[ERR_MODULE_NOT_FOUND\])?: Cannot find (?:module|package) '([^']+)'.*",
        _NODE,
        (
            "Error: Cannot find module 'express'",
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'express' imported from /app/x.js",
        ),
    ),
    Sign(
        Kind.PORT_IN_USE,
        r"OSError: \[Errno 98\] Address already in use|(?:OSError: )?\[Errno 98\] error while "
        rf"attempting to bind on address {_ADDRESS}: (?:\[errno 98\] )?address already in use",
        _GITHUB + "python/cpython/blob/main/Lib/asyncio/base_events.py",
        (
            "OSError: [Errno 98] Address already in use",
            "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 80): "
            "address already in use",
        ),
    ),
    Sign(
        Kind.PORT_IN_USE,
        rf"Connection in use: {_ADDRESS}",
        _GITHUB + "benoitc/gunicorn/blob/master/gunicorn/sock.py",
        ("[2026-11-24 09:30:00 +0000] [7] [ERROR] Connection in use: ('0.0.0.0', 80)",),
    ),
    Sign(
        Kind.PORT_IN_USE,
        r"Error: listen EADDRINUSE: address already in use \S+|(?:panic: )?listen tcp \S*:\d+: "
        r"bind: address "
        r"already in use|nginx: \[emerg\] bind\(\) to \S+ failed \(98: Address (?:already )?in "
        r"use\)",
        _NODE + "#common-system-errors",
        (
            "Error: listen EADDRINUSE: address already in use 0.0.0.0:80",
            "2026/11/24 09:30:00 listen tcp :80: bind: address already in use",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
        ),
    ),
    Sign(
        Kind.PORT_IN_USE,
        r"(?:Caused by: |Exception in thread \"[^\"]*\" )?java\.net\.BindException: Address "
        r"already in use(?: \(Bind failed\))?|Web server failed to start\. Port \d+ was already "
        r"in use\.",
        _GITHUB + "spring-projects/spring-boot/blob/main/core/spring-boot/",
        (
            'Exception in thread "main" java.net.BindException: Address already in use',
            "Web server failed to start. Port 8080 was already in use.",
        ),
    ),
    Sign(
        Kind.PORT_IN_USE,
        r"(?:Error: |called `Result::unwrap\(\)` on an `Err` value: )Os \{ code: 98, kind: "
        r'AddrInUse, message: "Address already in use" \}|(?:'
        + _RUBY
        + r")?Address already in use - bind\(2\) for \"?[\w.:]+\"? port \d+ \(Errno::EADDRINUSE\)",
        "https://doc.rust-lang.org/std/io/enum.ErrorKind.html#variant.AddrInUse",
        (
            'Error: Os { code: 98, kind: AddrInUse, message: "Address already in use" }',
            'Address already in use - bind(2) for "0.0.0.0" port 3000 (Errno::EADDRINUSE)',
        ),
    ),
    Sign(
        Kind.PORT_DENIED,
        r"(?:PermissionError: )?\[Errno 13\] error while attempting to bind on address "
        rf"{_ADDRESS}: permission denied|Error: listen EACCES: permission denied \S+|(?:panic: )?"
        r"listen tcp "
        r"\S*:\d+: bind: permission denied|nginx: \[emerg\] bind\(\) to \S+ failed \(13: "
        r"Permission denied\)",
        _NODE + "#common-system-errors",
        (
            "ERROR:    [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): "
            "permission denied",
            "Error: listen EACCES: permission denied 0.0.0.0:80",
            "listen tcp :80: bind: permission denied",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
        ),
    ),
    Sign(
        Kind.EXEC_FORMAT,
        r"exec \S+: exec format error|standard_init_linux\.go:\d+: exec user process caused:? "
        r'"?exec format error"?|[\w./-]+: (?:line \d+: )?\S+: (?:cannot execute binary file: )?'
        r"Exec format error|OSError: \[Errno 8\] Exec format error: .*",
        "https://www.repost.aws/knowledge-center/ecs-task-exec-format-error",
        (
            "exec /usr/local/bin/python: exec format error",
            'standard_init_linux.go:178: exec user process caused "exec format error"',
            "/bin/sh: /app/server: cannot execute binary file: Exec format error",
        ),
    ),
    # runc writes these to the log of the container instead of a reason.
    Sign(
        Kind.NO_PROGRAM,
        r"exec (\S+): no such file or directory",
        _GITHUB + "opencontainers/runc/blob/main/libcontainer/standard_init_linux.go",
        ("exec /app/entrypoint.sh: no such file or directory",),
    ),
    Sign(
        Kind.NOT_EXECUTABLE,
        r"exec (\S+): permission denied",
        _GITHUB + "opencontainers/runc/blob/main/libcontainer/standard_init_linux.go",
        ("exec /app/entrypoint.sh: permission denied",),
    ),
)
