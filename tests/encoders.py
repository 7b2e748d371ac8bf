"""Small text encoders with random weights, saved by the libraries that real ones come from."""

import string
from pathlib import Path

import torch


def save_encoder(folder: Path, *, pooling: bool = True, seed: int = 1) -> Path:
    """A BERT of one layer and 32 numbers that knows letters; with `pooling` as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = string.ascii_lowercase + string.digits
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    if pooling:
        transformer = Transformer(str(folder))
        SentenceTransformer(modules=[transformer, Pooling(32, "mean")]).save(str(folder))
    return folder
