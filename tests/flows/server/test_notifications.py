"""Notifications of refused releases and failed runs: a real server and real receivers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.server.notifications import channels_on, switch_off, switch_on, webhook_block
from storage.errors import NotificationError, SettingsError
from storage.layout import Workspace
from storage.run_history import read_runs
from tasks.events import RUN_FAILED
from tests.flows.message_sinks import MailSink, WebhookSink, mail_sink, webhook_sink
from tests.flows.server_stack import ServerStack, wait_for

SECRET = "sesame-open-4711"
USER = "vecmill@example.org"


@pytest.fixture
def web() -> Iterator[WebhookSink]:
    with webhook_sink() as sink:
        yield sink


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with mail_sink(USER, SECRET) as sink:
        yield sink


def mail_options(port: int) -> tuple[str, ...]:
    return (
        "notify", "email", "--to", "a@example.org", "--to", "b@example.org", "--smtp-server", "127.0.0.1",
        "--smtp-port", str(port), "--security", "insecure", "--username", USER,
    )  # fmt: skip


@pytest.mark.usefixtures("prefect_server")
def test_a_channel_is_switched_on_once_and_off_again(web: WebhookSink) -> None:
    assert channels_on() == []
    assert switch_on("webhook", webhook_block(f"{web.url}/{SECRET}")) == "created"
    assert switch_on("webhook", webhook_block(f"{web.url}/{SECRET}")) == "unchanged"
    assert len(web.posted_to(f"/{SECRET}")) == 2, "each time a test message"
    assert channels_on() == ["webhook"]
    assert switch_off("webhook")
    assert not switch_off("webhook")
    assert channels_on() == []


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("{url}/refuse/" + SECRET, "answered the test message with 403"),
        ("http://127.0.0.1:1/" + SECRET, "cannot send the test message by slack"),
        ("http://[" + SECRET, "cannot send the test message by slack"),
        ("hooks.slack.com/" + SECRET, "must start with https://"),
    ],
)
def test_a_wrong_address_is_reported_at_once_without_the_address(web: WebhookSink, address: str, message: str) -> None:
    with pytest.raises(NotificationError, match=message) as refusal:
        switch_on("slack", webhook_block(address.format(url=web.url)))
    assert SECRET not in str(refusal.value)
    assert channels_on() == []


@pytest.mark.usefixtures("prefect_server")
def test_a_wrong_password_is_reported_without_the_password(mail: MailSink) -> None:
    called = CliRunner().invoke(app, mail_options(mail.port), env={"VECMILL_SMTP_PASSWORD": f"not {SECRET}"})
    assert isinstance(called.exception, NotificationError)
    assert "SMTPAuthenticationError" in str(called.exception)
    assert SECRET not in str(called.exception) + called.output
    assert mail.taken == []


def test_an_email_without_a_sender_is_refused() -> None:
    called = CliRunner().invoke(app, ["notify", "email", "--to", "a@example.org", "--smtp-server", "localhost"])
    assert isinstance(called.exception, SettingsError)
    assert "--sender" in str(called.exception)


@pytest.mark.long
def test_refused_and_failed_runs_are_reported_by_every_channel_and_no_secret_is_left(
    stack: ServerStack, web: WebhookSink, mail: MailSink, news_file: Path
) -> None:
    hooks = {channel: f"/{channel}/{SECRET}" for channel in ("slack", "webhook")}
    said = [stack.vecmill("notify", channel, VECMILL_NOTIFY_URL=web.url + path) for channel, path in hooks.items()]
    said.append(stack.vecmill(*mail_options(mail.port), VECMILL_SMTP_PASSWORD=SECRET))
    for called in said:
        assert called.returncode == 0, called.stderr
    assert stack.vecmill("notify", "list").stdout.strip() == "slack, webhook, email"

    settings = (
        "training.dimension=16", "training.epochs=1", "evaluation.reference=none", "report.enabled=false",
        "publication.gates.wordsim353.minimum=0.99",
    )  # fmt: skip
    refused = stack.start_run("adhoc", (f"corpus.path={news_file}", "publication.table=notified", *settings))
    failed = stack.start_run("adhoc", ("corpus.path=/no/such/<file>.txt", "publication.table=quiet", *settings))
    assert stack.ended(refused)["type"] == "FAILED"
    assert stack.ended(failed)["type"] == "FAILED"
    # Each at least once: a busy server may evaluate an event again.
    hook = hooks["webhook"]
    wait_for("objects", lambda: {body.get("table") for body in web.posted_to(hook)} >= {"notified", "quiet"})
    wait_for("texts", lambda: len({body["text"] for body in web.posted_to(hooks["slack"])}) == 3)
    wait_for("mails", lambda: len({message["Subject"] for message in mail.taken}) == 3)

    objects = {body["table"]: body for body in web.posted_to(hooks["webhook"])[1:]}
    assert objects["notified"]["refused"] is True
    assert "below the minimum 0.99" in objects["notified"]["message"]
    assert objects["notified"]["url"].endswith(f"/runs/flow-run/{refused}")
    assert (objects["quiet"]["refused"], objects["quiet"]["state"]) == (False, "Failed")
    assert "/no/such/<file>.txt" in objects["quiet"]["message"]

    texts = sorted({body["text"] for body in web.posted_to(hooks["slack"])[1:]})
    assert texts[0].startswith("vecmill: notified 20")
    assert "was refused by its gates\n" in texts[0]
    assert texts[1].startswith("vecmill: quiet 20")
    assert "/no/such/&lt;file&gt;.txt" in texts[1]

    mails = {str(message["Subject"]): message for message in mail.taken[1:]}
    (about_refused,) = (found for subject, found in mails.items() if subject.endswith("was refused by its gates"))
    assert "below the minimum 0.99" in about_refused.get_content()
    assert about_refused["To"] == "a@example.org, b@example.org"
    assert any(subject.endswith("ended as Failed") for subject in mails)

    assert_repeated_once(stack, hooks["webhook"], web, failed)

    for channel in ("slack", "webhook", "email"):
        assert stack.vecmill("notify", "off", channel).stdout.strip() == f"{channel}: disabled"
    assert SECRET not in "".join(called.stdout + called.stderr for called in said)
    for folder in (stack.home, stack.workspace, *stack.database_folders):
        for path in folder.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


def assert_repeated_once(stack: ServerStack, hook: str, web: WebhookSink, failed: str) -> None:
    """The same failure is announced once; the next one of another cause, refused parameters, is, and is recorded."""
    parameters = stack.ask(f"flow_runs/{failed}")["parameters"]
    deployment = stack.ask("deployments/name/build-word-vectors/adhoc")["id"]

    def started(**changes: object) -> str:
        asked = {"parameters": parameters | changes, "enforce_parameter_schema": False}
        return str(stack.ask(f"deployments/{deployment}/create_flow_run", asked)["id"])

    again = started()
    assert stack.ended(again)["message"] == stack.state_of(failed)["message"]
    invalid = started(training={"dimension": 0})
    assert stack.ended(invalid)["type"] == "FAILED"
    wait_for(
        "object", lambda: any("dimension: Input should be" in body.get("message", "") for body in web.posted_to(hook))
    )
    # Prefect stores events every few seconds.
    wait_for("event", lambda: announced(stack, invalid))
    assert not announced(stack, again)

    runs = {run.run_id: run for run in read_runs(Workspace(stack.workspace), "quiet")}
    assert (runs[invalid].outcome, runs[again].outcome) == ("failed", "failed")
    assert "dimension: Input should be" in runs[invalid].reason
    note = stack.artifacts("quiet-stopped")[0]
    assert note["flow_run_id"] == invalid
    assert "dimension" in note["data"].split("```")[1]


def announced(stack: ServerStack, run: str) -> bool:
    """Whether the event that notifies people was sent for the run."""
    question = {"filter": {"event": {"name": [RUN_FAILED]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}}
    return bool(stack.ask("events/filter", question)["events"])
