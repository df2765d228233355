"""What is told of the server's certificate."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge


class CertificateMetrics:
    """Of the certificate that HTTP and gRPC show; only where the server speaks TLS.

    Args:
        registry: Of the server's metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.not_after = Gauge(
            "seqserve_tls_certificate_not_after_seconds",
            "When the certificate that is served ends, in Unix time; of several workers the first",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.files_ok = Gauge(
            "seqserve_tls_files_ok",
            "0 while the files of certificate and key are bad and the pair before them stays",
            registry=registry,
            multiprocess_mode="livemin",
        )
