"""No user name or password of an address is repeated, whatever form the address has."""

import json
import logging
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID

import duckdb
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.deployments import build_parameters, find_deployment
from flows.runs.record import recorded_run
from storage.errors import SettingsError
from storage.layout import Workspace
from storage.named_paths import named_path
from storage.redaction import redact_logs, redacted, without_credentials
from storage.stages import complete_stage
from tests.flows.server_stack import wait_for
from tests.storage.sample_stages import SampleFacts, sample_stage

SECRET = "hunter2"
SCHEMES = st.sampled_from(["https", "http", "HTTPS", "s3", "postgresql+psycopg", "ftp", "ws"])
SLASHES = st.sampled_from(["//", "/", "///", r"\/\/", "\\\\", "\\"])
# What people and programs put around a secret; `@`, slashes, spaces and brackets are not escaped.
AROUND = st.text(st.sampled_from("abXY12.-_~!$&'()*+,;=%@:[]"), max_size=6)
HOSTS = st.sampled_from(
    ["host", "host:8080", "[::1]:80", "[::1", "ho_st", "", "host:99999999", "1.2.3.4", "hôst.example"]
)
PATHS = st.sampled_from(["", "/", "/file.txt", "/a@b/c", "?q=1", "#part", "/x?y=z@w"])
SENTENCES = st.sampled_from(["{}", "at {} now", "'{}' is a URL", '{{"path": "{}"}}', "({})", "<{}>", "{}, and x@y"])


@settings(max_examples=300, deadline=None)
@given(SCHEMES, SLASHES, AROUND, AROUND, HOSTS, PATHS, SENTENCES)
@example("https", "//", "", "@", "host", "/file.txt", "{}")
@example("https", "/", "", "", "host", "", "{}")
def test_no_made_address_shows_its_secret(
    scheme: str, slashes: str, before: str, after: str, host: str, path: str, sentence: str
) -> None:
    address = f"{scheme}:{slashes}user:{before}{SECRET}{after}@{host}{path}"
    shown = without_credentials(sentence.format(address))
    assert SECRET not in shown
    assert "user" not in shown
    assert without_credentials(shown) == shown


@pytest.mark.parametrize("inside", ["p/{}", "{}/x", "a#{}", "{}?", "my {}", "{} word", "a\\{}", '"{}"', "'{}'", "{}\t"])
def test_a_password_that_is_not_escaped_is_hidden(inside: str) -> None:
    for address in ("https://user:{}@host/file", "s3:/user:{}@host:8080", "https:user:{}@host"):
        assert SECRET not in without_credentials("cannot open " + address.format(inside.format(SECRET)))


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_what_a_library_reads_as_user_and_password_is_hidden(user: str, password: str) -> None:
    address = f"https://{quote(user + SECRET, safe='')}:{quote(password + SECRET, safe='')}@host:1/x"
    parts = urlsplit(address)
    shown = without_credentials(address)
    assert (parts.username or "") not in shown
    assert shown == f"https://…@{parts.hostname}:1/x"


@given(SCHEMES, st.sampled_from(["host", "host:8080", "[::1]:80", "127.0.0.1:4200", "a.b-c.example"]), PATHS, SENTENCES)
def test_addresses_without_credentials_stay(scheme: str, host: str, path: str, sentence: str) -> None:
    assume(not (path.startswith(("?", "#")) and "@" in path))
    text = sentence.format(f"{scheme}://{host}{path}")
    assert without_credentials(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com", "mailto:me@example.com", "/srv/a@b/c", "torchtext:6B:50", "12:30: a@b", "C:/x/y@z",
        "file:///srv/a@b.txt", "see http://localhost:4200/api: it answers, and write to me@example.com",
        "vecmill run adhoc --set corpus.path=data/**/*.txt",
    ],
)  # fmt: skip
def test_what_is_no_address_with_a_password_stays(text: str) -> None:
    assert without_credentials(text) == text


def test_tokens_in_queries_are_hidden() -> None:
    text = f"https://host/x?X-Amz-Signature={SECRET}&page=2&access_token={SECRET}#end"
    assert without_credentials(text) == "https://host/x?X-Amz-Signature=…&page=2&access_token=…#end"


def test_what_is_logged_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    address = f"https:/user:p@{SECRET}@host/x"
    logger = logging.getLogger("storage.test_redaction")
    redact_logs()
    logger.warning("cannot open %s", address)
    try:
        raise ValueError(address)
    except ValueError:
        logger.exception("it failed")
    assert "cannot open https:/…@host/x" in caplog.text
    assert "it failed" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("address", ["https://user:{}@host/f", "https:/user:p@{}@host/f", "https://user:{}@[::1/f"])
def test_the_parameters_of_a_run_hold_no_secret(address: str) -> None:
    given = [f"corpus.path={address.format(SECRET)}"]
    parameters = build_parameters(find_deployment("adhoc"), given)
    assert SECRET not in parameters.model_dump_json()
    with pytest.raises(SettingsError, match="is a URL") as refused:
        named_path(address.format(SECRET), "corpus.path")
    assert SECRET not in str(refused.value)


def test_errors_and_nested_values_are_redacted() -> None:
    address = f"https:/user:{SECRET}@host/x"
    assert SECRET not in str(SettingsError(f"there is no file {address}"))
    value = {"corpus": {"path": [address, 3, None]}, "name": "news"}
    assert json.dumps(redacted(value), ensure_ascii=False) == json.dumps(
        {"corpus": {"path": ["https:/…@host/x", 3, None]}, "name": "news"}, ensure_ascii=False
    )


def recorded(run: UUID, count: int) -> list[str] | None:
    """What the server knows of a flow run and its task runs, as JSON; None unless they are so many."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    with get_client(sync_client=True) as client:
        found = [client.read_flow_run(run), *client.read_task_runs(flow_run_filter=of_run)]
    return [one.model_dump_json() for one in found] if len(found) == count else None


@pytest.mark.usefixtures("prefect_server")
def test_an_error_of_a_library_reaches_no_state_and_no_record_with_its_secret(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    address = f"https://user:{SECRET}@127.0.0.1:9/x.duckdb"

    def build(folder: Path) -> SampleFacts:
        duckdb.connect(address, read_only=True)
        return SampleFacts(rows=1)

    @task
    def fetch() -> None:
        complete_stage(workspace, sample_stage("tokens"), build)

    @task
    def ask() -> None:
        raise ValueError(address)

    @flow
    def leaking(fails: bool) -> None:
        with recorded_run(workspace, "news"):
            if fails:
                fetch()
            ask.fn()

    for fails in (True, False):
        state = leaking(fails, return_state=True)
        assert state.is_failed()
        assert "…@127.0.0.1" in (state.message or "")
        run = state.state_details.flow_run_id
        assert run
        # The server records task runs a moment after they have ended.
        stored = wait_for("flow run and task runs", partial(recorded, run, 1 + fails))
        assert SECRET not in "".join(stored)
    assert SECRET not in "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.json"))
