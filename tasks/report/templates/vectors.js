// The words of the page and what can be computed from their vectors. Rows are in the order of frequency.

// Characters of base64, vectors and words that are read without a pause: a few milliseconds on a phone.
const PIECE = 1 << 17, VECTORS_AT_ONCE = 1000, ROWS_AT_ONCE = 10_000;

const page = JSON.parse(document.getElementById("report-data").textContent);
const { words, counts, dimension } = page;
await pause();
const rowOf = new Map();
for (let row = 0; row < words.length; row++) {
  rowOf.set(words[row], row);
  if (row % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await pause();
}
// The vectors, row after row, each of length 1; empty until they are read.
let units = new Float32Array(0);

// Read the stored numbers in small pieces, so that the page answers meanwhile.
async function readUnits() {
  const base64 = document.getElementById("report-vectors").textContent;
  const stored = page.bits === 8 ? new Int8Array(words.length * dimension) : new Int16Array(words.length * dimension);
  const bytes = new Uint8Array(stored.buffer);
  for (let start = 0, at = 0; start < base64.length; start += PIECE) {
    const text = atob(base64.slice(start, start + PIECE));
    for (let place = 0; place < text.length; place++) bytes[at++] = text.charCodeAt(place);
    await pause();
  }
  const scaled = new Float32Array(stored.length);
  for (let row = 0; row < words.length; row++) {
    const start = row * dimension;
    let squares = 0;
    for (let place = start; place < start + dimension; place++) squares += stored[place] * stored[place];
    const length = Math.sqrt(squares) || 1;
    for (let place = start; place < start + dimension; place++) scaled[place] = stored[place] / length;
    if (row % VECTORS_AT_ONCE === 0) await pause();
  }
  units = scaled;
}

function vectorOf(row) {
  return units.subarray(row * dimension, (row + 1) * dimension);
}

function innerProduct(one, other) {
  let sum = 0;
  for (let place = 0; place < dimension; place++) sum += one[place] * other[place];
  return sum;
}

// The inner product of a word's vector and another; faster than a view for each word where there are many.
function innerProductOf(row, other) {
  const start = row * dimension;
  let sum = 0;
  for (let place = 0; place < dimension; place++) sum += units[start + place] * other[place];
  return sum;
}

// The k rows with the largest cosine to a direction, nearest first, among the first `among` rows without `leftOut`.
function nearestTo(direction, leftOut, k, among = words.length) {
  const length = Math.sqrt(innerProduct(direction, direction));
  const best = [];
  if (length === 0) return best;
  for (let row = 0; row < among; row++) {
    const similarity = innerProductOf(row, direction) / length;
    if (best.length === k && similarity <= best[k - 1].similarity) continue;
    if (leftOut.includes(row)) continue;
    let place = best.length;
    while (place > 0 && best[place - 1].similarity < similarity) place--;
    best.splice(place, 0, { row, similarity });
    if (best.length > k) best.pop();
  }
  return best;
}

function nearest(row, k) {
  return nearestTo(vectorOf(row), [row], k);
}

// a is to b as c is to …?
function analogy(a, b, c, k) {
  const direction = vectorOf(b).map((value, place) => value - vectorOf(a)[place] + vectorOf(c)[place]);
  return nearestTo(direction, [a, b, c], k);
}

// The sum of the words of one pole minus that of another, and the cosine of every word to it.
function axisOf(low, high) {
  const direction = new Float32Array(dimension);
  for (const row of high) vectorOf(row).forEach((value, place) => { direction[place] += value; });
  for (const row of low) vectorOf(row).forEach((value, place) => { direction[place] -= value; });
  const length = Math.sqrt(innerProduct(direction, direction)) || 1;
  return Float32Array.from(words, (_, row) => innerProductOf(row, direction) / length);
}

// Where the words of an analogy are in the plane of a, b and c: a in the corner, b to the right, c above, and the
// fourth word. Coordinates are multiples of the sides, so that b - a + c is the point [1, 1].
function planeOf(a, b, c, d) {
  const from = (row) => vectorOf(row).map((value, place) => value - vectorOf(a)[place]);
  const [right, up, other] = [b, c, d].map(from);
  const [aa, bb, ab] = [innerProduct(right, right), innerProduct(up, up), innerProduct(right, up)];
  const [x, y] = [innerProduct(other, right), innerProduct(other, up)];
  const divisor = aa * bb - ab * ab || 1;
  const angle = Math.acos(Math.max(-1, Math.min(1, ab / (Math.sqrt(aa * bb) || 1))));
  return { sides: [Math.sqrt(aa), Math.sqrt(bb)], angle, fourth: [(x * bb - y * ab) / divisor, (y * aa - x * ab) / divisor] };
}

function similarity(one, other) {
  return innerProduct(vectorOf(one), vectorOf(other));
}

// How many words are nearer to `one` than `other` is, plus one.
function neighborRank(one, other) {
  const reached = similarity(one, other), vector = vectorOf(one);
  let rank = 1;
  for (let row = 0; row < words.length; row++) {
    if (row !== one && row !== other && innerProductOf(row, vector) > reached) rank++;
  }
  return rank;
}

// The row of a word as typed, undefined if the page does not have it.
function findRow(text) {
  const typed = text.trim().normalize("NFC");
  return rowOf.get(typed) ?? rowOf.get(text) ?? rowOf.get(typed.toLowerCase());
}

// Rows that complete what was typed: words that begin with it, then words that hold it, frequent ones first.
function completions(text, limit) {
  const typed = text.trim().toLowerCase();
  if (!typed) return [];
  const beginning = [], holding = [];
  for (let row = 0; row < words.length && beginning.length < limit; row++) {
    const place = words[row].toLowerCase().indexOf(typed);
    if (place === 0) beginning.push(row);
    else if (place > 0 && holding.length < limit) holding.push(row);
  }
  const exact = findRow(text);
  const found = [...beginning, ...holding].filter((row) => row !== exact).slice(0, exact === undefined ? limit : limit - 1);
  return exact === undefined ? found : [exact, ...found];
}

// Up to `limit` rows whose spelling differs from a text in one or two letters, closest first, then frequent ones.
function similarSpellings(text, limit) {
  const typed = [...text.trim().normalize("NFC").toLowerCase()];
  if (typed.length < 3 || typed.length > 40) return [];
  const most = typed.length < 5 ? 1 : 2;
  const found = [];
  words.forEach((word, row) => {
    if (Math.abs(word.length - typed.length) > 2 * most) return;  // a letter can take two code units
    const distance = editDistance(typed, [...word.toLowerCase()]);
    if (distance <= most) found.push({ row, distance });
  });
  return found.sort((one, other) => one.distance - other.distance || one.row - other.row).slice(0, limit).map(({ row }) => row);
}

// Insertions, deletions, replacements and swaps of neighbouring letters between two arrays of letters.
function editDistance(one, other) {
  let before = [], last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let line = 1; line <= one.length; line++) {
    const current = [line];
    for (let column = 1; column <= other.length; column++) {
      const same = one[line - 1] === other[column - 1];
      current[column] = Math.min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (same ? 0 : 1));
      const swapped = line > 1 && column > 1 && one[line - 1] === other[column - 2] && one[line - 2] === other[column - 1];
      if (swapped) current[column] = Math.min(current[column], before[column - 2] + 1);
    }
    [before, last] = [last, current];
  }
  return last[other.length];
}

// The words of a list: a line that is itself a word, else its parts between commas, else between blanks.
function readList(text) {
  const rows = [], unknown = [];
  const split = (part, separators) => {
    const trimmed = part.trim();
    if (!trimmed) return;
    const row = findRow(trimmed);
    if (row !== undefined) rows.push(row);
    else if (separators.length) trimmed.split(separators[0]).forEach((piece) => split(piece, separators.slice(1)));
    else unknown.push(trimmed);
  };
  split(text, ["\n", /[,;]/, /\s+/]);
  return { rows: [...new Set(rows)], unknown: [...new Set(unknown)] };
}
