"""`vecmill notify`: notifications for refused releases and failed runs. Secrets come from the environment or a prompt.

As options, secrets would end up in the shell history and the process list.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.console import output
from flows.cli.help_panels import SERVER
from flows.cli.options import JsonOption, print_json
from flows.server.environment import prepare_prefect
from storage.errors import SettingsError

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from flows.server.notifications import Channel

URL_VARIABLE, PASSWORD_VARIABLE = "VECMILL_NOTIFY_URL", "VECMILL_SMTP_PASSWORD"

app = typer.Typer(no_args_is_help=True, help="Manage notifications for refused releases and failed runs.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the application."""
    commands.add_typer(app, name="notify", rich_help_panel=SERVER)


@app.command()
def slack() -> None:
    """Notify through an incoming webhook of Slack or a compatible chat (Mattermost, Rocket.Chat).

    Example: VECMILL_NOTIFY_URL=https://hooks.slack.com/services/… vecmill notify slack
    """
    _webhook("slack")


@app.command()
def webhook() -> None:
    """POST a JSON object with table, run, state, refused, message and url.

    Example: VECMILL_NOTIFY_URL=https://example.org/hook vecmill notify webhook
    """
    _webhook("webhook")


@app.command()
def email(
    to: Annotated[list[str], typer.Option("--to", help="recipient; repeatable")],
    smtp_server: Annotated[str, typer.Option(help="hostname of the mail server")],
    security: Annotated[
        Literal["ssl", "starttls", "insecure"], typer.Option(help="connection encryption")
    ] = "starttls",
    smtp_port: Annotated[int | None, typer.Option(help="default: 465, 587 or 25, depending on --security")] = None,
    username: Annotated[str | None, typer.Option(help="login name; default: no login")] = None,
    sender: Annotated[str | None, typer.Option(help="From address; default: --username")] = None,
) -> None:
    """Notify by e-mail. The password is read from $VECMILL_SMTP_PASSWORD or a prompt.

    Example: vecmill notify email --to me@example.org --smtp-server smtp.example.org --username me@example.org
    """
    from_address = sender or username
    if not from_address:
        raise SettingsError("no sender address; set --sender or --username")
    password = _secret(PASSWORD_VARIABLE, f"Password of {username}") if username else ""
    with _server():
        from prefect_email import EmailServerCredentials
        from pydantic import SecretStr

        from flows.server.mail import MailNotification

        credentials = EmailServerCredentials(
            smtp_server=smtp_server,
            smtp_type=security.upper(),
            smtp_port=smtp_port,
            username=username,
            password=SecretStr(password),
        )
        _switch_on("email", MailNotification(credentials=credentials, sender=from_address, recipients=to))


@app.command()
def off(
    channel: Annotated[Literal["slack", "webhook", "email"], typer.Argument(help="the channel to disable")],
) -> None:
    """Disable a channel and delete its credentials.

    Example: vecmill notify off slack
    """
    with _server():
        from flows.server.notifications import switch_off

        found = switch_off(channel)
    output.print(f"{channel}: {'disabled' if found else 'was not enabled'}")


@app.command("list")
def list_channels(as_json: JsonOption = False) -> None:
    """List the enabled channels.

    Example: vecmill notify list
    """
    with _server():
        from flows.server.notifications import channels_on

        found = channels_on()
    if as_json:
        print_json(found)
    else:
        output.print(", ".join(found) or "no notification channel configured; see `vecmill notify --help`")


def _webhook(channel: "Channel") -> None:
    url = _secret(URL_VARIABLE, "URL of the webhook")
    with _server():
        from flows.server.notifications import webhook_block

        _switch_on(channel, webhook_block(url))


def _switch_on(channel: "Channel", block: "Block") -> None:
    from flows.server.notifications import switch_on

    switch_on(channel, block)
    output.print(f"{channel}: enabled, test message sent; disable with `vecmill notify off {channel}`", highlight=False)


@contextmanager
def _server() -> Iterator[None]:
    prepare_prefect()
    from flows.server.address import known_server

    with known_server():
        yield


def _secret(variable: str, question: str) -> str:
    found = os.environ.get(variable)
    if found:
        return found
    if not sys.stdin.isatty():
        raise SettingsError(f"{question}: no terminal for a prompt; set ${variable}")
    return str(typer.prompt(question, hide_input=True))
