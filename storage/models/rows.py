"""Rows of scores: fields are columns of the files and tables that hold them, descriptions are their comments."""

from pydantic import BaseModel, ConfigDict, Field

# The section of an evaluation row that stands for the gold set as a whole.
WHOLE = "all"


class Row(BaseModel):
    """One row of one of the tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EvaluationRow(Row):
    """One figure of the evaluation, in the table `evaluation`."""

    metric: str = Field(description="name of the metric")
    section: str = Field(default=WHOLE, description=f"part of the gold set; '{WHOLE}' is the whole")
    value: float | None = Field(description="the metric's value; NULL where nothing could be compared")
    coverage: float | None = Field(default=None, description="share of the gold set whose words are known, 0 to 1")
    gold_digest: str | None = Field(default=None, description="digest of what it was measured with")
    low: float | None = Field(default=None, description="lower end of the value's 95 % interval; NULL: it has none")
    high: float | None = Field(default=None, description="upper end of the value's 95 % interval; NULL: it has none")
    covered: int | None = Field(default=None, description="pairs, questions or words that the value is made of")
    lost: int | None = Field(default=None, description="those left out because a word of theirs is not known")


class ComparedWordRow(Row):
    """A word and its neighbours in other vectors, in the table `compared_words`."""

    compared_with: str = Field(description="what it is compared with: reference vectors, or the release before")
    word: str = Field(description="the word")
    rank: int = Field(description="its place by frequency, 1 = most frequent")
    overlap: float = Field(description="share of its nearest neighbours that are the same in both, 0 to 1")
    rank_overlap: float = Field(description="the same with regard to their order (rank-biased overlap), 0 to 1")
    only_here: list[str] = Field(description="neighbours that only this release has, the nearest first")
    only_there: list[str] = Field(description="neighbours that only the other has, the nearest first")
