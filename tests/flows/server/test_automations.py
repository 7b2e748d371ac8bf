"""Automations are created once, updated when they differ, and otherwise left to wait for what they wait for."""

from datetime import timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows.prune_releases import prune_releases
from flows.server.automations import FORMER_NAMES, apply_automations, silent_runs_crash, unstarted_runs_crash

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_an_automation_is_created_once_and_updated_when_it_differs() -> None:
    wanted = silent_runs_crash()
    with get_client(sync_client=True) as client:
        assert apply_automations(client, [wanted]) == {wanted.name: "created"}
        first = client.read_automations_by_name(wanted.name)[0]
        assert apply_automations(client, [wanted]) == {wanted.name: "unchanged"}
        assert client.read_automations_by_name(wanted.name) == [first]

        client.pause_automation(first.id)
        slower = wanted.model_copy(update={"trigger": wanted.trigger.model_copy(update={"within": timedelta(hours=1)})})
        assert apply_automations(client, [slower]) == {wanted.name: "updated"}
        updated = client.read_automations_by_name(wanted.name)
        assert [found.id for found in updated] == [first.id]
        assert not updated[0].enabled, "what somebody has switched off stays off"


def test_an_automation_of_an_earlier_version_is_renamed() -> None:
    wanted = unstarted_runs_crash()
    former = wanted.model_copy(update={"name": FORMER_NAMES[wanted.name], "enabled": False})
    with get_client(sync_client=True) as client:
        created = client.create_automation(former)
        assert apply_automations(client, [wanted]) == {wanted.name: "updated"}
        assert client.read_automations_by_name(former.name) == []
        (renamed,) = client.read_automations_by_name(wanted.name)
        assert (renamed.id, renamed.enabled) == (created, False)


@pytest.mark.parametrize("last", [Failed(), Completed(), Cancelled(), Completed(name="NothingToDo")], ids=str)
@pytest.mark.parametrize("automation", [silent_runs_crash(), unstarted_runs_crash()], ids=lambda it: it.name)
def test_a_run_that_has_ended_is_not_marked_crashed_although_the_event_of_its_end_was_lost(
    last: State, automation: AutomationCore
) -> None:
    """The server drops an event that it could not evaluate in four attempts, as with a locked SQLite."""
    (action,) = automation.actions
    assert isinstance(action, ChangeFlowRunState)
    assert not action.force
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(prune_releases, state=Running())
        client.set_flow_run_state(run.id, last)
        client.set_flow_run_state(run.id, Crashed(message=action.message))
        state = client.read_flow_run(run.id).state
        assert state
        assert (state.type, state.name) == (last.type, last.name)
