"""The shared memory extensions, which are not here: no region is ever registered."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.api.extensions.documents import (
    REGION_DOCUMENT,
    REGION_STATUS_DOCUMENT,
    REGISTER_DOCUMENT,
    STATUS_DOCUMENT,
    UNREGISTER_DOCUMENT,
)
from service.errors import UnsupportedError

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

KINDS = ("system", "cuda")


async def status() -> list[object]:
    """The regions: none."""
    return []


async def region_status(request: Request) -> list[object]:
    """Of a region that is not there."""
    region = request.path_params["region"]
    raise HTTPException(404, f"there is no shared memory region {region!r}")


async def unregister() -> dict[str, object]:
    """Nothing is left registered, as nothing ever was: clients ask this before they begin."""
    return {}


def _register(kind: str) -> None:
    async def register() -> None:
        """Refused: tensors travel in the body."""
        raise UnsupportedError(
            f"the extension {kind}_shared_memory is not here: send tensors in the body, in binary"
        )

    path = f"/{kind}sharedmemory"
    router.get(f"{path}/status", openapi_extra=STATUS_DOCUMENT)(status)
    router.post(f"{path}/unregister", openapi_extra=UNREGISTER_DOCUMENT)(unregister)
    region = f"{path}/region/{{region}}"
    router.get(f"{region}/status", openapi_extra=REGION_STATUS_DOCUMENT)(region_status)
    router.post(f"{region}/register", openapi_extra=REGISTER_DOCUMENT)(register)
    router.post(f"{region}/unregister", openapi_extra=REGION_DOCUMENT)(unregister)


for _kind in KINDS:
    _register(_kind)
