"""`python -m service`: flags and environment to settings to one serving process or several."""

from __future__ import annotations

import os
import socket
import sys

import structlog

from service.flags import read_settings, unknown_variables
from service.origin.sources import check_repository
from service.reasons import cannot_listen, why
from service.security.check import check_security
from service.security.fitting import check_memory
from service.settings import Settings
from service.telemetry.logs import configure_logs

log = structlog.get_logger(__name__)

START_FAILED = 3  # uvicorn's code for it


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 for a bad setting, 3 if nobody can listen there."""
    try:
        settings = read_settings(sys.argv[1:])
        check_repository(settings)
        check_security(settings)
        check_memory(settings)
    except OSError as error:
        sys.stderr.write(f"bad setting: {why(error)}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"bad setting: {error}\n")
        return 2
    configure_logs(settings.log_level)
    for name, hint in unknown_variables(os.environ).items():
        log.warning("unknown setting: it changes nothing", variable=name, hint=hint)
    if fault := _port_fault(settings):
        log.error(fault)
        return START_FAILED
    # imported here: a supervisor needs nothing of what serves, its workers nothing of it
    if settings.workers > 1:
        from service.workers.supervisor import supervise

        return supervise(settings, sys.argv[1:])
    from service.serving import serve

    return serve(settings)


def _port_fault(settings: Settings) -> str:
    """Why the ports can't be listened on, said before anything is loaded; empty if they can."""
    http_port = settings.port if settings.uds is None else None
    for name, port in (("port", http_port), ("grpc_port", settings.grpc_port)):
        if port is None:
            continue
        host = settings.host
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, address in {info[0]: info[4] for info in found}.items():
                socket.create_server(address[:2], family=family).close()
        except OSError as error:
            return cannot_listen(error, host, port, name)
    return ""


if __name__ == "__main__":
    sys.exit(main())
