"""Where bundles come from: a folder, or the local copy of a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from service.origin.mirror import cache_of
from service.origin.remote import RemoteFolder, check_url, show
from service.origin.signatures import Signatures, load_keys
from service.reading import within
from service.reasons import why
from service.settings import Settings

LOOK_S = 5.0
"""A folder may take to be looked at before a server starts without having seen it."""


def check_repository(settings: Settings) -> None:
    """Refuse settings of the repository that can't work, before anything starts.

    Raises:
        ValueError: No installed package reads such a URL, a trusted key is none, or the folder is
            none and is not looked for again.
        OSError: `cache_dir` can't be written to.
    """
    open_signatures(settings)
    if isinstance(settings.repository, str):
        check_url(settings.repository)
        cache_of(show(settings.repository), settings.cache_dir)
    else:
        _check_folder(settings.repository, may_come=settings.poll_repository_s > 0)


def _check_folder(folder: Path, may_come: bool) -> None:
    """Refuse what can't be a repository; one that is looked for again may come later."""
    try:
        within(LOOK_S, lambda: os.scandir(folder).close())
    except TimeoutError:
        return  # it stands still: the server starts, and tells
    except NotADirectoryError:
        raise ValueError(
            f"repository {folder} is not a folder but a file: give the folder that has "
            "<model>/<version>/model.onnx in it"
        ) from None
    except OSError as error:
        if not may_come:
            raise ValueError(
                f"repository {folder} is not a folder that can be read: {why(error)} (it is looked "
                f"for in {Path.cwd()}; --repository or SEQSERVE_REPOSITORY names another, and "
                "--poll-repository-s makes the server wait for it)"
            ) from None


def open_signatures(settings: Settings) -> Signatures:
    """Says which bundles may serve."""
    keys = load_keys(settings.trusted_keys) if settings.trusted_keys else {}
    return Signatures(keys, settings.require_signature)


def open_repository(settings: Settings) -> tuple[Path, Callable[[], Mapping[str, str]]]:
    """The folder to serve, and what makes it as its source is now: to call before each look.

    That tells what could not be had, and why, by the name of the model; empty for all of it.
    """
    if isinstance(settings.repository, Path):
        return settings.repository, dict
    cache = cache_of(show(settings.repository), settings.cache_dir)
    remote = RemoteFolder(settings.repository, cache, settings.repository_options)
    return remote.path, remote.refresh
