"""Tell people when a release is refused or a run fails: by Slack, a webhook of their own, or e-mail.

The server sends: it is still there when a worker's machine is gone. URLs and passwords lie encrypted in its blocks, and
automations refer to these; both carry the channel's name, so that each channel is there once.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import ActionTypes, CallWebhook, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.types import SecretDict
from pydantic import SecretStr

from flows.server.automations import ENDED, LATE, LATE_FOR, OUR_RUNS, apply_automations
from flows.server.mail import MailNotification
from storage.errors import NotificationError
from tasks.events import RUN_FAILED

Channel = Literal["slack", "webhook", "email"]

BLOCKS: Mapping[Channel, type[Block]] = {"slack": Webhook, "webhook": Webhook, "email": MailNotification}

# Templates of Prefect's server, which knows the run of the event as `flow_run`.
TABLE = "((flow_run.parameters.publication or {}).table or flow_run.name)"
REFUSED = "('GateRefusedError' in (flow_run.state.message or ''))"
LATE_RUN = f"(flow_run.state.name == '{LATE}')"
ENDED_AS = f"('was refused by its gates' if {REFUSED} else 'has ended as ' ~ flow_run.state.name)"
WHAT = f"('is late' if {LATE_RUN} else {ENDED_AS})"
SUBJECT = f"'vecmill: ' ~ flow_run.name ~ ' ' ~ {WHAT}"
NO_MESSAGE = f"('no worker has started it' if {LATE_RUN} else 'no reason was given')"
MESSAGE = f"(flow_run.state.message or {NO_MESSAGE})"
BODY = MESSAGE + " ~ '\n\n' ~ ((flow_run|ui_url) or '')"
# Slack reads these three as markup: a table called <!channel> would call everybody.
PLAIN = "|replace('&', '&amp;')|replace('<', '&lt;')|replace('>', '&gt;')"
PAYLOADS: Mapping[Channel, str] = {
    "slack": f'{{"text": {{{{ (({SUBJECT} ~ "\n" ~ {BODY}){PLAIN})|tojson }}}}}}',
    "webhook": f'{{"table": {{{{ {TABLE}|tojson }}}}, "run": {{{{ flow_run.name|tojson }}}}, '
    f'"state": {{{{ flow_run.state.name|tojson }}}}, "refused": {{{{ {REFUSED}|tojson }}}}, '
    f'"message": {{{{ {MESSAGE}|tojson }}}}, "url": {{{{ ((flow_run|ui_url) or "")|tojson }}}}}}',
}
TEST_SUBJECT = "vecmill: notifications are on"
TEST_BODY = "You will hear from vecmill when a release is refused and when a run fails, crashes or is late."
TEST_PAYLOADS: Mapping[Channel, Mapping[str, str]] = {
    "slack": {"text": f"{TEST_SUBJECT}\n{TEST_BODY}"},
    "webhook": {"message": TEST_BODY},
}


def webhook_block(url: str) -> Webhook:
    """What the server calls. Raises NotificationError, which does not repeat it, if it is not an address of the web."""
    if not url.startswith(("http://", "https://")):
        raise NotificationError("the URL of a webhook begins with https:// or http://; the one that was given does not")
    return Webhook(url=SecretStr(url), headers=SecretDict({"Content-Type": "application/json"}))


def switch_on(channel: Channel, block: Block) -> str:
    """Send a test message, then have the server use this channel from now on. Returns what became of the automation.

    Raises NotificationError if the test message is not taken; nothing is changed then.
    """
    _send_test_message(channel, block)
    block.save(_block_name(channel), overwrite=True)
    document = block._block_document_id
    assert document is not None
    with get_client(sync_client=True) as client:
        wanted = _automations(channel, document)
        done = apply_automations(client, wanted)[_automation_name(channel)]
        for found in _found(client, channel):
            if not found.enabled:
                client.resume_automation(found.id)
    return done


def switch_off(channel: Channel) -> bool:
    """Forget the channel with its secrets; returns whether there was one."""
    with get_client(sync_client=True) as client:
        automations = _found(client, channel)
        for automation in automations:
            client.delete_automation(automation.id)
    try:
        BLOCKS[channel].delete(_block_name(channel))
    except ValueError:  # Prefect's word for a block that is not there
        return bool(automations)
    return True


def channels_on() -> list[Channel]:
    """The channels that the server uses."""
    with get_client(sync_client=True) as client:
        return [channel for channel in BLOCKS if any(found.enabled for found in _found(client, channel))]


def _found(client: SyncPrefectClient, channel: Channel) -> list[Automation]:
    names = (_automation_name(channel), _late_automation_name(channel))
    return [found for name in names for found in client.read_automations_by_name(name)]


def _block_name(channel: Channel) -> str:
    return f"vecmill-{channel}"


def _automation_name(channel: Channel) -> str:
    return f"vecmill: tell about refused and failed runs by {channel}"


def _late_automation_name(channel: Channel) -> str:
    return f"vecmill: notify about late runs by {channel}"


def _automations(channel: Channel, block: UUID) -> list[AutomationCore]:
    action: ActionTypes = (
        SendNotification(block_document_id=block, subject=f"{{{{ {SUBJECT} }}}}", body=f"{{{{ {BODY} }}}}")
        if channel == "email"
        else CallWebhook(block_document_id=block, payload=PAYLOADS[channel])
    )
    ended = AutomationCore(
        name=_automation_name(channel),
        description="Set up by `vecmill notify`; a refused release ends its run as Failed.",
        trigger=EventTrigger(
            # A run that crashed could not tell it itself.
            match_related=OUR_RUNS,
            expect={RUN_FAILED, "prefect.flow-run.Crashed"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[action],
    )
    late = AutomationCore(
        name=_late_automation_name(channel),
        description="Set up by `vecmill notify`; a run is late if no worker starts it.",
        trigger=EventTrigger(
            match_related=OUR_RUNS,
            for_each={"prefect.resource.id"},
            after={f"prefect.flow-run.{LATE}"},
            expect={"prefect.flow-run.Pending", "prefect.flow-run.Running", *ENDED},
            posture=Posture.Proactive,
            threshold=1,
            within=LATE_FOR,
        ),
        actions=[action],
    )
    return [ended, late]


def _send_test_message(channel: Channel, block: Block) -> None:
    """From here, so that a wrong address is told at once and not when it would be needed."""
    try:
        if isinstance(block, MailNotification):
            block.send(TEST_BODY, TEST_SUBJECT)
        elif isinstance(block, Webhook):
            answer = asyncio.run(block.call(dict(TEST_PAYLOADS[channel])))
            if not answer.is_success:
                raise NotificationError(
                    f"the {channel} webhook answered the test message with {answer.status_code}; check its URL"
                )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        # The URL is the secret of a webhook, and some of these errors repeat it.
        said = f": {error}" if channel == "email" else ""
        raise NotificationError(
            f"the test message could not be sent by {channel} ({type(error).__name__}{said}); check the address, "
            "the port and whether this machine may reach it"
        ) from None
