"""A plugin that hides from memguard what Windows lacks: ``pytest -p tests.without_posix``.

Libraries ask for the platform, and keep what they use of this one.
"""

import builtins
import os
import signal
from types import ModuleType
from typing import Any

HIDDEN = {
    os: {"fork", "forkpty", "getpgid", "geteuid", "getuid", "killpg", "register_at_fork", "setsid"},
    signal: {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "pthread_sigmask", "setitimer"},
}
MISSING = {"fcntl", "grp", "pwd", "resource", "termios"}


def _without(module: ModuleType, names: set[str]) -> ModuleType:
    """Copy a module, less some names."""
    left = ModuleType(module.__name__)
    vars(left).update({name: own for name, own in vars(module).items() if name not in names})
    return left


_LEFT = {module.__name__: _without(module, names) for module, names in HIDDEN.items()}
_import = builtins.__import__


def _import_as_on_windows(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> ModuleType:
    if (globals or {}).get("__name__", "").split(".")[0] == "memguard":
        if name in MISSING:
            raise ModuleNotFoundError(name)
        if name in _LEFT:
            return _LEFT[name]
    return _import(name, globals, locals, fromlist, level)


builtins.__import__ = _import_as_on_windows
