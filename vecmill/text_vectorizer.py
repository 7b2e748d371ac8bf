"""A table as a step of a scikit-learn pipeline."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from vecmill.table import Table, Weighting, open_table


class TextVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns N texts into (N, D) float32: weighted means of the vectors of their words. Training adds nothing to it.

    table: an opened table, or what `vecmill.open` takes, with workspace and version.
    weighting: "sif" weights words by how rare they are, "mean" all alike.
    empty: the row of a text without a known word: zeros, or NaN.

    Fitted, it has `table_`, the opened table, and `n_features_out_`, which is D.
    """

    def __init__(
        self,
        table: "str | Path | Table" = "",
        *,
        workspace: str | Path | None = None,
        version: int | str | None = None,
        weighting: Weighting = "sif",
        empty: Literal["zero", "nan"] = "zero",
    ) -> None:
        self.table = table
        self.workspace = workspace
        self.version = version
        self.weighting = weighting
        self.empty = empty

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Open the table. X is not read."""
        self.table_ = (
            self.table if isinstance(self.table, Table) else open_table(self.table, self.workspace, self.version)
        )
        self.n_features_out_ = self.table_.dimension
        return self

    def transform(self, X: Iterable[str]) -> NDArray[np.float32]:  # noqa: N803 - scikit-learn's name
        """Texts (N,) as (N, D) float32."""
        check_is_fitted(self)
        if isinstance(X, str):
            raise ValueError("X is a list of texts; for one text, write [text]")
        texts = list(X)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("X holds something other than texts")
        found = self.table_.embed(texts, self.weighting)
        return np.nan_to_num(found, copy=False) if self.empty == "zero" else found

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the D columns, for data frames and reports of scikit-learn."""
        check_is_fitted(self)
        return np.array([f"{self.table_.name}{place}" for place in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        return tags
