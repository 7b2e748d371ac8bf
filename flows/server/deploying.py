"""Bring a Prefect server to what prefect.yaml says: the work pool, the deployments and the automations."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict

from flows.deployment_file import PREFECT_YAML
from flows.server.automations import apply_automations, silent_runs_crash, unstarted_runs_crash
from storage.errors import ServerError

logger = logging.getLogger(__name__)

WORK_POOL = "local"


class DeployReport(BaseModel):
    """What `vecmill deploy` did. done: created, updated or unchanged, by name."""

    model_config = ConfigDict(frozen=True)

    server: str
    done: dict[str, str]
    deployments: list[str]


def deploy(server: str, prefect_yaml: Path = PREFECT_YAML) -> DeployReport:
    """Create the work pool, run Prefect's own deploy and set up the automations; the second time changes nothing.

    server: address of the API, such as http://127.0.0.1:4200/api, which is also the one that Prefect's settings name.
    Raises ServerError with Prefect's own words if it does not accept a deployment.
    """
    with get_client(sync_client=True) as client:
        done = {f"work pool {WORK_POOL}": _work_pool(client)}
        _deploy_all(server, prefect_yaml)
        done |= apply_automations(client, [silent_runs_crash(), unstarted_runs_crash()])
        deployments = [deployment.name for deployment in client.read_deployments()]
    return DeployReport(server=server, done=done, deployments=sorted(deployments))


def _work_pool(client: SyncPrefectClient) -> str:
    """Prefect's deploy stops at the first deployment whose pool is missing."""
    try:
        client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        try:
            client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=template))
        except ObjectAlreadyExists:
            return "unchanged"
        return "created"
    return "unchanged"


def _deploy_all(server: str, prefect_yaml: Path) -> None:
    """Prefect's deploy is a command; its functions are private."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_yaml)]
    environment = deploy_environment(server)
    ended = subprocess.run(
        command, cwd=prefect_yaml.parent, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise ServerError(f"Prefect did not accept {prefect_yaml}:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    logger.debug(ended.stdout)


def deploy_environment(server: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a Prefect command of ours: this process's, and the server it shall talk to."""
    return os.environ | {"PREFECT_API_URL": server} | dict(extra or {})
