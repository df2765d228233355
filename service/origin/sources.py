"""Where bundles come from: a folder, or the local copy of a URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from service.origin.mirror import cache_of
from service.origin.remote import RemoteFolder, check_url, show
from service.origin.signatures import Signatures, load_keys
from service.settings import Settings


def check_repository(settings: Settings) -> None:
    """Refuse settings of the repository that can't work, before anything starts.

    Raises:
        ValueError: No installed package reads such a URL, or a trusted key is none.
        OSError: The folder is none, or `cache_dir` can't be written to.
    """
    open_signatures(settings)
    if isinstance(settings.repository, str):
        check_url(settings.repository)
        cache_of(show(settings.repository), settings.cache_dir)
    elif not settings.repository.is_dir():
        raise NotADirectoryError(f"repository {settings.repository} is not a folder")


def open_signatures(settings: Settings) -> Signatures:
    """Says which bundles may serve."""
    keys = load_keys(settings.trusted_keys) if settings.trusted_keys else {}
    return Signatures(keys, settings.require_signature)


def open_repository(settings: Settings) -> tuple[Path, Callable[[], None]]:
    """The folder to serve, and what makes it as its source is now: to call before each scan."""
    if isinstance(settings.repository, Path):
        return settings.repository, lambda: None
    cache = cache_of(show(settings.repository), settings.cache_dir)
    remote = RemoteFolder(settings.repository, cache, settings.repository_options)
    return remote.path, remote.refresh
