"""The profile of sandbox-exec, which isolates programs on macOS."""

from __future__ import annotations

import json
from pathlib import Path

from .config import Isolation
from .system_paths import own_code

PRIVATE_FOLDERS = (
    *("/Users", "/Volumes", "/Network", "/private/tmp", "/private/var/tmp", "/private/var/root"),
    *("/private/var/folders", "/private/var/db", "/private/var/log", "/private/etc/ssh"),
    *("/private/etc/master.passwd", "/private/etc/sudoers", "/Library/Keychains"),
    "/Library/Application Support",
)
"""Files of users, other disks and keys."""
RESOLVER_SOCKET = "/private/var/run/mDNSResponder"
DENIED_SERVICES = (
    *("com.apple.SecurityServer", "com.apple.securityd.xpc", "com.apple.pasteboard.1"),
    *("com.apple.coreservices.launchservicesd", "com.apple.coreservices.appleevents"),
    *("com.apple.tccd", "com.apple.ssh-agent", "com.apple.windowserver.active"),
)
"""Services that give out passwords and the clipboard, or that run programs outside."""


def profile(isolation: Isolation, cwd: Path) -> str:
    """Return the rules; the last rule that matches wins."""
    private = dict.fromkeys([*map(Path, PRIVATE_FOLDERS), Path.home(), Path.home().resolve()])
    own = [path for path in own_code() if path != cwd and path.is_relative_to(cwd)]
    rules = [
        "(version 1)",
        "(allow default)",
        "(deny file-write*)",
        *(f"(deny file-read* {_subpath(path)})" for path in private),
        *(f"(allow file-read-metadata {_literal(path)})" for path in cwd.parents),
        *(f"(allow file-read* {_subpath(path)})" for path in (*isolation.readable, cwd)),
        f'(allow file-write* {_subpath(cwd)} (literal "/dev/null"))',
        *(f"(deny file-write* {_subpath(path)})" for path in (*isolation.read_only, *own)),
        *(f"(deny file* {_subpath(path)})" for path in isolation.hidden),
        *_network_rules(isolation.network),
        "(deny appleevent-send)",
        "(deny job-creation)",
        "(deny signal (target others))",
        *(f"(deny mach-lookup (global-name {json.dumps(name)}))" for name in DENIED_SERVICES),
    ]
    return "\n".join(rules)


def _network_rules(network: bool) -> list[str]:
    """Return the rules for the network; Unix sockets stay denied, except for the resolver's."""
    if not network:
        return ["(deny network*)"]
    sockets = "(deny network* (local unix-socket) (remote unix-socket))"
    return [sockets, f"(allow network-outbound (literal {json.dumps(RESOLVER_SOCKET)}))"]


def _subpath(path: Path) -> str:
    return f"(subpath {json.dumps(str(path))})"


def _literal(path: Path) -> str:
    return f"(literal {json.dumps(str(path))})"
