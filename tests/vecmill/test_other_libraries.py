"""A table in PyTorch, scikit-learn, pandas, Polars and Arrow."""

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import vecmill
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content
from vecmill import TextVectorizer
from vecmill.table import Table


def test_an_embedding_has_rows_for_padding_and_unknown_words(table: Table) -> None:
    embedding = table.to_torch()
    assert isinstance(embedding, torch.nn.Embedding)
    assert (tuple(embedding.weight.shape), embedding.padding_idx) == ((3002, 20), 0)
    assert not embedding.weight.requires_grad
    weights = embedding.weight.numpy()
    assert not weights[0].any()
    np.testing.assert_allclose(weights[1], table.vectors().mean(0), atol=1e-6)
    np.testing.assert_array_equal(weights[2:], table.vectors())
    indices = embedding.encode([["film", "unheard", "bad"], ["a"]])
    assert indices.tolist() == [[3, 1, 5], [2, 0, 0]]
    np.testing.assert_array_equal(embedding(indices)[0, 2].numpy(), table.vector("bad"))
    assert embedding.word_to_index["<pad>"] == 0


def test_a_trained_embedding_keeps_zeros_for_padding(table: Table) -> None:
    embedding = table.to_torch(freeze=False)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=1.0)
    embedding(torch.tensor([[0, 5]])).sum().backward()
    optimizer.step()
    assert not embedding.weight[0].any()
    assert not np.allclose(embedding.weight[5].detach().numpy(), table.vectors()[3])
    assert not table.vectors().flags.writeable


def test_rows_of_an_embedding_can_be_left_out_or_be_the_tables_own(workspace: Workspace, table: Table) -> None:
    bare = table.to_torch(pad=None, unk=None)
    assert (bare.padding_idx, bare.unknown_index, bare.num_embeddings) == (None, None, 3000)
    assert bare.encode([["film", "unheard"]]).tolist() == [[1]]
    with pytest.raises(ValueError, match="embedding with `pad`"):
        bare.encode([["film"], []])
    publish_release(workspace, "tokens", content(["film", "<unk>", "<pad>"]))
    own = vecmill.open("tokens", workspace.root)
    embedding = own.to_torch()
    assert (embedding.num_embeddings, embedding.padding_idx, embedding.unknown_index) == (3, 2, 1)
    assert not embedding.weight[2].any()
    np.testing.assert_array_equal(embedding.weight[1].numpy(), own.vector("<unk>"))


@parametrize_with_checks([TextVectorizer()])
def test_the_vectorizer_passes_the_checks_of_scikit_learn(estimator: BaseEstimator, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def test_the_vectorizer_is_a_step_of_a_pipeline(table: Table, workspace: Workspace) -> None:
    texts, labels = ["good film", "a good york", "bad film", "dull", "bad"] * 4, [1, 1, 0, 0, 0] * 4
    model = clone(make_pipeline(TextVectorizer(table), LogisticRegression()))
    assert model.fit(texts, labels).score(texts, labels) > 0.5
    named = TextVectorizer("films", workspace=workspace.root, weighting="mean").fit(texts)
    np.testing.assert_array_equal(named.transform(["good film"]), table.embed(["good film"], "mean"))
    assert named.get_feature_names_out()[-1] == "films19"
    assert not named.transform(["unheard"]).any()
    assert np.isnan(TextVectorizer(table, empty="nan").fit(texts).transform(["unheard"])).all()
    framed = TextVectorizer(table).set_output(transform="pandas").fit_transform(texts)
    assert isinstance(framed, pandas.DataFrame)


@pytest.mark.parametrize("texts", ["one text", [1, 2]])
def test_the_vectorizer_refuses_what_is_no_list_of_texts(table: Table, texts: object) -> None:
    with pytest.raises(ValueError, match="text"):
        TextVectorizer(table).fit([]).transform(texts)  # type: ignore[arg-type]


def test_data_frames_hold_the_rows_of_sql(table: Table) -> None:
    expected = table.sql("SELECT rank, word, count, vector FROM word_vectors ORDER BY rank").to_arrow_table()
    found = table.to_arrow()
    assert found.equals(expected.cast(found.schema))
    frame = table.to_pandas()
    assert list(frame.columns) == ["rank", "word", "count", "vector"]
    np.testing.assert_array_equal(np.stack(frame["vector"].tolist()), table.vectors())
    assert table.to_polars().schema["vector"] == polars.Array(polars.Float32, 20)
    np.testing.assert_array_equal(table.to_polars()["vector"].to_numpy(), table.vectors())
