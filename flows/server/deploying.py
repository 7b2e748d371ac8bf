"""Deploy prefect.yaml to a Prefect server: work pool, deployments and automations."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict

from flows.deployment_file import project_file
from flows.server.automations import apply_automations, silent_runs_crash, unstarted_runs_crash
from flows.server.forms import readable_form
from storage.errors import ServerError

logger = logging.getLogger(__name__)

WORK_POOL = "local"


class DeployReport(BaseModel):
    """Report of `vecmill deploy`. done: created, updated or unchanged, by name."""

    model_config = ConfigDict(frozen=True)

    server: str
    done: dict[str, str]
    deployments: list[str]


def deploy(server: str, prefect_yaml: Path | None = None) -> DeployReport:
    """Create the work pool, run `prefect deploy` and create the automations. Idempotent.

    prefect_yaml: default: that of the project in use.
    server: API address, e.g. http://127.0.0.1:4200/api; must equal PREFECT_API_URL in Prefect's settings.
    Raises ServerError with Prefect's message if it rejects a deployment.
    """
    prefect_yaml = prefect_yaml or project_file()
    with get_client(sync_client=True) as client:
        done = {f"work pool {WORK_POOL}": _work_pool(client)}
        _deploy_all(server, prefect_yaml)
        _shorten_forms(client)
        done |= apply_automations(client, [silent_runs_crash(), unstarted_runs_crash()])
        deployments = [deployment.name for deployment in client.read_deployments()]
    return DeployReport(server=server, done=done, deployments=sorted(deployments))


def _work_pool(client: SyncPrefectClient) -> str:
    """Create the work pool; `prefect deploy` fails without it."""
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


def _shorten_forms(client: SyncPrefectClient) -> None:
    """Replace the parameter schemas by those of the shorter forms."""
    for deployment in client.read_deployments():
        if deployment.work_pool_name == WORK_POOL and deployment.parameter_openapi_schema:
            form = readable_form(deployment.parameter_openapi_schema, deployment.parameters)
            client.update_deployment(deployment.id, DeploymentUpdate.model_validate({"parameter_openapi_schema": form}))


def _deploy_all(server: str, prefect_yaml: Path) -> None:
    """Run `prefect deploy` as a command: its functions are private."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_yaml)]
    environment = deploy_environment(server)
    ended = subprocess.run(
        command, cwd=prefect_yaml.parent, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise ServerError(f"Prefect rejected {prefect_yaml}:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    logger.debug(ended.stdout)


def deploy_environment(server: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a Prefect command: that of this process, plus the server address."""
    return os.environ | {"PREFECT_API_URL": server} | dict(extra or {})
