"""The server's certificates as gRPC takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import structlog

from service.reading import read_regular
from service.reasons import why
from service.security.tls import Certificates

log = structlog.get_logger(__name__)


def credentials_of(certificates: Certificates) -> Any:
    """What a secure port is made with; the files are read again when they have changed."""
    return grpc.dynamic_ssl_server_credentials(
        _configuration(certificates),
        _renewed(certificates),
        require_client_authentication=certificates.client_ca is not None,
    )


def _configuration(certificates: Certificates) -> Any:
    client_ca = certificates.client_ca
    return grpc.ssl_server_certificate_configuration(
        [(read_regular(certificates.key), read_regular(certificates.certificate))],
        root_certificates=None if client_ca is None else read_regular(client_ca),
    )


def _renewed(certificates: Certificates) -> Callable[[], Any]:
    """Asked before each connection, in a thread of gRPC's; None: nothing is new."""
    generation = certificates.generation

    def fetch() -> Any:
        nonlocal generation
        if certificates.generation == generation:
            return None
        try:
            found = _configuration(certificates)
        except OSError as error:
            log.error("certificate is bad: the one before it stays", reason=why(error))
            return None
        generation = certificates.generation
        return found

    return fetch
