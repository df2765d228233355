"""Seqserve as an application of Ray Serve: the same app, an engine in each replica.

    serve run deploy.ray.application:build engine_threads=2 repository=/models

Ray's proxies take the requests and give each to a replica; there it is one request among all that
the replica has, and the engine batches them as it does in a server of its own. Nothing waits in
Ray: `max_ongoing_requests` lets all of them in, for a batch can only be made of what is there.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from service.api.metadata import is_ready
from service.app import create_app
from service.settings import Settings
from service.telemetry.logs import configure_logs

LOAD_S = 120.0
"""A replica whose bundles have not all loaded by then has not started."""
LOOK_S = 0.05
AUTOSCALING = {
    "min_replicas": 2,
    "max_replicas": 20,
    # requests that a replica has, waiting and running: two full batches
    "target_ongoing_requests": 24,
    "metrics_interval_s": 2.0,
    "look_back_period_s": 10.0,
    "upscale_delay_s": 5.0,
    "downscale_delay_s": 300.0,
}


class Seqserve:
    """One replica.

    Args:
        settings: Of the service, by name.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before it is imported
        # Ray's proxies take the requests, for whatever name they are
        self._settings = Settings.model_validate({"allowed_hosts": ["*"], **settings})
        self._was_ready = False
        configure_logs(self._settings.log_level)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The app; Ray starts it, and stops it when nothing is under way any more."""
        self._app = create_app(self._settings)
        return self._app

    async def check_health(self) -> None:
        """Ray lets no request in before this returned once; it then asks again and again.

        Raises:
            RuntimeError: The bundles have not all loaded in time.
        """
        deadline_s = time.monotonic() + LOAD_S
        while not self._was_ready:
            self._was_ready = is_ready(self._app.state)
            if time.monotonic() > deadline_s:
                raise RuntimeError("not ready: a bundle is refused, see the replica's log")
            await asyncio.sleep(LOOK_S)


def build(settings: dict[str, Any]) -> Application:
    """The application of these settings, all as text or as they are.

    Args:
        settings: Of the service, and `autoscaling`: what is to differ from `AUTOSCALING`.

    Raises:
        ValidationError: A setting is unknown or out of its range.
    """
    autoscaling = AUTOSCALING | settings.get("autoscaling", {})
    own = {name: value for name, value in settings.items() if name != "autoscaling"}
    # Ray's proxies may be asked from anywhere, and a change of one replica's models is none of all
    settings = {"host": "0.0.0.0", "engine_threads": 1} | own | {"allow_model_control": False}
    checked = Settings.model_validate(settings)  # here, where the one who deploys sees it
    deployment = serve.deployment(
        serve.ingress()(Seqserve),
        health_check_period_s=5.0,
        health_check_timeout_s=30.0,
        autoscaling_config=autoscaling,
        max_ongoing_requests=checked.max_queue_size,
        ray_actor_options={"num_cpus": checked.engine_threads},
        graceful_shutdown_timeout_s=checked.shutdown_timeout_s,
    )
    return deployment.bind(settings)
