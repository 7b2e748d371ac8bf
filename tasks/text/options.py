"""The settings of `tokenizer`: which tokenizer, and how text and tokens are cleaned around it."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

WordTokenizer = Literal["unicode_words", "basic_english", "whitespace"]
LanguageTokenizer = Literal["korean", "chinese", "japanese", "thai"]
PieceTokenizer = Literal["bpe", "unigram"]
LANGUAGES = ("korean", "chinese", "japanese", "thai")
PIECES = ("bpe", "unigram")
WITH_PARTS_OF_SPEECH = ("korean", "japanese")


class TokenizerConfig(BaseModel):
    """How text is split into tokens. Every setting but `name` is off by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: WordTokenizer | LanguageTokenizer | PieceTokenizer = Field(
        default="unicode_words",
        description="unicode_words: lower-case letters and digits of any script, with inner apostrophes; "
        "basic_english: torchtext's; whitespace: for text that is already tokenized; korean, japanese: morphemes, "
        "chinese, thai: words, each with the extra of its name; bpe, unigram: word pieces trained on the corpus",
    )
    parts_of_speech: Literal["all", "content"] = Field(
        default="all",
        description="korean and japanese: all morphemes, or only those with content: nouns, verbs and adjectives in "
        "dictionary form, adverbs, foreign words and numbers",
    )
    pieces: int = Field(
        default=16_000, ge=100, le=1_000_000, description="bpe and unigram: number of different word pieces"
    )
    pieces_of: WordTokenizer = Field(
        default="unicode_words", description="bpe and unigram: the tokenizer whose words are split into pieces"
    )
    nfkc: bool = Field(default=False, description="replace compatibility characters (full-width, ligatures) by NFKC")
    strip_accents: bool = Field(
        default=False, description="remove accents (U+0300 to U+036F) from letters of any script: café becomes cafe"
    )
    numbers: Literal["keep", "token"] = Field(default="keep", description="token: replace each number by <num>")
    links: Literal["keep", "token", "remove"] = Field(
        default="keep", description="URLs and e-mail addresses: token: replace by <url> and <email>; or remove"
    )
    sentences: bool = Field(
        default=False, description="train on sentences: no window crosses the end of a sentence or a line"
    )
    stop_words: list[str] = Field(
        default_factory=list,
        description="words to drop after tokenizing; `iso:en` is the list of that language (extra text)",
    )
    min_characters: int = Field(default=0, ge=0, description="drop documents with fewer characters")
    duplicates: Literal["keep", "exact", "near"] = Field(
        default="keep",
        description="drop repeated documents: exact: same text but for case and whitespace; near: also those with "
        "mostly the same word triples (extra text)",
    )
    near_similarity: float = Field(
        default=0.8, ge=0.5, le=1, description="duplicates=near: share of common word triples (Jaccard) that repeats"
    )
    languages: list[str] = Field(
        default_factory=list,
        description="drop documents in other languages: ISO 639-1 codes such as en (extra text); empty: keep all",
    )
    phrases: int = Field(
        default=0, ge=0, le=2, description="join collocations (new_york) in this many passes; two join up to four words"
    )
    phrase_min_count: int = Field(default=5, ge=1, description="phrases: occurrences that a pair of words must exceed")
    phrase_threshold: float = Field(default=10.0, gt=0, description="phrases: score that a pair of words must exceed")
    phrase_delimiter: str = Field(default="_", pattern=r"^\S+$", max_length=8, description="phrases: joins the words")

    @model_validator(mode="after")
    def _settings_act(self) -> Self:
        if self.parts_of_speech != "all" and self.name not in WITH_PARTS_OF_SPEECH:
            raise ValueError(f"tokenizer.parts_of_speech acts on {' and '.join(WITH_PARTS_OF_SPEECH)} only")
        if self.phrases and self.name in PIECES:
            raise ValueError("tokenizer.phrases joins words, but bpe and unigram cut them; use one or the other")
        return self

    @property
    def words(self) -> WordTokenizer | LanguageTokenizer:
        """The tokenizer that cuts text into words or morphemes."""
        return self.pieces_of if self.name in PIECES else self.name  # type: ignore[return-value]

    @property
    def is_plain(self) -> bool:
        """Whether only `name` is set, to a word tokenizer."""
        return self.identity == {"name": self.name} and self.name not in (*LANGUAGES, *PIECES)

    @property
    def keeps_batches(self) -> bool:
        """Whether batches of words are kept while the stage runs: cutting is slow, or they are read several times."""
        return self.words in LANGUAGES or self.name in PIECES or self.phrases > 0

    @property
    def depends_on_all_text(self) -> bool:
        """Whether the tokens of a document depend on other documents."""
        return bool(self.name in PIECES or self.phrases or self.duplicates != "keep")

    @property
    def keeps_documents(self) -> bool:
        """Whether the documents of the tokens are those of the corpus, none left out or split."""
        return not (self.sentences or self.min_characters or self.languages or self.duplicates != "keep")

    @property
    def cuts_gold_words(self) -> bool:
        """Whether words of gold sets and queries must be tokenized like the corpus."""
        return self.name in (*LANGUAGES, *PIECES) or self.phrases > 0

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that differ from the default, and the name: what identifies the stage."""
        return {"name": self.name} | self.model_dump(exclude_defaults=True)
