"""Notifications for refused releases and failed runs: by Slack, webhook or e-mail.

The server sends them, so they work even if a worker's machine is down. URLs and passwords are stored encrypted in
Prefect blocks, which automations reference. Both are named after the channel, so each channel exists once.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.actions import ActionTypes, CallWebhook, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.types import SecretDict
from pydantic import SecretStr

from flows.server.automations import LATE, OUR_RUNS, apply_automations, find_automations
from flows.server.mail import MailNotification
from storage.errors import NotificationError
from tasks.events import RUN_FAILED

Channel = Literal["slack", "webhook", "email"]

BLOCKS: Mapping[Channel, type[Block]] = {"slack": Webhook, "webhook": Webhook, "email": MailNotification}

# Jinja templates rendered by Prefect's server, where `flow_run` is the run of the event.
TABLE = "((flow_run.parameters.publication or {}).table or flow_run.name)"
REFUSED = "('GateRefusedError' in (flow_run.state.message or ''))"
# By the time the message is rendered, a late run may have started.
LATE_RUN = f"('{LATE}' in (flow_run.state.name, event.event|replace('prefect.flow-run.', '')))"
ENDED_AS = f"('was refused by its gates' if {REFUSED} else 'ended as ' ~ flow_run.state.name)"
WHAT = f"('is late' if {LATE_RUN} else {ENDED_AS})"
SUBJECT = f"'vecmill: ' ~ flow_run.name ~ ' ' ~ {WHAT}"
NO_MESSAGE = f"('no worker picked it up' if {LATE_RUN} else 'no reason given')"
MESSAGE = f"(flow_run.state.message or {NO_MESSAGE})"
BODY = MESSAGE + " ~ '\n\n' ~ ((flow_run|ui_url) or '')"
# Slack parses these three as markup: a table named <!channel> would notify everyone.
PLAIN = "|replace('&', '&amp;')|replace('<', '&lt;')|replace('>', '&gt;')"
PAYLOADS: Mapping[Channel, str] = {
    "slack": f'{{"text": {{{{ (({SUBJECT} ~ "\n" ~ {BODY}){PLAIN})|tojson }}}}}}',
    "webhook": f'{{"table": {{{{ {TABLE}|tojson }}}}, "run": {{{{ flow_run.name|tojson }}}}, '
    f'"state": {{{{ flow_run.state.name|tojson }}}}, "refused": {{{{ {REFUSED}|tojson }}}}, '
    f'"message": {{{{ {MESSAGE}|tojson }}}}, "url": {{{{ ((flow_run|ui_url) or "")|tojson }}}}}}',
}
TEST_SUBJECT = "vecmill: notifications are on"
TEST_BODY = "vecmill notifies you when a release is refused and when a run fails, crashes or is late."
TEST_PAYLOADS: Mapping[Channel, Mapping[str, str]] = {
    "slack": {"text": f"{TEST_SUBJECT}\n{TEST_BODY}"},
    "webhook": {"message": TEST_BODY},
}


def webhook_block(url: str) -> Webhook:
    """Block for a webhook URL. Raises NotificationError, which does not repeat the URL, if it is not an HTTP URL."""
    if not url.startswith(("http://", "https://")):
        raise NotificationError("a webhook URL must start with https:// or http://; this one does not")
    return Webhook(url=SecretStr(url), headers=SecretDict({"Content-Type": "application/json"}))


def switch_on(channel: Channel, block: Block) -> str:
    """Send a test message, then enable the channel on the server. Returns created, updated or unchanged.

    Raises NotificationError if the test message fails; nothing is changed in that case.
    """
    _send_test_message(channel, block)
    block.save(_block_name(channel), overwrite=True)
    document = block._block_document_id
    assert document is not None
    with get_client(sync_client=True) as client:
        done = apply_automations(client, [_automation(channel, document)])[_automation_name(channel)]
        for found in find_automations(client, _automation_name(channel)):
            if not found.enabled:
                client.resume_automation(found.id)
    return done


def switch_off(channel: Channel) -> bool:
    """Delete the channel and its credentials; returns whether it existed."""
    with get_client(sync_client=True) as client:
        automations = find_automations(client, _automation_name(channel))
        for automation in automations:
            client.delete_automation(automation.id)
    try:
        BLOCKS[channel].delete(_block_name(channel))
    except ValueError:  # raised by Prefect if the block does not exist
        return bool(automations)
    return True


def channels_on() -> list[Channel]:
    """Channels enabled on the server."""
    with get_client(sync_client=True) as client:
        return [
            channel
            for channel in BLOCKS
            if any(found.enabled for found in find_automations(client, _automation_name(channel)))
        ]


def _block_name(channel: Channel) -> str:
    return f"vecmill-{channel}"


def _automation_name(channel: Channel) -> str:
    return f"vecmill: notify about refused and failed runs by {channel}"


def _automation(channel: Channel, block: UUID) -> AutomationCore:
    action: ActionTypes = (
        SendNotification(block_document_id=block, subject=f"{{{{ {SUBJECT} }}}}", body=f"{{{{ {BODY} }}}}")
        if channel == "email"
        else CallWebhook(block_document_id=block, payload=PAYLOADS[channel])
    )
    return AutomationCore(
        name=_automation_name(channel),
        description="Set up by `vecmill notify`; a refused release ends its run as Failed.",
        trigger=EventTrigger(
            # Crashed and late runs cannot emit an event themselves.
            match_related=OUR_RUNS,
            expect={RUN_FAILED, "prefect.flow-run.Crashed", f"prefect.flow-run.{LATE}"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[action],
    )


def _send_test_message(channel: Channel, block: Block) -> None:
    """Send from this process, so that a wrong address fails now and not when it is needed."""
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
        # A webhook URL is a secret, and some of these errors repeat it.
        said = f": {error}" if channel == "email" else ""
        raise NotificationError(
            f"cannot send the test message by {channel} ({type(error).__name__}{said}); check the address "
            "and port, and that this machine can reach them"
        ) from None
