"""Why something failed, in words for who is to mend it: no error numbers, no library's terms."""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

MAX_SHOWN = 60  # characters of a value that is refused
BY_NUMBER = {
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENXIO: "it is no file but a pipe, a socket or a device",
    errno.ELOOP: "its links lead in a circle",
    errno.EIO: "the disk or network share can't be read (I/O error)",
    errno.ESTALE: "the network share was mounted anew (stale file handle)",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system may only be read",
    errno.EMFILE: "too many files are open (see `ulimit -n`)",
    errno.EADDRINUSE: "the port is in use",
    errno.ECONNREFUSED: "nobody listens there",
}
DENIED = (errno.EACCES, errno.EPERM)
BY_TYPE = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be an object of named values",
    "model_type": "must be an object of named values",
    "model_attributes_type": "must be an object of named values",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "value_error": "{error}",
    "json_invalid": "is not JSON: {error}",
}
"""What pydantic finds wrong, by its name for it; the rest is told in its own words."""
BY_PATTERN = {
    r"^[1-9][0-9]{0,9}$": "must be the number of a version, such as 1",
    r"^[0-9a-f]{64}$": "must be a sha256 of 64 hexadecimal digits",
}
ABSOLUTE = re.compile(r"(?<![\w./:<>~-])/(?:[^\s/'\":;,()]+/)*([^\s/'\":;,()]+)/?")
"""A path from the root; not what follows a host, or is relative."""
WITHOUT_VALUE = ("missing", "extra_forbidden", "value_error", "json_invalid")


class Fault(NamedTuple):
    """One thing that is wrong with a document.

    Args:
        field: Such as `state[0].input`; empty for the whole.
        message: What is wrong with it.
        type: pydantic's name for it.
    """

    field: str
    message: str
    type: str


def why(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, ValidationError):
        return why_not(error)
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, column {error.colno}"
        return f"{error.msg} in {place}" if error.doc.strip() else "it is empty"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    said = str(error).splitlines()
    return said[0] if said else type(error).__name__


def why_not(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """What is wrong with a document, in one line; see `faults`."""
    said = faults(error, model)
    return "; ".join(f"{field}: {message}" if field else message for field, message, _ in said)


def without_folders(reason: str, *known: Path) -> str:
    """The same, but files are called by their names: where they lie is the operator's to know.

    Args:
        reason: As `why` words it.
        known: Folders that what lies in them is told from, as it may have spaces in its path.
    """
    for folder in known:
        reason = reason.replace(f"{folder}/", "").replace(str(folder), folder.name)
    return ABSOLUTE.sub(r"\1", reason)


def _of_system(error: OSError) -> str:
    """What the system says, of which file."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        words = str(error.strerror).lower()
    elif error.errno in DENIED:
        words = f"permission denied to this process, which runs as uid {os.geteuid()}"
    else:
        words = BY_NUMBER.get(error.errno, (error.strerror or os.strerror(error.errno)).lower())
    return words if error.filename is None else f"{_shown(error.filename)}: {words}"


def _shown(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)


def faults(
    error: ValidationError, model: type[BaseModel] | None = None, secret: Iterable[str] = ()
) -> list[Fault]:
    """Each field that is wrong, and what is wrong with it.

    Args:
        error: Of a document.
        model: What the document should be: the nearest known name is told for an unknown one.
        secret: Fields at the top whose values are not to be shown.
    """
    hidden = {*secret}
    return [
        Fault(
            _place(line["loc"]),
            _message(dict(line), model, bool(hidden.intersection(line["loc"][:1]))),
            line["type"],
        )
        for line in error.errors(include_url=False)
    ]


def _place(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(part for part in parts if part != ".[key]").removeprefix(".")


def _message(line: dict[str, Any], model: type[BaseModel] | None, is_secret: bool) -> str:
    kind, context, value = line["type"], line.get("ctx", {}), line.get("input")
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        message = BY_PATTERN.get(pattern, f"must match the pattern {pattern}")
    elif kind in BY_TYPE:
        plain = {k: f"{v:.15g}" if isinstance(v, float) else v for k, v in context.items()}
        message = BY_TYPE[kind].format_map(plain)
    else:
        message = line["msg"].replace("Input should be", "must be").replace("Value ", "value ")
    if kind == "extra_forbidden" and model is not None:
        *path, name = line["loc"]
        message += did_you_mean(str(name), _fields_at(model, path))
    if kind not in WITHOUT_VALUE and not is_secret:
        if not isinstance(value, str | int | float | None):
            return message
        is_plain = not isinstance(value, str) or re.fullmatch(r"-?[\d.]+", value)
        shown = str(value) if is_plain else repr(value)
        message += f", not {shown[:MAX_SHOWN]}"
    return message


def _fields_at(model: type[BaseModel], path: Iterable[int | str]) -> Iterable[str]:
    """The fields that are known at a place of a document."""
    found: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and found is not None:
            field = found.model_fields.get(part)
            found = _model_in(field.annotation) if field is not None else None
    return () if found is None else found.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to the known name that is nearest, if any is near."""
    names = list(known)
    nearest = [each for each in names if _words(each) == _words(name)]  # in another order
    nearest += difflib.get_close_matches(name, names, 1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _words(name: str) -> list[str]:
    return sorted(re.split(r"[-_]+", name.lower()))


def cannot_listen(error: OSError, host: str, port: int, setting: str = "port") -> str:
    """Why nobody can listen there, and what to do.

    Args:
        error: Of the attempt.
        host: Name or address.
        port: Number.
        setting: That the number is of.
    """
    flag = f"--{setting.replace('_', '-')} or SEQSERVE_{setting.upper()}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{setting} {port} of {host} is in use, perhaps by another server of this kind "
            f"(`ss -ltnp 'sport = :{port}'` shows by whom): stop that one, or choose another port "
            f"by {flag}; 0 takes a free one"
        )
    if error.errno in DENIED:
        return (
            f"{setting} {port} is not for this user: ports below 1024 need root or the capability "
            f"NET_BIND_SERVICE; choose a higher one by {flag}"
        )
    if isinstance(error, socket.gaierror):
        return f"host {host!r} is neither an address nor a name that can be resolved"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"host {host} is no address of this machine: 127.0.0.1 is for those who ask from it, "
            "0.0.0.0 for all, :: for IPv6"
        )
    return f"{setting} {port} of {host}: {why(error)}"
