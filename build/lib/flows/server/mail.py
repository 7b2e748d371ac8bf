"""Prefect block that sends notifications by e-mail through any SMTP server, which Prefect itself lacks.

Prefect's server loads this module at startup through the entry point in pyproject.toml.
"""

import asyncio
from email.message import EmailMessage

from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect_email import EmailServerCredentials
from pydantic import Field

# The server sends from its event loop, so a mail server that does not answer must not block other actions.
SEND_SECONDS = 60.0


class MailNotification(NotificationBlock):
    """Sends notifications as plain text e-mail."""

    _block_type_name = "vecmill mail"
    _block_type_slug = "vecmill-mail"

    credentials: EmailServerCredentials = Field(description="SMTP server and login")
    sender: str = Field(description="From address")
    recipients: list[str] = Field(min_length=1, description="To addresses")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send one e-mail. Raises NotificationError with the mail server's answer if it rejects the message."""
        try:
            await asyncio.wait_for(asyncio.to_thread(self.send, body, subject or ""), SEND_SECONDS)
        except OSError as error:  # smtplib's errors, refused connections and timeouts
            raise NotificationError(f"{type(error).__name__}: {error}") from error

    def send(self, body: str, subject: str) -> None:
        """Send one e-mail from this thread. Raises OSError, the base class of smtplib's errors."""
        message = EmailMessage()
        message["Subject"] = " ".join(subject.split())
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message.set_content(body)
        with self.credentials.get_server() as server:
            server.send_message(message)
