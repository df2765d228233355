"""Which names a server goes by, and which sites' pages may have it do something.

A page can have its visitor's browser ask any server that the visitor reaches, on a loopback address
too. It can't read the answers, but what was asked is done. The browser says in two headers, which
no page can change, where a request comes from. It takes a name for the page's own whatever that
leads to, though ("DNS rebinding"): so a server that asks nobody for a key, as only this machine
reaches it, answers to its own names alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.errors import CrossSiteError, MisdirectedError
from service.security.settings import ANY, is_loopback, name_of
from service.settings import Settings

SITE_HEADERS = {b"host", b"origin", b"sec-fetch-site"}
"""All of a head that matters here."""
HARMLESS = {"GET", "HEAD", "OPTIONS"}
"""Methods that change and compute nothing: who may read their answers, CORS says."""
OWN_PAGES = {b"same-origin", b"none"}
"""What a browser says of its server's own pages, and of what its user asked for himself."""

Fields = Iterable[tuple[bytes, bytes]]  # of a head; names in lower case


class Sites:
    """The names and the sites of one server.

    Args:
        settings: Its `host`, `allowed_hosts`, `cors_origins`; whether it is open to who reaches it.
    """

    def __init__(self, settings: Settings) -> None:
        self._origins = {origin.encode() for origin in settings.cors_origins}
        self._names = {name_of(host) for host in (settings.host, *settings.allowed_hosts)}
        is_guarded = settings.api_keys is not None or settings.uds is not None
        is_open = not settings.allowed_hosts and (is_guarded or not settings.is_local)
        self._takes_any_name = is_open or ANY in settings.allowed_hosts
        self.has_others = bool(settings.cors_origins)
        """Whether other sites' pages may read answers."""

    def check(self, method: str, fields: Fields) -> None:
        """Let a request go on, unless it is a foreign page's, or for another server.

        Raises:
            MisdirectedError: It is for a name that this server does not go by.
            CrossSiteError: A page of a site that is not listed would have it do something.
        """
        said: dict[bytes, list[bytes]] = {name: [] for name in SITE_HEADERS}
        for name, value in fields:
            if name in said:
                said[name].append(value.strip())
        hosts = [host.lower() for host in said[b"host"]]
        self._check_names(hosts)
        if method not in HARMLESS and ANY.encode() not in self._origins:
            self._check_page(hosts, said[b"origin"], said[b"sec-fetch-site"])

    def _check_names(self, hosts: list[bytes]) -> None:
        for host in [] if self._takes_any_name else [host.decode("latin-1") for host in hosts]:
            if not self._goes_by(name_of(host)):
                raise MisdirectedError(
                    f"this server does not go by the name {host!r}: allowed_hosts "
                    "(SEQSERVE_ALLOWED_HOSTS) lists those that it has beside this machine's own"
                )

    def _check_page(self, hosts: list[bytes], origins: list[bytes], where: list[bytes]) -> None:
        if where:  # it knows better: a proxy may have changed the host
            is_own = {said.lower() for said in where} <= OWN_PAGES
        else:
            is_own = all(_is_at(origin, hosts) for origin in origins)
        if not is_own and not (origins and self._origins.issuperset(origins)):
            page = origins[0].decode("latin-1") if origins else "a page of another site"
            raise CrossSiteError(
                f"{page} may not have this server do anything: cors_origins "
                "(SEQSERVE_CORS_ORIGINS) lists the sites whose pages may"
            )

    def _goes_by(self, name: str) -> bool:
        return name in self._names or is_loopback(name)


def _is_at(origin: bytes, hosts: list[bytes]) -> bool:
    """Whether these pages are at the address that is asked; a proxy may have ended their TLS."""
    _, is_site, address = origin.lower().partition(b"://")
    return bool(is_site) and hosts == [address]
