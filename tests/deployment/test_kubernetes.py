"""The manifests fit Kubernetes' schemas, each other, and the server that they start.

No cluster is asked: kustomize is the real one, the core kinds' schemas are Kubernetes' own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import kubernetes_validate
import pytest
import yaml

from service.security.fitting import fit_memory
from service.settings import Settings
from tests.deployment.custom_resources import SCHEMAS
from tests.deployment.manifests import (
    FOLDER,
    FOLDERS,
    container,
    environment,
    in_units,
    one,
    pod_template,
    rendered,
)
from tests.http.scrape import Scrape
from tests.security.keyring import Keyring
from tests.servers import CHECKOUT, Server, serving

OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
PREFIX = "SEQSERVE_"
METRICS = {"scopes": ["metrics"]}

each_folder = pytest.mark.parametrize("folder", FOLDERS)


def settings_of(folder: str) -> dict[str, Any]:
    found = environment(folder)
    assert all(name.startswith(PREFIX) for name in found)
    return {name.removeprefix(PREFIX).lower(): value for name, value in found.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Set as the pods are, but for where bundles and keys are; asked as Prometheus asks."""
    ring = Keyring(tmp_path_factory.mktemp("keys") / "keys.toml", {"prometheus": METRICS})
    mounted = mount(ring.path, tmp_path_factory.mktemp("secrets"))
    with serving(
        **settings_of("autoscaled") | {"drain_delay_s": 0, "api_keys": mounted}
    ) as running:
        running.client.headers.update(ring.of("prometheus"))
        yield running


def mount(keys: Path, folder: Path) -> Path:
    """As the kubelet lays a Secret: by a link to a link, which it replaces when that changes."""
    (folder / "..2026").mkdir()
    shutil.copy(keys, folder / "..2026" / keys.name)
    (folder / "..data").symlink_to("..2026")
    (folder / keys.name).symlink_to(f"..data/{keys.name}")
    return folder / keys.name


def check(resource: dict[str, Any], version: str) -> None:
    key = resource["apiVersion"], resource["kind"]
    if key in SCHEMAS:
        jsonschema.validate(resource, SCHEMAS[key])
    else:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@each_folder
def test_every_resource_fits_its_schema(folder: str, version: str) -> None:
    for resource in rendered(folder):
        check(resource, version)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}
    check(pod | {"spec": pod_template(folder)["spec"]}, version)


@each_folder
def test_every_variable_is_a_setting_with_a_fine_value(folder: str) -> None:
    found = settings_of(folder)
    assert found.keys() <= Settings.model_fields.keys()
    settings = Settings.model_validate(found)
    cores = container(folder)["resources"]["requests"]["cpu"]
    assert settings.engine_threads == int(cores)


@each_folder
def test_the_pod_is_given_time_to_drain(folder: str) -> None:
    settings = Settings.model_validate(settings_of(folder))
    needed_s = settings.drain_delay_s + settings.shutdown_timeout_s
    assert pod_template(folder)["spec"]["terminationGracePeriodSeconds"] >= needed_s + 5
    probe = container(folder)["readinessProbe"]
    heard_s = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert settings.drain_delay_s >= heard_s, "it stops serving before the kubelet has heard"


@each_folder
def test_a_container_may_do_nothing_but_serve(folder: str) -> None:
    spec = pod_template(folder)["spec"]
    allowed = spec.get("securityContext", {}) | container(folder)["securityContext"]
    assert allowed["runAsNonRoot"]
    assert allowed["runAsUser"] == allowed["runAsGroup"] == 10001
    assert allowed["readOnlyRootFilesystem"]
    assert allowed["fsGroup"] == 10001
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not allowed["allowPrivilegeEscalation"]
    assert not spec["automountServiceAccountToken"]
    limits = container(folder)["resources"]["limits"]
    assert limits["memory"] == container(folder)["resources"]["requests"]["memory"]


@each_folder
def test_probes_ask_what_the_server_answers(folder: str, server: Server) -> None:
    described = container(folder)
    (port,) = described["ports"]
    assert port["containerPort"] == image_settings()["port"]
    paths = {}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = described[kind]["httpGet"]
        assert asked["port"] in {port.get("name"), port["containerPort"]}
        paths[kind] = asked["path"]
        assert server.client.get(asked["path"]).status_code == 200
    # not ready, a server must not be killed for it
    assert paths["readinessProbe"] not in {paths["livenessProbe"], paths["startupProbe"]}


def image_settings() -> dict[str, Any]:
    """What the image, which is the Dockerfile's last stage, sets by itself."""
    stage = DOCKERFILE.rpartition("\nFROM ")[2]
    found = re.findall(r"^\s+SEQSERVE_(\w+)=(\S+?)\s*\\?$", stage, re.MULTILINE)
    settings = Settings.model_validate({name.lower(): value for name, value in found})
    return settings.model_dump()


DOCKERFILE = (FOLDER.parents[1] / "Dockerfile").read_text()


@pytest.mark.parametrize("folder", ["base", "autoscaled"])
def test_all_parts_mean_the_same_pods(folder: str) -> None:
    labels = pod_template(folder)["metadata"]["labels"]
    deployment = one(folder, "Deployment")
    (port,) = container(folder)["ports"]
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    service = one(folder, "Service")
    policy = one(folder, "NetworkPolicy")["spec"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one(folder, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
        service["spec"]["selector"],
    ]
    assert selectors == [labels] * len(selectors)
    (way_in,) = service["spec"]["ports"]
    (rule,) = policy["ingress"]
    assert [way_in["targetPort"], *(item["port"] for item in rule["ports"])] == [port["name"]] * 2


@each_folder
def test_what_clients_can_make_it_hold_fits_into_its_limit(folder: str) -> None:
    """As it is and, with keys that may load models, too: nothing is refused at the start."""
    limit = in_units(container(folder)["resources"]["limits"]["memory"])
    settings = Settings.model_validate(settings_of(folder) | {"host": "0.0.0.0"})
    assert settings.max_memory_bytes == limit
    fit = fit_memory(settings, limit)
    assert fit.fits
    # and yet it can be asked for something
    assert fit.settings.max_body_bytes >= 1 << 20
    assert fit.settings.max_connections >= 100


@each_folder
def test_there_is_room_for_uploads_and_for_nothing_else(folder: str) -> None:
    mounts = {mount["name"]: mount for mount in container(folder)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_template(folder)["spec"]["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert mounts["uploads"]["mountPath"] == "/tmp"
    room = in_units(volumes["uploads"]["emptyDir"]["sizeLimit"])
    assert room >= Settings.model_fields["max_upload_bytes"].default
    assert all(mounts[name].get("readOnly") for name in mounts.keys() - {"uploads"})


@each_folder
def test_a_balancer_gives_up_an_idle_connection_first(folder: str) -> None:
    assert Settings.model_validate(settings_of(folder)).keep_alive_s > 60


def test_keys_are_where_the_server_looks_for_them() -> None:
    assert "SEQSERVE_API_KEYS" not in environment("base")
    path = Path(environment("autoscaled")["SEQSERVE_API_KEYS"])
    (mount,) = (it for it in container("autoscaled")["volumeMounts"] if it["name"] == "keys")
    assert Path(mount["mountPath"]) == path.parent
    assert "subPath" not in mount, "a changed Secret would never come"
    (volume,) = (it for it in pod_template("autoscaled")["spec"]["volumes"] if it["name"] == "keys")
    assert volume["secret"]["defaultMode"] == 0o440


def test_prometheus_finds_the_service_and_may_read_its_metrics(server: Server) -> None:
    service, monitor = one("autoscaled", "Service"), one("autoscaled", "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert "seqserve_queue_depth" in server.client.get(endpoint["path"]).text
    assert httpx.get(f"{server.base_url}{endpoint['path']}").status_code == 401
    assert endpoint["authorization"]["type"] == "Bearer"
    told = (FOLDER / "keys" / "kustomization.yaml").read_text()
    credentials = endpoint["authorization"]["credentials"]
    made = f"secret generic {credentials['name']} --from-literal={credentials['key']}="
    assert made in told
    # what rules and alerts say of the job
    assert one("autoscaled", "Service")["metadata"]["name"] == "seqserve"


def test_prometheus_has_the_rules_of_the_compose_stack() -> None:
    script = CHECKOUT / "deploy" / "prometheus_rule.py"
    subprocess.run([sys.executable, script, "--check"], check=True)
    files = sorted((CHECKOUT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    made = [it["spec"] for it in rendered("autoscaled") if it["kind"] == "PrometheusRule"]
    assert [on_one_line(spec) for spec in made] == [
        on_one_line(yaml.safe_load(path.read_text())) for path in files
    ]
    for spec in made:  # the API server's own rule, which no schema can say
        names = [group["name"] for group in spec["groups"]]
        assert len(set(names)) == len(names)


def on_one_line(rules: object) -> str:
    """Kustomize breaks long expressions elsewhere."""
    return " ".join(json.dumps(rules, sort_keys=True).replace("\\n", " ").split())


def test_the_autoscaler_asks_for_a_metric_that_there_is(server: Server) -> None:
    scaler = one("autoscaled", "HorizontalPodAutoscaler")["spec"]
    deployment = one("autoscaled", "Deployment")
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "an apply would undo what it did"
    (wanted,) = (
        metric["pods"]["metric"]["name"] for metric in scaler["metrics"] if "pods" in metric
    )
    values = yaml.safe_load((FOLDER / "autoscaled" / "adapter-values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == wanted
    series, _, labels = rule["seriesQuery"].partition("{")
    assert re.match(rule["name"]["matches"], series)
    assert set(rule["resources"]["overrides"]) == set(re.findall(r'(\w+)!=""', labels))
    assert series in Scrape(server).names()
    asked = rule["metricsQuery"]
    assert set(re.findall(r"<<(.+?)>>", asked)) == {".GroupBy", ".Series", ".LabelMatchers"}


def test_kserve_finds_the_runtime() -> None:
    runtime = one("kserve", "ServingRuntime")
    model = one("kserve", "InferenceService")["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [
        {k: f[k] for k in ("name", "version")} for f in runtime["spec"]["supportedModelFormats"]
    ]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    # by these KServe knows which container is the server, and where it puts the models
    assert container("kserve")["name"] == "kserve-container"
    assert environment("kserve")["SEQSERVE_REPOSITORY"] == "/mnt/models"
    port = int(runtime["spec"]["annotations"]["prometheus.kserve.io/port"])
    assert port == container("kserve")["ports"][0]["containerPort"]


@pytest.mark.parametrize(
    ("folder", "kind", "path"),
    [
        ("base", "Deployment", ("spec", "template", "spec")),
        ("base", "NetworkPolicy", ("spec",)),
        ("autoscaled", "HorizontalPodAutoscaler", ("spec",)),
        ("autoscaled", "ServiceMonitor", ("spec",)),
        ("autoscaled", "ServiceMonitor", ("spec", "endpoints", 0, "authorization")),
        ("autoscaled", "PrometheusRule", ("spec", "groups", 0, "rules", 0)),
        ("kserve", "ServingRuntime", ("spec",)),
        ("kserve", "InferenceService", ("spec", "predictor", "model")),
    ],
)
def test_a_misspelt_field_is_found(folder: str, kind: str, path: tuple[str | int, ...]) -> None:
    found = next(resource for resource in rendered(folder) if resource["kind"] == kind)
    resource = yaml.safe_load(yaml.safe_dump(found))
    part: Any = resource
    for name in path:
        part = part[name]
    part["misspelt"] = {}
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(resource, NEWEST)
