"""What the start looks at before anything listens."""

from __future__ import annotations

from service.reasons import why
from service.security.keys import read_keys
from service.security.settings import SecuritySettings
from service.security.tls import open_certificates


def check_security(settings: SecuritySettings) -> None:
    """Read every file that the settings of security name.

    Raises:
        OSError, ValueError: One is not as it should be; the setting is named.
    """
    if settings.api_keys is not None:
        try:
            read_keys(settings.api_keys)
        except (OSError, ValueError) as error:
            raise ValueError(f"api_keys: {why(error)}") from None
    try:
        open_certificates(settings)
    except OSError as error:
        raise ValueError(f"tls_certificate, tls_key or tls_client_ca: {why(error)}") from None
