"""A repository that lies elsewhere, such as in S3: whatever fsspec reads, mirrored to a folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog

from service.errors import BundleError
from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.origin.mirror import Mirror
from service.reading import read_regular
from service.reasons import why

log = structlog.get_logger(__name__)

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
KEY = re.compile(rf"(?P<place>{_NAME}/[1-9][0-9]{{0,9}})/(?P<file>{_NAME})")
SETTINGS_KEY = re.compile(rf"(?P<place>{_NAME}/(?P<file>serving\.json))")
"""No other object is copied, so that none is written anywhere else."""

DEPTH = 3  # folders and the file of a KEY
TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "Digest", "mtime", "last_modified",
        "LastModified", "Last-Modified", "updated", "created")  # fmt: skip
"""What backends call the thing that changes when an object does; the best of them first."""


class RemoteFile(NamedTuple):
    """An object, as the remote lists it."""

    key: str
    size: int | None
    tag: str


class RemoteFolder:
    """The local copy of a remote repository.

    Args:
        url: Such as `s3://bucket/prefix`.
        cache: Folder of the copy; several processes may share it.
        options: fsspec's for this protocol, such as `endpoint_url`; they may hold secrets.
    """

    def __init__(self, url: str, cache: Path, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self._mirror = Mirror(cache)
        self._told: dict[str, str] = {}
        self.path = self._mirror.path
        """The copy, a folder as any repository is."""

    def refresh(self) -> dict[str, str]:
        """Make the copy like the remote; what can't be had leaves its copy, if any, as it was.

        Returns:
            Why it can't, by the name of the model; empty for all of it. The log tells what is new.
        """
        try:
            faults = self._mirror_all()
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            faults = {"": self._reason(error)}
        self._tell(faults)
        return {
            place.partition("/")[0]: f"{place or show(self._url)} can't be copied: {reason}"
            for place, reason in faults.items()
        }

    def _tell(self, faults: dict[str, str]) -> None:
        news = {
            place: reason for place, reason in faults.items() if self._told.get(place) != reason
        }
        self._told = faults
        for place, reason in news.items():
            if place:
                log.error("remote bundle not copied", bundle=place, reason=reason)
                continue
            said = {"url": show(self._url), "reason": reason}
            if self._mirror.is_empty:
                log.error("remote repository can't be read, and there is no copy of it", **said)
            else:
                log.warning("remote repository can't be read, its copy serves", **said)

    def _mirror_all(self) -> dict[str, str]:
        import fsspec  # an optional dependency

        remote, root = fsspec.url_to_fs(self._url, **self._options)
        with self._mirror.locked():
            remote.invalidate_cache()
            parts = list_parts(remote, root)
            if not parts:  # a wrong prefix, rather than a wish to serve nothing
                raise FileNotFoundError(f"it lists no bundle, <model>/<version>/{GRAPH_FILE}")
            faults = {place: self._fetch(remote, place, files) for place, files in parts.items()}
            self._mirror.keep(parts.keys())
        return {place: fault for place, fault in faults.items() if fault}

    def _fetch(self, remote: Any, place: str, files: Mapping[str, RemoteFile]) -> str:
        """Copy a version, or what is said of a model; why not, if it can't be had."""

        def fill(folder: Path) -> None:
            for name, file in files.items():
                remote.get_file(file.key, str(folder / name))
                size = (folder / name).stat().st_size
                if file.size not in (None, size):
                    raise BundleError(f"{name} has {size} bytes, the listing says {file.size}")
            check_hashes(folder)
            log.info("remote bundle copied", bundle=place)

        listed = json.dumps([place, sorted(files.items())]).encode()
        try:
            self._mirror.put(place, hashlib.sha256(listed).hexdigest(), fill)
        except Exception as error:  # noqa: BLE001 - one bad bundle must not stop the others
            return self._reason(error)
        return ""

    def _reason(self, error: Exception) -> str:
        """What went wrong, without what is secret."""
        words = why(error)
        if not isinstance(error, OSError | BundleError):
            words = f"{type(error).__name__}: {words}"
        said = words.replace(self._url, show(self._url))
        for secret in sorted(_secrets(self._url, self._options), key=len, reverse=True):
            said = said.replace(secret, "***")
        return said


def list_parts(remote: Any, root: str) -> dict[str, dict[str, RemoteFile]]:
    """The files of each version, and the settings of each model, by the place they belong.

    Args:
        remote: An fsspec filesystem.
        root: The repository's path there.

    Raises:
        Exception: The backend's own; half a listing is none, or what it lacks would be removed.
    """
    parts: dict[str, dict[str, RemoteFile]] = defaultdict(dict)
    for listed in _walk(remote, root, DEPTH):
        path: str = listed["name"]
        key = path.removeprefix(root).removeprefix("/")
        match = KEY.fullmatch(key) or SETTINGS_KEY.fullmatch(key)
        if match is None:
            if ".." in key.split("/"):
                log.warning("remote key refused", key=key)
            continue
        # of HTTP, an index has names only
        info = remote.info(path) if listed.get("size") is None else listed
        tag = next((f"{tag} {info[tag]}" for tag in TAGS if info.get(tag) is not None), "")
        parts[match["place"]][match["file"]] = RemoteFile(path, info.get("size"), tag)
    return dict(parts)


def _walk(remote: Any, folder: str, depth: int) -> Iterator[dict[str, Any]]:
    """Every file so many levels down; fsspec's own walk takes a folder it can't list for empty."""
    for info in remote.ls(folder, detail=True):
        if info["type"] == "file":
            yield info
        elif depth > 1 and info["name"].rstrip("/") != folder.rstrip("/"):
            yield from _walk(remote, info["name"], depth - 1)


def check_hashes(folder: Path) -> None:
    """Hold a bundle's graphs against the sums in its manifest: its upload may be half done.

    A manifest that can't be read is for the loader to refuse, which says why in the index.

    Raises:
        BundleError: A graph is missing or another one.
    """
    try:
        manifest = json.loads(read_regular(folder / MANIFEST_FILE))
        graphs = [{"file": GRAPH_FILE, **manifest}, *manifest.get("variants", {}).values()]
        sums = {str(graph["file"]): graph["sha256"] for graph in graphs}
    except (OSError, ValueError, RecursionError, TypeError, AttributeError, KeyError):
        return
    for name, wanted in sums.items():
        graph = folder / Path(name).name
        if not graph.is_file():
            raise BundleError(f"{name} is missing")
        if (found := hashlib.sha256(read_regular(graph)).hexdigest()) != wanted:
            raise BundleError(f"{name} has sha256 {found}, {MANIFEST_FILE} says {wanted}")


def check_url(url: str) -> None:
    """Refuse a URL that nothing installed can read.

    Raises:
        ValueError: With what to install, if that would help.
    """
    protocol = url.partition("://")[0]
    try:
        import fsspec

        fsspec.get_filesystem_class(protocol)
    except ModuleNotFoundError as error:
        raise ValueError(f"repository {show(url)}: {error}; it takes seqserve[remote]") from error
    except (ImportError, ValueError) as error:
        raise ValueError(f"repository {show(url)}: {error}") from error


def show(url: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _secrets(url: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Every text that a message must not have: all but plain addresses."""
    parts = urlsplit(url)
    yield from filter(None, (parts.query, parts.netloc.rpartition("@")[0], parts.password))
    waiting: list[Any] = [options]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value and not ("://" in value and show(value) == value):
            yield value
