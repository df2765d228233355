"""The settings of security."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from pydantic import BaseModel, Field, field_validator, model_validator

ANY = "*"
NAME = re.compile(r"[\w.~-]+|\[?[0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*\]?|\*", re.IGNORECASE)
"""Of a host, without a port."""
PORT = re.compile(r":\d*\Z")


class SecuritySettings(BaseModel):
    """Who may ask, over what, and how much a server holds for those who do."""

    api_keys: Path | None = Field(
        None,
        description="TOML or JSON file of API keys; then all but health needs one "
        "(`python -m service.security` makes them)",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of the server's certificate chain; then HTTPS, for gRPC too"
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of authorities; then clients need a certificate by one of them"
    )
    cors_origins: list[str] = Field(
        [], description='sites whose pages may ask, as JSON: ["https://a.example"], or ["*"]'
    )

    allowed_hosts: list[str] = Field(
        [],
        description='names that requests may be for, beside this machine\'s own, as JSON; ["*"]: '
        "any. Default: any, but none more where there is no key on a loopback host",
    )
    pages: bool = Field(True, description="serve the pages / and /docs, and /openapi.json")
    trusted_proxies: str = Field(
        "",
        description="addresses or networks, separated by commas, whose X-Forwarded-For says "
        "who asked, for the log; by default nobody's does",
    )

    max_header_bytes: int = Field(
        32 << 10, ge=8_192, le=1 << 20, description="a longer head of a request gets 431"
    )
    max_bodies_bytes: int = Field(
        128 << 20,
        ge=1_024,
        le=1 << 40,
        description="bodies of all requests of a worker that are not answered; for more, 429",
    )
    max_memory_bytes: int | None = Field(
        None,
        ge=1 << 20,
        le=1 << 50,
        description="of the whole server, at most: bounds that are not set are made to fit, with "
        "those that are it may refuse to start; default: the container's limit, if it has one",
    )
    max_rpcs: int = Field(
        1_024, ge=1, le=1_000_000, description="gRPC calls of a worker at a time, streams too"
    )
    max_models: int = Field(
        256, ge=1, le=1_000_000, description="versions of models that serve at a time"
    )
    max_models_bytes: int = Field(
        16 << 30, ge=1_024, le=1 << 50, description="files of those, in all"
    )
    max_connections: int = Field(
        4_096,
        ge=1,
        le=1_000_000,
        description="open connections of each worker; for one more, one that sends nothing goes",
    )
    keep_alive_s: float = Field(
        5.0, gt=0, le=3_600, description="a connection may be idle this long"
    )
    head_timeout_s: float = Field(
        10.0, gt=0, le=3_600, description="a request's head must have come whole within this time"
    )
    transfer_timeout_s: float = Field(
        60.0,
        gt=0,
        le=3_600,
        description="a body that comes, and an answer that is read, may stand still this long",
    )
    min_transfer_bytes_per_s: float = Field(
        1_024.0,
        gt=0,
        le=1e9,
        description="and may fall behind this, on the whole, by no more than that time",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not NAME.fullmatch(host):
                raise ValueError(f"allowed_hosts: {host!r} is no name or address without a port")
        return hosts

    @model_validator(mode="after")
    def _has_whole_tls(self) -> SecuritySettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self


def name_of(host: str) -> str:
    """The name in a host, as a request or a setting has it: without port, brackets, last dot."""
    name = host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:  # more are in an address
        name = PORT.sub("", name)
    return name.removesuffix(".")


def is_loopback(name: str) -> bool:
    """Whether it is a name or an address of this machine, which no other machine reaches."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
