"""What every command that shows personal data needs: the log it is noted in, and who runs it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.settings import Settings
    from privacy import AuditLog, Keyring

_NOBODY = 0xFFFFFFFF
"""What the kernel says where nobody logged in."""


def audit_log(settings: Settings, keyring: Keyring) -> AuditLog:
    """The audit log of a data directory."""
    from flows.data_directory import DataDirectory
    from privacy import AuditLog

    return AuditLog(DataDirectory(settings.data_dir).audit, keyring)


def user_name(login: Path = Path("/proc/self/loginuid")) -> str:
    """Who runs this process: `ada`, or `ada as signalbox` if they logged in under another name than they act.

    Args:
        login: Where the kernel says who logged in, which it remembers through `sudo`. Source: proc_pid_loginuid(5).
    """
    user = os.getuid()
    try:
        came = int(login.read_text())
    except (OSError, ValueError):
        came = _NOBODY
    return _name(user) if came in (user, _NOBODY) else f"{_name(came)} as {_name(user)}"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
