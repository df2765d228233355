"""Pages for people: what serves here, and its requests to try; nothing comes from anywhere else."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from service.calls.services import Services
from service.repository.routes import Entry

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "pages"
FILES = {"swagger-ui-bundle.js", "swagger-ui.css", "docs.js", "page.css"}
LINKS = {
    "docs": "requests to try",
    "openapi.json": "the same for programs",
    "v1/models": "what each model takes",
    "v2/health/ready": "readiness",
    "metrics": "metrics, for Prometheus",
}
"""By path, from here: a proxy may have put a folder before it."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@router.get("/")
async def start(request: Request) -> Response:
    """What this is and what serves; for programs, where to go on."""
    if "text/html" not in request.headers.get("accept", ""):
        body = {"name": "seqserve", "version": version("seqserve"), "links": list(LINKS)}
        return JSONResponse(body)
    return HTMLResponse(_start_page(request), headers=HEADERS)


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI on this server's own description."""
    return FileResponse(FOLDER / "docs.html", headers=HEADERS)


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    """What the pages are made of."""
    if name not in FILES:
        raise HTTPException(404)
    return FileResponse(FOLDER / name, headers={"Cache-Control": "max-age=3600"})


def _start_page(request: Request) -> str:
    links = "".join(
        f'<li><a href="{path}">/{path}</a>: {escape(text)}</li>' for path, text in LINKS.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Seqserve</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/page.css">
</head>
<body><main>
<h1>Seqserve {escape(version("seqserve"))}</h1>
<ul>{links}</ul>
{_models(request)}
</main></body>
</html>
"""


def _models(request: Request) -> str:
    """What serves; to nobody in particular only where there are no keys."""
    if request.app.state.gate is not None:
        return "<p>Everything but this page, the next and health needs an API key.</p>"
    services: Services = request.app.state.services
    rows = "".join(
        f"<tr><td>{escape(entry.name)}</td><td>{escape(entry.version)}</td>"
        f"<td>{escape(task)}</td><td>{escape(entry.state)}</td></tr>"
        for entry, task in ((it, _task(it)) for it in services.repository.index())
    )
    if not rows:
        return "<p>No model is here.</p>"
    head = "<tr><th>model</th><th>version</th><th>task</th><th>state</th></tr>"
    return f"<table>{head}{rows}</table>"


def _task(entry: Entry) -> str:
    served = entry.loaded.served if entry.loaded else None
    if served is None:
        return ""
    return served.manifest.task.replace("_", " ") if served.manifest else "tensors"
