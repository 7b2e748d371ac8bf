"""`vecmill notify`: who is told when a release is refused or a run fails. Secrets come by environment or prompt.

An option with a secret would stand in the shell's history and in the list of processes.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.console import output
from flows.cli.options import JsonOption, print_json
from flows.server.environment import prepare_prefect
from storage.errors import SettingsError

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from flows.server.notifications import Channel

URL_VARIABLE, PASSWORD_VARIABLE = "VECMILL_NOTIFY_URL", "VECMILL_SMTP_PASSWORD"

app = typer.Typer(no_args_is_help=True, help="Be told when a release is refused or a run fails.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the application."""
    commands.add_typer(app, name="notify")


@app.command()
def slack() -> None:
    """By an incoming webhook of Slack, or of a chat that takes the same (Mattermost, Rocket.Chat)."""
    _webhook("slack")


@app.command()
def webhook() -> None:
    """By a POST of one JSON object: table, run, state, refused, message, url."""
    _webhook("webhook")


@app.command()
def email(
    to: Annotated[list[str], typer.Option("--to", help="recipient; again for more")],
    smtp_server: Annotated[str, typer.Option(help="host of the mail server")],
    security: Annotated[
        Literal["ssl", "starttls", "insecure"], typer.Option(help="how the connection is encrypted")
    ] = "starttls",
    smtp_port: Annotated[int | None, typer.Option(help="else 465, 587 or 25, by --security")] = None,
    username: Annotated[str | None, typer.Option(help="to log in; none: without a login")] = None,
    sender: Annotated[str | None, typer.Option(help="address in From; else the user name")] = None,
) -> None:
    """By e-mail. The password is asked for, or read from $VECMILL_SMTP_PASSWORD."""
    from_address = sender or username
    if not from_address:
        raise SettingsError("an e-mail needs a sender: name one with --sender, or log in with --username")
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
def off(channel: Annotated[Literal["slack", "webhook", "email"], typer.Argument()]) -> None:
    """Stop telling by a channel, and forget its address and password."""
    with _server():
        from flows.server.notifications import switch_off

        found = switch_off(channel)
    output.print(f"{channel}: {'off' if found else 'was not on'}")


@app.command("list")
def list_channels(as_json: JsonOption = False) -> None:
    """Show the channels that are on."""
    with _server():
        from flows.server.notifications import channels_on

        found = channels_on()
    if as_json:
        print_json(found)
    else:
        output.print(", ".join(found) or "nobody is told; `vecmill notify --help` shows the ways")


def _webhook(channel: "Channel") -> None:
    url = _secret(URL_VARIABLE, "URL of the webhook")
    with _server():
        from flows.server.notifications import webhook_block

        _switch_on(channel, webhook_block(url))


def _switch_on(channel: "Channel", block: "Block") -> None:
    from flows.server.notifications import switch_on

    switch_on(channel, block)
    output.print(f"{channel}: on, and a test message is sent; `vecmill notify off {channel}` ends it", highlight=False)


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
        raise SettingsError(f"{question}: no terminal to ask on; set ${variable}")
    return str(typer.prompt(question, hide_input=True))
