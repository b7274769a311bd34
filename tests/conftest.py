"""Fixtures shared by all tests."""

import logging
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pairbridge.pipelines.cli import main
from tests.support.shared_work import made_once
from tests.support.smoke_run import SmokeRun, finished_smoke, make_smoke

GROUP = re.compile(r'xdist_group\("(\w+)"\)')


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How loadgroup deals tests out to the processes of a run: each goes alone, but for the files of an
    xdist_group. xdist 3.8 hands groups over in node ids, which pytest 9.2 does not let it change.
    """
    dist = config.getoption("dist")
    if dist != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling  # a bare `pytest` does without

    @cache
    def text(file: str) -> str:
        return (config.rootpath / file).read_text()

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            group = GROUP.search(text(nodeid.partition("::")[0]))
            return group[1] if group else nodeid

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Address of the one local Ray of a test process: starting it costs six seconds and 600 MB.

    This process is connected to it; drivers that tests start and kill connect to the address.
    """
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        # A test waits for figures at the metrics endpoint; Ray's ten seconds would be spent doing nothing.
        _system_config={"metrics_report_interval_ms": 1000},
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache, in a folder of this test run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PAIRBRIDGE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def s3(user_cache: Path) -> Iterator[str]:
    """The URL of an empty bucket of a real S3 server on loopback (moto's).

    Credentials and endpoint are in the environment, as a user gives them.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(
        logging.ERROR
    )  # a line per request, in the output of every failure
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-written-anywhere",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in given.items():
            environment.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="pairs")
        yield "s3://pairs"
    server.stop()


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> SmokeRun:
    """The shipped run `smoke` by its command, with Blender and a Ray of its own. Tests must not change it."""
    return finished_smoke(made_once(tmp_path_factory, "smoke", make_smoke))


@pytest.fixture
def pairbridge(monkeypatch, capsys):
    """Run one command in this process: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pairbridge", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
