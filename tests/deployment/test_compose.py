"""Every service of docker-compose.yml is confined, and of a version that is said."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.servers import CHECKOUT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())[
    "services"
]

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_a_service_takes_no_more_than_its_part(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r"\d+[gm]\b", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 1_024
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    logs = service["logging"]
    assert logs["driver"] == "json-file"
    assert logs["options"].keys() == {"max-size", "max-file"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@each_service
def test_what_is_pulled_has_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    own = "SEQSERVE_IMAGE" in image
    assert own == image.endswith(":latest}"), image


def test_the_server_is_given_time_and_outlasts_a_proxys_idle_connections() -> None:
    service = SERVICES["seqserve"]
    given = {key.removeprefix("SEQSERVE_").lower(): v for key, v in service["environment"].items()}
    settings = Settings.model_validate(given)
    assert settings.keep_alive_s > 60
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_delay_s + settings.shutdown_timeout_s
    assert service["memswap_limit"] == service["mem_limit"], "swap would only put it off"
