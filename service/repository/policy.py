"""Which versions of a model serve, and who gets which: `serving.json` of a model's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.codec.bodies import check_objects
from service.errors import BundleError, InvalidRequestError, UnreadableError
from service.manifest.files import read_json
from service.reading import read_regular
from service.reasons import faults, why, why_not

CONFIG_FILE = "serving.json"

Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$")]
Alias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,99}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )


class Versions(_Part):
    """Those that serve: the highest so many, or these, or all."""

    latest: int = Field(
        1, ge=1, strict=True, description="so many, the highest that are not refused"
    )
    specific: list[Version] | None = Field(None, min_length=1)
    all: bool = False

    @model_validator(mode="before")
    @classmethod
    def _named(cls, document: object) -> object:
        return {"all": True} if document == "all" else document

    @model_validator(mode="after")
    def _is_one(self) -> Versions:
        if len(self.model_fields_set) > 1:
            raise ValueError(f"one of {', '.join(sorted(self.model_fields_set))}, not several")
        return self


class Canary(_Part):
    """A version that gets a share of the requests that name none."""

    version: Version
    weight: float = Field(ge=0, le=1, strict=True, description="its share")


class Shadow(_Part):
    """A version that is asked the same as the one that answers, and compared with it."""

    version: Version
    share: float = Field(1.0, ge=0, le=1, strict=True, description="of the requests")


class ServingConfig(_Part):
    """`serving.json`; what is not in it is as by default."""

    versions: Versions = Versions()
    aliases: dict[Alias, Version] = Field(default_factory=dict)
    canary: Canary | None = None
    shadow: Shadow | None = None

    @property
    def on_trial(self) -> set[str]:
        """Versions that requests which name none go to only as the split says."""
        return {part.version for part in (self.canary, self.shadow) if part is not None}

    @property
    def named(self) -> set[str]:
        """Versions that are to serve whatever else does."""
        return {*(self.versions.specific or ()), *self.aliases.values(), *self.on_trial}

    def candidates(self, versions: Iterable[str]) -> list[str]:
        """Those of these versions that may answer who names none, the highest first.

        One on trial is not among them; unless it is also named to serve, and no other is there.
        """
        there, specific = set(versions), set(self.versions.specific or ())
        able = there - self.on_trial or there & specific
        return sorted(able, key=int, reverse=True)

    def find_fault(self, versions: Collection[str]) -> str:
        """Why these versions can't serve as it says; empty if they can."""
        if missing := sorted(self.named - set(versions), key=int):
            return (
                f"it names version {', '.join(missing)}, which the repository does not have; "
                f"there is {', '.join(versions) or 'none'}"
            )
        if not self.candidates(versions):
            trials = ", ".join(sorted(self.on_trial, key=int))
            return f"there is no version but {trials}, on trial, to answer who names none"
        return ""

    @property
    def count(self) -> float:
        """How many of the candidates are to serve, beside those that are named."""
        if self.versions.all:
            return float("inf")
        return 0 if self.versions.specific is not None else self.versions.latest


class _Latest(_Part):
    num_versions: int = Field(1, ge=1)


class _Specific(_Part):
    versions: list[Version] = Field(min_length=1)


class _All(_Part):
    pass


class _VersionPolicy(_Part):
    """Triton's `version_policy`."""

    latest: _Latest | None = None
    all: _All | None = None
    specific: _Specific | None = None

    def versions(self) -> dict[str, Any] | Literal["all"]:
        """The same as `serving.json` says it."""
        if self.specific is not None:
            return {"specific": self.specific.versions}
        if self.all is not None:
            return "all"
        return {"latest": (self.latest or _Latest()).num_versions}


class _LoadConfig(ServingConfig):
    """What a load request may bring."""

    version_policy: _VersionPolicy | None = None

    @model_validator(mode="after")
    def _says_it_once(self) -> _LoadConfig:
        if {"versions", "version_policy"} <= self.model_fields_set:
            raise ValueError("versions and version_policy say the same thing: give one")
        policy = self.version_policy
        if policy is not None and len(policy.model_fields_set) != 1:
            raise ValueError("version_policy is one of latest, all and specific")
        return self


def read_config(folder: Path) -> ServingConfig:
    """`serving.json` of a model's folder; without one, the default.

    Raises:
        BundleError: It can't be read, or is against the schema.
    """
    path = folder / CONFIG_FILE
    try:
        text = read_regular(path)
    except FileNotFoundError:
        return ServingConfig()
    except OSError as error:
        raise UnreadableError(f"{CONFIG_FILE} can't be read: {why(error)}") from error
    try:
        return ServingConfig.model_validate(read_json(text))
    except ValidationError as error:
        wrong = why_not(error, ServingConfig)
        raise BundleError(f"{CONFIG_FILE} is not valid: {wrong}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{CONFIG_FILE} is not JSON: {why(error)}") from error


def parse_config(text: str, field: str) -> ServingConfig:
    """The configuration that a load request brings; `version_policy` as Triton writes it.

    Args:
        text: JSON.
        field: Where in the request it stands.

    Raises:
        InvalidRequestError: It is not JSON, or a field is unknown or not as it should be (named).
        PayloadTooLargeError: It would become too many objects.
    """
    try:
        content = text.encode("utf-8", "surrogatepass")
        check_objects(content)
        given = _LoadConfig.model_validate(read_json(content))
    except ValidationError as error:
        place, message, _ = faults(error, _LoadConfig)[0]
        within = f"{field}.{place}" if place else field
        raise InvalidRequestError(f"{within}: {message}", within) from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{field} is not JSON: {why(error)}", field) from None
    document = given.model_dump(exclude_unset=True, exclude={"version_policy"})
    if given.version_policy is not None:
        document["versions"] = given.version_policy.versions()
    return ServingConfig.model_validate(document)
