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
        for container in pod["containers"]:
            images.add(container["image"])
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert not container.get("env")
    assert images == {load("ray-up.yaml")["docker"]["image"]}


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
