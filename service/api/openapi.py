"""The OpenAPI document: what FastAPI makes of the routes, and each model's own task beside."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI

from service.api.documents import predictions_of, refused
from service.api.generate_documents import add_example
from service.api.schemas import JSON_TYPE, json_of, responses, schema_of
from service.api.timeseries import example_of
from service.calls.services import Services
from service.security.keys import Scope
from service.security.scopes import scope_of_path
from service.tasks.forecasting.task import Forecasting
from service.tasks.generation.task import Generation
from service.tasks.registry import TASKS
from service.tasks.task import Task

SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe_tasks(app: FastAPI) -> None:
    """Have the document hold the schemas of all tasks, and a path for every model that serves."""
    routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = copy.deepcopy(routes())
        document.setdefault("components", {}).setdefault("schemas", {}).update(_schemas())
        services: Services = app.state.services
        ready = [entry.loaded.served for entry in services.repository.index() if entry.loaded]
        paths = document["paths"]
        document["paths"] = {}
        for task in (served.task for served in ready if served.task):
            document["paths"][f"/v1/models/{task.manifest.name}/predict"] = {
                "post": _operation(task)
            }
            if isinstance(task, Forecasting):
                forecast = paths["/v1/timeseries/forecast"]["post"]
                examples = forecast["requestBody"]["content"][JSON_TYPE].setdefault("examples", {})
                examples[task.manifest.name] = {"value": example_of(task)}
            if isinstance(task, Generation):
                add_example(paths, task)
        # what most come for stands first
        document["paths"] |= dict(sorted(paths.items(), key=lambda it: not it[0].startswith("/v1")))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own documentation does


def declare_keys(app: FastAPI) -> None:
    """Have the document say that a key is needed, and how one is given."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        document = without()
        document["components"]["securitySchemes"] = SCHEMES
        document["security"] = [{name: []} for name in SCHEMES]
        for path, operations in document["paths"].items():
            scope = scope_of_path(path)
            for operation in operations.values():
                if scope is None:
                    operation["security"] = []
                else:
                    told = {**operation["responses"], **responses_to_keys(scope)}
                    operation["responses"] = told
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def responses_to_keys(scope: Scope) -> dict[str, Any]:
    """What the keys of callers may be answered with."""
    return {
        "401": {"description": "no API key, or none that is known"},
        "403": {"description": f"the key has not the scope {scope}, or a setting forbids it"},
        "429": {"description": "asked too often, too much at a time, or the queue is full"},
    }


def _schemas() -> dict[str, Any]:
    return {
        f"{name}_{kind}": schema_of(described)
        for name, task in TASKS.items()
        for kind, described in (("request", task.request), ("prediction", task.prediction))
    }


def _operation(task: Task) -> dict[str, Any]:
    manifest = task.manifest
    what = manifest.task.replace("_", " ").capitalize()
    example = {"summary": "Answered when pasted", "value": task.example}
    request = {"$ref": f"#/components/schemas/{manifest.task}_request"}
    return {
        "tags": [manifest.task],
        "summary": f"{what} by {manifest.name} ({manifest.family})",
        "operationId": f"predict_{manifest.name}",
        "requestBody": {"required": True, "content": json_of(request, example=example)},
        "responses": responses(predictions_of([manifest.task]), refused()),
    }
