"""The files for clusters say what Ray and Kubernetes expect, and nothing that this project contradicts."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import typer
from ruamel.yaml import YAML

from pairbridge.pipelines.cli import app

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "pipelines" / "cluster"
# json tags of RayJobSpec and RayClusterSpec in kuberay's ray-operator/apis/ray/v1 (1.5).
JOB_KEYS = {
    "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata",
    "clusterSelector", "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML",
    "jobId", "submissionMode", "entrypointResources", "entrypointNumCpus", "entrypointNumGpus",
    "ttlSecondsAfterFinished", "shutdownAfterJobFinishes", "suspend",
}  # fmt: skip
CLUSTER_KEYS = {
    "authOptions", "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations",
    "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
}  # fmt: skip
GROUP_KEYS = {
    "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "resources",
    "labels", "rayStartParams", "template", "scaleStrategy", "numOfHosts",
}  # fmt: skip


def load(name: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load((FOLDER / name).read_text())


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return load("rayjob.yaml")


def test_the_ray_up_file_fits_rays_own_schema() -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    content = load("ray-up.yaml")
    jsonschema.validate(content, json.loads(schema.read_text()))
    assert content["head_node_type"] in content["available_node_types"]
    workers = [each for name, each in content["available_node_types"].items() if name != "head"]
    assert sum(each["max_workers"] for each in workers) <= content["max_workers"]
    assert content["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_the_ray_job_has_the_fields_of_its_kind(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"].keys() <= JOB_KEYS
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster.keys() <= CLUSTER_KEYS
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"].keys() <= GROUP_KEYS
    for group in cluster["workerGroupSpecs"]:
        assert group.keys() <= GROUP_KEYS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    # kubelet wants text here; a number is refused.
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_every_pod_mounts_what_it_names_and_reads_secrets_from_a_secret(job: dict[str, Any]) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    images = set()
    for pod in pods:
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            images.add(container["image"])
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == volumes if container in pod["containers"] else mounted <= volumes
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert not container.get("env")
    assert images == {load("ray-up.yaml")["docker"]["image"]}


def test_both_clusters_begin_empty_and_have_room_for_the_workers_of_their_command(
    job: dict[str, Any],
) -> None:
    types = load("ray-up.yaml")["available_node_types"]
    assert all(each.get("min_workers", 0) == 0 for each in types.values())
    assert (
        workers_asked("ray-up.yaml") <= types["render"]["resources"]["CPU"] * types["render"]["max_workers"]
    )
    groups = {group["groupName"]: group for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    assert all(group["replicas"] == 0 for group in groups.values())
    cores = int(groups["render"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert workers_asked("rayjob.yaml") <= cores * groups["render"]["maxReplicas"]


def workers_asked(name: str) -> int:
    return int(re.search(r"--workers (\d+)", (FOLDER / name).read_text()).group(1))


def test_the_token_reaches_every_machine_of_ray_up_and_a_typo_starts_no_cluster(job: dict[str, Any]) -> None:
    content = load("ray-up.yaml")
    # `--env NAME` alone copies a variable that no machine has set.
    assert not [option for option in content["docker"]["run_options"] if "RAY_AUTH_TOKEN" in option]
    assert content["file_mounts"] == {"/home/pairbridge/.ray/auth_token": "~/.ray/auth_token"}
    (check,) = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["initContainers"]
    assert check["command"][:2] == ["pairbridge", "plan"]
    assert check["command"][2] in job["spec"]["entrypoint"]


@pytest.mark.parametrize("name", ["rayjob.yaml", "ray-up.yaml"])
def test_the_commands_shown_exist(name: str) -> None:
    text = " ".join((FOLDER / name).read_text().replace("#", " ").replace("\\", " ").split())
    command = re.search(r"pairbridge generate \S+ (.*?--workers \d+(?: --[a-z-]+)*)", text).group(1)
    options = re.findall(r"--[a-z-]+", command)
    generate = typer.main.get_command(app).commands["generate"]
    known = {option for parameter in generate.params for option in parameter.opts}
    assert set(options) <= known
    assert "--out" in options


def test_the_image_has_what_the_project_needs() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert "FROM python:3.11" in dockerfile
    copied = re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
    setup = (ROOT / ".ci" / "setup").read_text()
    libraries = re.search(r'APT_PACKAGES="(.*)"', setup).group(1).split()
    assert set(libraries) <= set(dockerfile.split())
    assert "requirements/pins.txt" in dockerfile
    assert "USER pairbridge" in dockerfile
    # The builder is sent what is copied, and no more.
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == set(" ".join(copied).split())
