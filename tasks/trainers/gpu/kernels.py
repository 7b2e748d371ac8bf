"""The GPU kernels of skip-gram training: draw, then train tiles of the corpus.

A portion of the corpus is trained by four kernels. `mark_kept` draws the subsampling, `gather_kept` compacts the
surviving tokens, `draw_outputs` draws the noise words, and `train_tiles` does the rest without random numbers. Every
draw is a function of a key and of the token's position in the corpus (Philox, Salmon et
al. 2011), so it does not depend on how the work is split or scheduled.

A tile is TILE_CENTERS consecutive surviving tokens with the words around them: a band matrix. As in word2vec.c the
words around (rows of `centers`) are the inputs and predict the word in the middle (a row of `contexts`). All inputs of
a tile share its noise words, each weighted by the number of word2vec.c's draws that it replaces, so that the expected
gradient is word2vec.c's:

    logits = outputs @ inputs.T,   outputs += gradients @ inputs,   inputs += gradients.T @ outputs

with (16 or 32, D) inputs and (TILE_OUTPUTS, D) outputs at a time. Sharing what is loaded follows FULL-W2V (Randall et
al. 2021, arXiv 2312.07743). Updates are atomic additions with an unused result, for which the GPU does not wait.
"""

# Triton compiles a kernel from its source text, and has no types that mypy could check.
# mypy: disable-error-code="untyped-decorator"

from collections.abc import Callable
from typing import Any

from tasks.trainers.gpu import tile_shape

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the triton backend needs the package triton; install the extra `kernels`") from error

# Triton's decorator is untyped.
jit: Callable[..., Any] = triton.jit
# With TRITON_INTERPRET=1 kernels run as NumPy code on the CPU: slow, for tests.
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)

TILE_CENTERS = tl.constexpr(tile_shape.TILE_CENTERS)
TILE_OUTPUTS = tl.constexpr(tile_shape.TILE_OUTPUTS)
# Second word of the Philox counter, so that no two draws of a token are the same. The noise word in slot s of a tile
# is drawn with NOISE + s.
SURVIVAL = tl.constexpr(0)
NOISE = tl.constexpr(1)


@jit
def _random_bits(key: tl.tensor, position: tl.tensor, purpose: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Two 32-bit random words for each position (int64) and purpose (int32)."""
    low, high = position.to(tl.uint32), (position >> 32).to(tl.uint32)
    first, second, _, _ = tl.philox(key, low, high, low * 0 + purpose.to(tl.uint32), low * 0)
    return first, second


@jit
def _word_of(token: tl.tensor) -> tl.tensor:
    """The token id itself, from ids whose bits are flipped at the start of a sentence."""
    return tl.where(token < 0, -1 - token, token)


@jit(do_not_specialize=["count", "start", "key"])
def mark_kept(
    tokens: tl.tensor,
    keep_thresholds: tl.tensor,
    kept: tl.tensor,
    count: tl.tensor,
    start: tl.tensor,
    key: tl.tensor,
    block: tl.constexpr,
) -> None:
    """Draw for every token whether subsampling keeps it.

    tokens: (N,) int32, bits flipped at the start of a sentence.  keep_thresholds: (V,) uint32 as int32.
    kept: (N,) int8, written.  start: position of the first token in the corpus.  key: of seed and epoch.
    """
    offset = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = offset < count
    word = _word_of(tl.load(tokens + offset, mask=inside, other=0))
    threshold = tl.load(keep_thresholds + word, mask=inside, other=0).to(tl.uint32, bitcast=True)
    coin, _ = _random_bits(key, start + offset, tl.full((block,), SURVIVAL, tl.int32))
    tl.store(kept + offset, (coin <= threshold).to(tl.int8), mask=inside)


@jit(do_not_specialize=["count", "start", "key", "least_radius", "radii"])
def gather_kept(
    tokens: tl.tensor,
    kept: tl.tensor,
    places: tl.tensor,
    sentences: tl.tensor,
    words_out: tl.tensor,
    sentences_out: tl.tensor,
    positions_out: tl.tensor,
    radii_out: tl.tensor,
    count: tl.tensor,
    start: tl.tensor,
    key: tl.tensor,
    least_radius: tl.tensor,
    radii: tl.tensor,
    block: tl.constexpr,
) -> None:
    """Compact the surviving tokens, each with its sentence, its position in the portion and its window radius.

    kept: (N,) int8.  places: (N,) int32, number of survivors up to and including each token.  sentences: (N,) int32.
    The four outputs: (N,) int32, one entry per survivor is written.
    least_radius, radii: a window's radius is one of `radii` numbers from least_radius on, all equally likely.
    """
    offset = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = offset < count
    survives = inside & (tl.load(kept + offset, mask=inside, other=0) != 0)
    place = tl.load(places + offset, mask=survives, other=1) - 1
    _, bits = _random_bits(key, start + offset, tl.full((block,), SURVIVAL, tl.int32))
    radius = least_radius + tl.umulhi(bits, tl.full((block,), 0, tl.uint32) + radii.to(tl.uint32)).to(tl.int32)
    tl.store(words_out + place, _word_of(tl.load(tokens + offset, mask=survives, other=0)), mask=survives)
    tl.store(sentences_out + place, tl.load(sentences + offset, mask=survives, other=0), mask=survives)
    tl.store(positions_out + place, offset.to(tl.int32), mask=survives)
    tl.store(radii_out + place, radius, mask=survives)


@jit(do_not_specialize=["start", "key", "vocabulary"])
def draw_outputs(
    words: tl.tensor,
    positions: tl.tensor,
    kept_count: tl.tensor,
    noise_thresholds: tl.tensor,
    noise_aliases: tl.tensor,
    outputs: tl.tensor,
    start: tl.tensor,
    key: tl.tensor,
    vocabulary: tl.tensor,
    slots: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Write the output words of every tile: its centers, then noise words.

    words, positions: (N,) int32 of the surviving tokens.  kept_count: (1,) int32, number of survivors.
    noise_thresholds: (V,) uint32 as int32; noise_aliases: (V,) int32: an alias table.
    outputs: (tiles, slots) int32, written.  A tile's noise is keyed by the position of its first token.
    """
    offset = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    tile, slot = offset // slots, (offset % slots).to(tl.int32)
    count = tl.load(kept_count)
    inside = tile * TILE_CENTERS < count
    center = tile * TILE_CENTERS + slot
    is_center = slot < TILE_CENTERS
    position = start + tl.load(positions + tile * TILE_CENTERS, mask=inside, other=0)
    bits, coin = _random_bits(key, position, slot + NOISE)
    row = tl.umulhi(bits, tl.full((block,), 0, tl.uint32) + vocabulary.to(tl.uint32)).to(tl.int32)
    threshold = tl.load(noise_thresholds + row, mask=inside & ~is_center, other=0).to(tl.uint32, bitcast=True)
    alias = tl.load(noise_aliases + row, mask=inside & ~is_center, other=0)
    noise = tl.where(coin <= threshold, row, alias)
    middle = tl.load(words + center, mask=is_center & (center < count), other=0)
    tl.store(outputs + offset, tl.where(is_center, middle, noise), mask=inside)


@jit
def _load_rows(
    table: tl.tensor,
    words: tl.tensor,
    is_used: tl.tensor,
    block: tl.tensor,
    stride: tl.constexpr,
    columns: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """One block of columns of the rows of some words: (values, offsets in the table, mask of valid entries).

    Rows that are not used, and columns past the stride, are zero. The cache of one multiprocessor does
    not see the writes of others, so loads bypass it.
    """
    column = block * columns + tl.arange(0, columns)
    places = words.to(tl.int64)[:, None] * stride + column[None, :]
    exists = is_used[:, None] & (column < stride)[None, :]
    return tl.load(table + places, mask=exists, other=0.0, cache_modifier=".cg"), places, exists


@jit
def _rounded(values: tl.tensor) -> tl.tensor:
    """The nearest bfloat16 numbers, as float32, like a GPU's conversion."""
    bits = values.to(tl.uint32, bitcast=True)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).to(tl.float32, bitcast=True)


@jit
def _dot(a: tl.tensor, b: tl.tensor, exact: tl.constexpr) -> tl.tensor:
    """Matrix product summed in float32: of the operands as they are, or rounded to bfloat16 for the tensor cores."""
    if exact:
        return tl.dot(a, b, input_precision="ieee")
    if INTERPRETED:
        # The interpreter truncates to bfloat16 and then multiplies the bits (Triton issue 11584).
        return tl.dot(_rounded(a), _rounded(b), input_precision="ieee")
    return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16))


@jit
def _weights(
    pairs: tl.tensor,
    middle: tl.tensor,
    outputs: tl.tensor,
    is_center: tl.tensor,
    slot: tl.tensor,
    noise_share: tl.tensor,
) -> tl.tensor:
    """Weight of each pair of an output and an input: (outputs, inputs) float32.

    pairs: (centers, inputs), whether an input is in the window of a center.  middle: (centers,), outputs: (outputs,)
    token ids.  is_center, slot: (outputs,), whether an output is a center, and which.
    A center counts 1 for each of its inputs; a noise word `noise_share` for each pair of that input whose center is
    another word: word2vec.c skips noise that equals the predicted word.
    """
    is_own = slot[:, None] == tl.arange(0, TILE_CENTERS)[None, :]
    counts = tl.where(is_center[:, None], is_own, outputs[:, None] != middle[None, :])
    # Small whole numbers, which bfloat16 holds exactly.
    weights = _dot(counts.to(tl.float32), pairs.to(tl.float32), False)
    return weights * tl.where(is_center, 1.0, noise_share)[:, None]


@jit
def train_tiles(
    centers: tl.tensor,
    contexts: tl.tensor,
    words: tl.tensor,
    sentences: tl.tensor,
    positions: tl.tensor,
    radii: tl.tensor,
    outputs: tl.tensor,
    kept_count: tl.tensor,
    losses: tl.tensor,
    pair_counts: tl.tensor,
    noise_share: tl.tensor,
    learning_rate: tl.tensor,
    final_rate: tl.tensor,
    progress_start: tl.tensor,
    progress_step: tl.tensor,
    stride: tl.constexpr,
    columns: tl.constexpr,
    column_blocks: tl.constexpr,
    largest_radius: tl.constexpr,
    block_inputs: tl.constexpr,
    input_blocks: tl.constexpr,
    output_blocks: tl.constexpr,
    exact: tl.constexpr,
) -> None:
    """Train every tile; each program trains an equal run of tiles, so programs x TILE_CENTERS centers are in flight.

    centers, contexts: (V, stride) float32, updated in place; columns past the dimension are zero and stay so.
    words, sentences, positions, radii: (N,) int32 of the surviving tokens.  outputs: (tiles, slots) int32.
    losses, pair_counts: (programs,) float32 and int32, written: loss summed over all pairs, and positive pairs.
    noise_share: word2vec.c's draws that one noise word replaces, for each pair.
    learning_rate, final_rate: at the start and at the end of the whole training; linear in between.
    progress_start: part of the training done before this portion.  progress_step: part that one token adds.
    """
    count = tl.load(kept_count)
    tiles = tl.cdiv(count, TILE_CENTERS).to(tl.int64)
    program, programs = tl.program_id(0), tl.num_programs(0)
    first = (tiles * program // programs).to(tl.int32)
    last = (tiles * (program + 1) // programs).to(tl.int32)
    loss = tl.zeros((block_inputs,), tl.float32)
    pairs_seen = tl.zeros((block_inputs,), tl.int32)
    for tile in range(first, last):
        place = tile * TILE_CENTERS + tl.arange(0, TILE_CENTERS)
        here = place < count
        middle = tl.load(words + place, mask=here, other=0)
        sentence = tl.load(sentences + place, mask=here, other=-1)
        radius = tl.load(radii + place, mask=here, other=0)
        progress = progress_start + tl.load(positions + tile * TILE_CENTERS) * progress_step
        rate = learning_rate + (final_rate - learning_rate) * progress
        for input_block in range(input_blocks):
            spot = tile * TILE_CENTERS - largest_radius + input_block * block_inputs + tl.arange(0, block_inputs)
            there = (spot >= 0) & (spot < count)
            input_sentence = tl.load(sentences + spot, mask=there, other=-2)
            distance = tl.abs(place[:, None] - spot[None, :])
            pairs = (sentence[:, None] == input_sentence[None, :]) & (distance > 0) & (distance <= radius[:, None])
            input_pairs = tl.sum(pairs.to(tl.int32), axis=0)
            pairs_seen += input_pairs
            is_used = input_pairs > 0
            inputs = tl.load(words + spot, mask=is_used, other=0)
            for output_block in range(output_blocks):
                slot = output_block * TILE_OUTPUTS + tl.arange(0, TILE_OUTPUTS)
                output = tl.load(outputs + tl.cast(tile, tl.int64) * (output_blocks * TILE_OUTPUTS) + slot)
                is_center = slot < TILE_CENTERS
                is_output = slot >= 0
                weights = _weights(pairs, middle, output, is_center, slot, noise_share)

                x, x_places, x_exists = _load_rows(centers, inputs, is_used, 0, stride, columns)
                y, y_places, y_exists = _load_rows(contexts, output, is_output, 0, stride, columns)
                logits = _dot(y, tl.trans(x), exact)
                for block in range(1, column_blocks):
                    x, x_places, x_exists = _load_rows(centers, inputs, is_used, block, stride, columns)
                    y, y_places, y_exists = _load_rows(contexts, output, is_output, block, stride, columns)
                    logits += _dot(y, tl.trans(x), exact)

                # exp of a non-positive number cannot overflow.
                small = tl.exp(-tl.abs(logits))
                chance = tl.where(logits >= 0, 1.0, small) / (1.0 + small)
                signed = tl.where(is_center[:, None], -logits, logits)
                loss += tl.sum(weights * (tl.maximum(signed, 0.0) + tl.log(1.0 + small)), axis=0)
                gradients = rate * weights * (tl.where(is_center, 1.0, 0.0)[:, None] - chance)

                for block in range(column_blocks):
                    if column_blocks > 1:
                        x, x_places, x_exists = _load_rows(centers, inputs, is_used, block, stride, columns)
                        y, y_places, y_exists = _load_rows(contexts, output, is_output, block, stride, columns)
                    y_gradient = _dot(gradients, x, exact)
                    tl.atomic_add(contexts + y_places, y_gradient, mask=y_exists, sem="relaxed")
                    x_gradient = _dot(tl.trans(gradients), y, exact)
                    tl.atomic_add(centers + x_places, x_gradient, mask=x_exists, sem="relaxed")
    tl.store(losses + program, tl.sum(loss))
    tl.store(pair_counts + program, tl.sum(pairs_seen))
