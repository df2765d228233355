"""Which scope each request over HTTP needs, and each method over gRPC."""

from __future__ import annotations

import re

from service.security.keys import Scope

OPEN = re.compile(r"/v2/health/(live|ready)|/|/docs(/[\w.-]+)?")
"""Pages are the same for all: what they show is asked for with a key."""
METRICS = re.compile(r"/metrics/?")
ADMIN = re.compile(
    r"/v2/repository/models/.*"
    r"|/v2/(?:.*/)?(?:logging|trace/setting|(?:system|cuda)sharedmemory)(?:/.*)?",
    re.DOTALL,
)

OPEN_METHODS = {"ServerLive", "ServerReady"}
ADMIN_METHODS = {"LogSettings", "TraceSetting", "RepositoryModelLoad", "RepositoryModelUnload"}


def scope_of_path(path: str) -> Scope | None:
    """What a request to this path needs, decoded as the router has it; None: nothing.

    Paths that are not here need `infer`, those that lead nowhere too: who has no key learns of no
    path.
    """
    if OPEN.fullmatch(path):
        return None
    if METRICS.fullmatch(path):
        return Scope.METRICS
    return Scope.ADMIN if ADMIN.fullmatch(path) else Scope.INFER


def scope_of_method(name: str) -> Scope | None:
    """What a method of the inference service needs; None: nothing."""
    if name in OPEN_METHODS:
        return None
    is_admin = name in ADMIN_METHODS or "SharedMemory" in name
    return Scope.ADMIN if is_admin else Scope.INFER
