"""A server that speaks S3, and what tests put there."""

from __future__ import annotations

import json
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

USER, PASSWORD = "the-user-of-tests", "the-password-of-tests"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class S3:
    """The server.

    Args:
        endpoint: Where it listens.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.endpoint}/moto-api/").status_code == 200
        except httpx.TransportError:
            return False

    @cached_property
    def options(self) -> dict[str, Any]:
        """As in `repository_options`."""
        return {"endpoint_url": self.endpoint, "key": USER, "secret": PASSWORD}

    @property
    def settings(self) -> dict[str, Any]:
        """Of a server whose repository is there."""
        return {"repository_options": json.dumps(self.options)}

    @cached_property
    def client(self) -> Any:
        """boto3's, which sends keys as they are."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=USER,
            aws_secret_access_key=PASSWORD,
            region_name="us-east-1",
        )

    def make_bucket(self, name: str) -> str:
        """An empty bucket; the URL of a repository in it."""
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}/models"

    def put(self, url: str, key: str, content: bytes) -> None:
        """Write an object of the repository at this URL."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=content)

    def upload(self, url: str, folder: Path) -> None:
        """Write the bundle of one version's folder."""
        for file in sorted(folder.iterdir()):
            place = f"{folder.parent.name}/{folder.name}/{file.name}"
            self.put(url, place, file.read_bytes())

    def remove(self, url: str, *keys: str) -> None:
        """Delete objects."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        for key in keys:
            self.client.delete_object(Bucket=bucket, Key=f"{prefix}/{key}")
