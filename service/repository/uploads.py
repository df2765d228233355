"""Files that a request brought, laid out as a model of a repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from service.errors import InvalidRequestError, StorageError
from service.repository.files import Source
from service.repository.policy import ServingConfig
from service.temporary import HeldFolder

PREFIX = "seqserve-upload-"
PATH = re.compile(r"[1-9][0-9]{0,9}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def unpack(name: str, files: Mapping[str, bytes], config: ServingConfig) -> Source:
    """Write the files into a temporary folder of their own.

    Args:
        name: Of the model, fit for a folder.
        files: By `<version>/<file>`.
        config: What of them is to serve.

    Raises:
        InvalidRequestError: A path is none of this form (named).
        StorageError: There is no room for them.
    """
    for path in files:
        if not PATH.fullmatch(path):
            field = f"parameters.file:{path}"
            raise InvalidRequestError(
                f"{field} is not <version>/<file>: a number, then a name of letters, digits, "
                "dots, dashes and underscores",
                field,
            )
    try:
        upload = HeldFolder(PREFIX)
        source = Source(Path(upload.name) / name, config, upload)
        try:
            for path, content in files.items():
                file = source.folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        except OSError:
            source.discard()
            raise
    except OSError as error:
        raise StorageError(f"the files can't be kept: {error.strerror}") from error
    return source
