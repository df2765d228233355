"""TLS: the server's certificate, whose clients' certificates count, and what renews them."""

from __future__ import annotations

import _ssl
import ssl
import time
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from service.reading import open_file
from service.reasons import why
from service.security.settings import SecuritySettings
from service.telemetry.audit import tell_change
from service.telemetry.parts.certificate import CertificateMetrics

log = structlog.get_logger(__name__)


class Certificates:
    """The files of a server that speaks TLS, and the context that connections are made with.

    Args:
        settings: With `tls_certificate` and `tls_key`.
        metrics: Of the certificate, if they are told.

    Raises:
        OSError, ValueError: A file can't be read, or is not as it should be.
    """

    def __init__(
        self, settings: SecuritySettings, metrics: CertificateMetrics | None = None
    ) -> None:
        assert settings.tls_certificate is not None, "it speaks TLS"
        assert settings.tls_key is not None, "each certificate has a key"
        self.certificate, self.key = settings.tls_certificate, settings.tls_key
        self.client_ca = settings.tls_client_ca
        self.context = _context(self.certificate, self.key, self.client_ca)
        self._seen: tuple[object, ...] | None = self._look()
        self._fault = ""
        self.generation = 0
        """One more each time that the certificate was renewed."""
        self._metrics = metrics
        self._tell(is_ok=True)

    def refresh(self) -> None:
        """Take a renewed certificate for the connections to come; one that is bad changes nothing.

        What clients are trusted by stays as it was at the start.
        """
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _context(self.certificate, self.key, None)  # of a pair that does not fit, half would do
            self.context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._seen = None  # it may be read the next time though it does not change
            reason = why(error)
            if reason != self._fault:
                log.error("certificate is bad: the one before it stays", reason=reason)
            self._fault = reason
            self._tell(is_ok=False)
        else:
            self._fault = ""
            self.generation += 1
            self._tell(is_ok=True)
            tell_change(
                "certificate read again", not_after=_ends_at(not_after_of(self.certificate))
            )

    def _tell(self, is_ok: bool) -> None:
        if self._metrics is None:
            return
        self._metrics.files_ok.set(is_ok)
        if is_ok:
            self._metrics.not_after.set(not_after_of(self.certificate))

    def _look(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in (self.certificate, self.key))


def open_certificates(
    settings: SecuritySettings, registry: CollectorRegistry | None = None
) -> Certificates | None:
    """The certificates, if the server speaks TLS; see there for what it raises."""
    if settings.tls_certificate is None:
        return None
    return Certificates(settings, None if registry is None else CertificateMetrics(registry))


def not_after_of(certificate: Path) -> float:
    """When the first certificate of a file ends, in Unix time."""
    # no context tells of its own certificate; this is what `getpeercert` reads others' with
    decoded = _ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]
    return float(ssl.cert_time_to_seconds(decoded["notAfter"]))


def _ends_at(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def _context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    for path in (certificate, key, client_ca):
        if path is not None:
            open_file(path).close()  # the library would wait for who writes into a pipe
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(f"tls_certificate {certificate} with tls_key {key}: {error}") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise ValueError(f"tls_client_ca {client_ca}: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise ValueError("tls_key is encrypted: give one that is not, readable by the server alone")


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
