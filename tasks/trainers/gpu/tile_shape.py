"""The tiles that the GPU trains, derived from the settings. Needs neither a GPU nor Triton."""

from dataclasses import dataclass

from tasks.trainers.config import SkipGramConfig

# Centers of a tile, and input or output rows handled at once. Powers of 2, as Triton requires, and at least 16, as
# tensor cores require.
TILE_CENTERS, TILE_OUTPUTS = 16, 64
# Approximate pairs per noise word of a tile. The word moves once by the sum of their gradients; the CPU trainer, where
# wide windows diverged, has the same limit.
PAIRS_PER_NOISE_WORD = 10
# Inputs of a tile handled at once. 16 centers with windows of radius 5 have 26. Wider windows are split into smaller
# blocks: a center moves once by the sum of the gradients of all inputs in a block.
BLOCK_INPUTS, SMALL_BLOCK_INPUTS = 32, 16
# Up to this many columns a row is one block; longer rows use blocks of half the size, to fit into registers.
MOST_COLUMNS = 128
# Vocabulary words per center in flight, and the default maximum of centers: enough to fill any GPU.
WORDS_PER_CENTER = 64
MOST_CENTERS_IN_FLIGHT = 4096
# Rows are padded to whole 32-byte sectors of the GPU's memory.
ROW_MULTIPLE = 8


@dataclass(frozen=True)
class TileShape:
    """Sizes of the blocks that the kernel handles at once.

    stride: floats of a row.  columns, column_blocks: columns per block, and number of blocks.
    largest_radius: maximum words to each side.  input_blocks: blocks of `block_inputs` words that cover a tile and its
    surroundings.  output_blocks: blocks of TILE_OUTPUTS rows, the tile's centers and its noise words.
    noise_share: draws of word2vec.c that a noise word replaces, for each pair.  programs: tiles trained at a time.
    """

    stride: int
    columns: int
    column_blocks: int
    largest_radius: int
    block_inputs: int
    input_blocks: int
    output_blocks: int
    noise_share: float
    programs: int

    @property
    def slots(self) -> int:
        """Output rows of a tile."""
        return self.output_blocks * TILE_OUTPUTS

    @property
    def token_bytes(self) -> int:
        """Memory for each token of a portion.

        Mask, sentence and position of every token; word, sentence, position, radius and output words of the survivors,
        in the worst case of all tokens.
        """
        return 32 + 4 * self.slots // TILE_CENTERS


def tile_shape(config: SkipGramConfig, words: int) -> TileShape:
    """The shape for these settings and a vocabulary of `words`."""
    stride, radius = row_stride(config.dimension), config.largest_window_radius
    columns = max(16, 1 << (config.dimension - 1).bit_length())
    if columns > MOST_COLUMNS:
        columns = MOST_COLUMNS // 2
    block_inputs = BLOCK_INPUTS if TILE_CENTERS + 2 * radius <= BLOCK_INPUTS else SMALL_BLOCK_INPUTS
    inputs_of_a_center = radius + 1 if config.reduced_windows else 2 * radius
    noise_words = TILE_CENTERS * inputs_of_a_center * config.negatives_per_pair / PAIRS_PER_NOISE_WORD
    output_blocks = max(1, round((TILE_CENTERS + noise_words) / TILE_OUTPUTS))
    return TileShape(
        stride=stride,
        columns=columns,
        column_blocks=-(-config.dimension // columns),
        largest_radius=radius,
        block_inputs=block_inputs,
        input_blocks=-(-(TILE_CENTERS + 2 * radius) // block_inputs),
        output_blocks=output_blocks,
        noise_share=config.negatives_per_pair / (output_blocks * TILE_OUTPUTS - TILE_CENTERS),
        programs=-(-centers_in_flight(config, words) // TILE_CENTERS),
    )


def centers_in_flight(config: SkipGramConfig, words: int) -> int:
    """As set, else derived from the size of the vocabulary.

    Words trained at the same time do not see each other's updates. On a small vocabulary many of them are the same
    words, whose vectors then move by many steps computed from one old value.
    """
    if config.centers_in_flight is not None:
        return config.centers_in_flight
    return min(max(words // WORDS_PER_CENTER, TILE_CENTERS), MOST_CENTERS_IN_FLIGHT)


def row_stride(dimension: int) -> int:
    """Floats from one row of a table on the GPU to the next."""
    return -(-dimension // ROW_MULTIPLE) * ROW_MULTIPLE
