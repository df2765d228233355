"""`python -m service`: flags and environment to settings to one serving process or several."""

from __future__ import annotations

import sys

from pydantic_settings import CliApp

from service.origin.sources import check_repository
from service.security.budget import check_memory
from service.security.check import check_security
from service.settings import Settings
from service.telemetry.logs import configure_logs


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 for a bad setting."""
    try:
        settings = CliApp.run(Settings)
        check_repository(settings)
        check_security(settings)
        check_memory(settings)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"bad setting: {error}\n")
        return 2
    configure_logs(settings.log_level)
    # imported here: a supervisor needs nothing of what serves, its workers nothing of it
    if settings.workers > 1:
        from service.workers.supervisor import supervise

        return supervise(settings, sys.argv[1:])
    from service.serving import serve

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
