"""A block of Prefect's that sends notifications as e-mail; Prefect itself has none that talks to any SMTP server.

Prefect's server loads this module when it starts, by the entry point in pyproject.toml.
"""

import asyncio
from email.message import EmailMessage

from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect_email import EmailServerCredentials
from pydantic import Field

# The server sends from its event loop: one mail server that does not answer must not keep other actions waiting.
SEND_SECONDS = 60.0


class MailNotification(NotificationBlock):
    """Sends notifications as plain text e-mail."""

    _block_type_name = "vecmill mail"
    _block_type_slug = "vecmill-mail"

    credentials: EmailServerCredentials = Field(description="the SMTP server, and how to log in there")
    sender: str = Field(description="address in From")
    recipients: list[str] = Field(min_length=1, description="addresses in To")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send one e-mail. Raises NotificationError with what the mail server said if it does not take it."""
        try:
            await asyncio.wait_for(asyncio.to_thread(self.send, body, subject or ""), SEND_SECONDS)
        except OSError as error:  # smtplib's errors, refused connections and timeouts
            raise NotificationError(f"{type(error).__name__}: {error}") from error

    def send(self, body: str, subject: str) -> None:
        """Send one e-mail from this thread. Raises OSError, of which smtplib's errors are kinds."""
        message = EmailMessage()
        message["Subject"] = " ".join(subject.split())
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message.set_content(body)
        with self.credentials.get_server() as server:
            server.send_message(message)
