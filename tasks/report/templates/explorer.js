// The explorer: one state, shown in the panel and on the map, and kept in the address so that a link brings it back.

const TABS = ["neighbors", "analogy", "compare", "axis", "mark", ...(page.drift ? ["drift"] : [])];
const FIELDS = ["a", "b", "c", "one", "other"];
const INPUTS = { a: "analogy-a", b: "analogy-b", c: "analogy-c", one: "compare-one", other: "compare-other" };
const POLES = ["low", "high"];
const FEW = 10, MANY = 25;
const ALONG_AXIS = 8;
const COLORINGS = ["group", "frequency", ...(page.drift ? ["drift"] : [])];
// Pairs of opposites for a first look at an axis.
const AXES = [["bad", "good"], ["he", "she"], ["old", "new"], ["man", "woman"], ["small", "large"]];

// word and FIELDS: rows, undefined where the page lacks the word. low, high, marked: lists as typed. alone: whether the
// marked words are isolated. moved: number of the chosen word that moved. view: zoom and middle of the map, empty when
// it shows all.
const state = { tab: "neighbors", k: FEW, marked: "", alone: false, low: "", high: "", moved: 0, color: "group", view: "" };
// What was asked for in each field, as it is written there.
const typed = {};
await pause();
const map = await createMap(byId("map"), byId("points"), {
  onPick: (row) => pickWord(row),
  onMoved() { state.view = map.viewText(); keepView(); },
  onSelected(rows) { isolate(rows); },
});
const chooseTab = createTabs(TABS, (name) => { state.tab = name; show(); showOnMap(); });

function ask(field, row, text = words[row]) {
  state[field] = row;
  typed[field] = text;
}

function pickWord(row, { move = false } = {}) {
  ask("word", row);
  state.tab = "neighbors";
  show();
  if (move) showOnMap();
}

// Select words, dim all others and list them.
function isolate(rows) {
  state.marked = rows.map((row) => words[row]).join("\n");
  state.alone = true;
  state.tab = "mark";
  show();
}

// Take the text of a field as it is, so that no answer stays that belongs to another text. An emptied field gets its
// word back.
function takeText(field, text, { entered = false } = {}) {
  if (text.trim() && (text !== typed[field] || entered)) {
    const row = findRow(text);
    if (row === undefined) ask(field, row, text.trim());
    else ask(field, row);
    if (field === "word") state.tab = "neighbors";
    show();
    showOnMap();
  } else writeFields();
}

function takePole(pole, text) {
  if (text.trim()) state[pole] = text.trim();
  show();
}

function writeFields() {
  byId("search").value = typed.word;
  for (const field of FIELDS) byId(INPUTS[field]).value = typed[field];
  for (const pole of POLES) byId(`axis-${pole}`).value = state[pole];
}

// Bring what the panel shows into view; words that have no place are left out.
function showOnMap() {
  if (state.tab === "neighbors" && state.word !== undefined) map.show([state.word, ...nearest(state.word, FEW).map((answer) => answer.row)]);
  if (state.tab === "analogy") map.show([state.a, state.b, state.c, ...missing("a", "b", "c").length ? [] : analogy(state.a, state.b, state.c, 1).map((answer) => answer.row)]);
  if (state.tab === "compare") map.show([state.one, state.other]);
  if (state.tab === "mark") map.show(readList(state.marked).rows);
  if (state.tab === "axis") map.show([]);
  if (state.tab === "drift") map.show([page.drift.words[state.moved].row], [placeBefore(state.moved)]);
}

// Those of some fields whose word the page lacks.
function missing(...fields) {
  return fields.filter((field) => state[field] === undefined);
}

// Say which words of some fields the page lacks, and offer similar spellings. unknown: texts of lists.
function showMissing(fields, unknown = []) {
  const message = byId("message");
  message.replaceChildren();
  message.hidden = fields.length + unknown.length === 0;
  if (message.hidden) return;
  const names = [...new Set([...fields.map((field) => typed[field]), ...unknown])].map((name) => `“${shortened(name)}”`);
  const rest = page.allWords > words.length ? ` The table has ${grouped(page.allWords)} words; query it with SQL.` : "";
  const listed = names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  message.append(`${listed} ${names.length === 1 ? "is" : "are"} not among the ${grouped(words.length)} words of this page.${rest}`);
  for (const field of fields) {
    for (const row of similarSpellings(typed[field], 3)) {
      const button = element("button", { type: "button", className: "quiet similar" }, words[row]);
      button.addEventListener("click", () => { ask(field, row); show(); showOnMap(); });
      message.append(" ", button);
    }
  }
}

const VIEWS = { neighbors: showNeighbors, analogy: showAnalogy, compare: showComparison, axis: showAxis, mark: showMarked, drift: showDrift };

// Show the state. entry: whether it becomes an entry of the history, so that the browser's Back returns to what was before.
function show({ entry = true } = {}) {
  chooseTab(state.tab);
  writeFields();
  const fields = { neighbors: ["word"], analogy: ["a", "b", "c"], compare: ["one", "other"] }[state.tab] ?? [];
  showMissing(missing(...fields), state.tab === "axis" ? POLES.flatMap((pole) => readList(state[pole]).unknown) : []);
  if (state.tab !== "axis") map.showPositions();
  byId("sql").textContent = VIEWS[state.tab]();
  byId("copy-sql").hidden = !byId("sql").textContent;
  const { rows } = readList(state.marked);
  map.mark(rows, state.alone && state.tab === "mark");
  byId("color-by").value = state.color;
  keepState(entry);
}

function showNeighbors() {
  const row = state.word;
  const known = row !== undefined;
  const answers = known ? nearest(row, state.k) : [];
  byId("word").textContent = known ? words[row] : shortened(typed.word);
  byId("word-facts").textContent = known ? factsOf(row, map) : "not on this page";
  byId("more").textContent = state.k === FEW ? `Show ${MANY}` : `Show ${FEW}`;
  byId("more").hidden = byId("copy-neighbors").hidden = !known;
  showAnswers(byId("neighbors"), answers, map, (found) => pickWord(found));
  map.select({ center: row, near: answers.map((answer) => answer.row) });
  return `from nearest(${quoted("word")}${state.k === FEW ? "" : `, k := ${state.k}`}${cut("word")})`;
}

function showAnalogy() {
  const fields = ["a", "b", "c"];
  const asked = fields.map((field) => state[field]);
  const answers = missing(...fields).length ? [] : analogy(...asked, FEW);
  showAnswers(byId("analogy"), answers, map, (found) => pickWord(found, { move: true }));
  const corners = answers.length ? [state.a, state.b, answers[0].row, state.c] : [];
  drawParallelogram(byId("parallelogram"), answers[0]?.row);
  map.select({ center: answers[0]?.row, asked, corners });
  return `from analogy(${fields.map(quoted).join(", ")}${cut(...fields)})`;
}

// The words of an analogy in the plane of the first three, with the corner where a perfect answer would be.
function drawParallelogram(svg, answer) {
  svg.replaceChildren();
  svg.toggleAttribute("hidden", answer === undefined || new Set([state.a, state.b, state.c]).size < 3);
  if (svg.hasAttribute("hidden")) return;
  const { sides: [right, up], angle, fourth } = planeOf(state.a, state.b, state.c, answer);
  const flat = ([x, y]) => [x * right + y * up * Math.cos(angle), -y * up * Math.sin(angle)];
  const points = { a: [0, 0], b: [1, 0], c: [0, 1], ideal: [1, 1], answer: fourth };
  const positions = Object.fromEntries(Object.entries(points).map(([name, point]) => [name, flat(point)]));
  const all = Object.values(positions), bounds = [0, 1].map((axis) => [Math.min(...all.map((at) => at[axis])), Math.max(...all.map((at) => at[axis]))]);
  const scale = Math.min(220 / (bounds[0][1] - bounds[0][0] || 1), 104 / (bounds[1][1] - bounds[1][0] || 1));
  const at = (name) => [0, 1].map((axis) => (positions[name][axis] - (bounds[axis][0] + bounds[axis][1]) / 2) * scale + [170, 80][axis]);
  const drawn = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    svg.append(made);
  };
  const line = (from, to, className) => drawn("line", { x1: at(from)[0], y1: at(from)[1], x2: at(to)[0], y2: at(to)[1], class: className });
  line("a", "b", "relation");
  line("c", "ideal", "relation");
  line("a", "c", "side");
  line("b", "ideal", "side");
  line("ideal", "answer", "miss");
  drawn("circle", { cx: at("ideal")[0], cy: at("ideal")[1], r: 4, class: "ideal" });
  for (const [name, row] of [["a", state.a], ["b", state.b], ["c", state.c], ["answer", answer]]) {
    const [x, y] = at(name);
    drawn("circle", { cx: x, cy: y, r: 4, class: name === "answer" ? "answer" : "corner" });
    drawn("text", { x: Math.max(34, Math.min(306, x)), y: y + (y > 80 ? 18 : -9), class: "name" }, shortened(words[row]));
  }
}

function showComparison() {
  const { one, other } = state;
  const known = missing("one", "other").length === 0;
  byId("similarity").textContent = known ? similarity(one, other).toFixed(3) : "";
  byId("similarity-text").textContent = !known ? "" : one === other ? "A word is always nearest to itself."
    : `Of ${grouped(words.length - 1)} words, “${words[other]}” is number ${grouped(neighborRank(one, other))} nearest to “${words[one]}”, and “${words[one]}” number ${grouped(neighborRank(other, one))} nearest to “${words[other]}”.`;
  map.select({ center: one, near: [other], asked: [one, other] });
  return `select similarity(${quoted("one")}, ${quoted("other")})`;
}

// Order all words along the axis between two poles, each one word or several.
function showAxis() {
  const [low, high] = POLES.map((pole) => readList(state[pole]).rows);
  const known = low.length > 0 && high.length > 0;
  byId("axis-lists").hidden = !known;
  if (!known) {
    map.showPositions();
    map.select({});
    return "";
  }
  const values = axisOf(low, high);
  const ends = new Set([...low, ...high]);
  // As in SQL's most_similar, without the words of the poles. Rare words would crowd out those that people know.
  const order = Array.from({ length: page.laidOut }, (_, row) => row).filter((row) => !ends.has(row)).sort((one, other) => values[one] - values[other]);
  const listed = (rows, sign) => rows.map((row) => ({ row, similarity: sign * values[row] }));
  const [lowest, highest] = [order.slice(0, ALONG_AXIS), order.slice(-ALONG_AXIS).reverse()];
  byId("axis-low-name").textContent = shortened(low.map((row) => words[row]).join(", "));
  byId("axis-high-name").textContent = shortened(high.map((row) => words[row]).join(", "));
  showAnswers(byId("axis-lowest"), listed(lowest, -1), map, (found) => pickWord(found));
  showAnswers(byId("axis-highest"), listed(highest, 1), map, (found) => pickWord(found));
  map.showAxis(values, words[low[0]], words[high[0]]);
  map.select({ asked: [...low, ...high] });
  const texts = [high, low].map((rows) => `[${rows.map((row) => sqlText(words[row])).join(", ")}]`);
  return `from most_similar(${texts.join(", ")}${page.laidOut < page.allWords ? `, max_rank := ${page.laidOut}` : ""})`;
}

function showMarked() {
  const { rows, unknown } = readList(state.marked);
  const guests = rows.filter((row) => !map.onMap(row));
  const named = (found) => found.map((row) => shortened(words[row])).join(", ");
  const texts = [
    `${rows.length} of ${rows.length + unknown.length} words on the map.`,
    guests.length && !state.alone ? `Less frequent than the words on the map, so drawn next to their neighbours: ${named(guests)}.` : "",
    unknown.length ? `Not on this page: ${unknown.map(shortened).join(", ")}.` : "",
  ];
  byId("mark-text").textContent = state.marked.trim() ? texts.filter(Boolean).join(" ") : "";
  byId("mark-alone").checked = state.alone;
  byId("mark-tools").hidden = rows.length === 0;
  showChips(byId("mark-list"), rows.map((row) => words[row]), (row) => pickWord(row));
  if (byId("mark-words").value !== state.marked) byId("mark-words").value = state.marked;
  map.select({});
  return "";
}

function placeBefore(number) {
  return page.drift.words[number].from.map((value) => value / page.positionScale);
}

// The words whose neighbours changed most since the last release, and what the chosen one lost and won.
function showDrift() {
  const moved = page.drift.words;
  state.moved = Math.min(Math.max(state.moved, 0), moved.length - 1);
  const chosen = moved[state.moved];
  showAnswers(byId("drift"), moved.map(({ row, kept }) => ({ row, similarity: kept / 100 })), map, (row) => {
    state.moved = moved.findIndex((one) => one.row === row);
    show();
    showOnMap();
  }, (value) => `${Math.round(100 * value)} %`);
  [...byId("drift").querySelectorAll("button")].forEach((button, at) => button.setAttribute("aria-pressed", String(at === state.moved)));
  byId("drift-word").textContent = words[chosen.row];
  const pick = (row) => pickWord(row, { move: true });
  showChips(byId("drift-lost"), chosen.lost, pick);
  showChips(byId("drift-won"), chosen.won, pick);
  const arrows = moved.map(({ row }, number) => ({ row, from: placeBefore(number), active: number === state.moved }));
  const won = chosen.won.map(findRow).filter((row) => row !== undefined);
  map.select({ center: chosen.row, near: won, moved: arrows });
  return "";
}

// A new list comes into view once the typing pauses.
let fitting;
function takeList(text) {
  state.marked = text;
  show();
  clearTimeout(fitting);
  fitting = setTimeout(() => { if (state.tab === "mark") showOnMap(); }, 350);
}

function sqlText(text) {
  return `'${text.replaceAll("'", "''")}'`;
}

function quoted(field) {
  return sqlText(typed[field]);
}

// The page has the most frequent words only; SQL limited to those has the same answers. A word that the page lacks
// is looked up in the whole table.
function cut(...fields) {
  return words.length < page.allWords && !missing(...fields).length ? `, max_rank := ${words.length}` : "";
}

// ---- The address

function addressOf({ view }) {
  const kept = new URLSearchParams();
  kept.set("tab", state.tab);
  for (const field of ["word", ...FIELDS]) kept.set(field, typed[field]);
  for (const pole of POLES) if (state[pole]) kept.set(pole, state[pole]);
  if (state.k !== FEW) kept.set("k", state.k);
  if (state.marked.trim()) kept.set("mark", state.marked);
  if (state.alone) kept.set("alone", "1");
  if (state.moved) kept.set("moved", state.moved);
  if (state.color !== "group") kept.set("color", state.color);
  if (view && state.view) kept.set("view", state.view);
  return `#${kept}`;
}

// What the last entry of the history shows; typing in a list makes no entry for each letter.
let remembered, keeping, waiting;
function keepState(entry) {
  const address = addressOf({ view: false });
  if (entry && remembered !== undefined && address !== remembered && state.tab !== "mark") {
    keepWaiting();
    history.pushState(null, "", addressOf({ view: true }));
  }
  remembered = address;
  keepView();
}

// Moving the map would change the address too often.
function keepView() {
  clearTimeout(keeping);
  waiting = addressOf({ view: true });
  keeping = setTimeout(keepWaiting, 120);
}

// What waits belongs to the present entry, which is about to be left or has rested.
function keepWaiting() {
  clearTimeout(keeping);
  if (waiting !== undefined) history.replaceState(null, "", waiting);
  waiting = undefined;
}

function readState() {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (!kept.has("tab")) return;
  state.tab = TABS.includes(kept.get("tab")) ? kept.get("tab") : "neighbors";
  for (const field of ["word", ...FIELDS]) {
    const text = kept.get(field);
    const row = text ? findRow(text) : undefined;
    if (row !== undefined) ask(field, row);
    else if (text?.trim()) ask(field, row, text.trim());
  }
  for (const pole of POLES) state[pole] = kept.get(pole) ?? state[pole];
  state.k = Number(kept.get("k")) === MANY ? MANY : FEW;
  state.marked = kept.get("mark") ?? "";
  state.alone = kept.has("alone");
  state.moved = Number(kept.get("moved")) || 0;
  state.color = COLORINGS.includes(kept.get("color")) ? kept.get("color") : "group";
  map.colorBy(state.color);
  state.view = kept.get("view") ?? "";
  if (state.view) map.setView(state.view);
}

// ---- Full screen

function createFullScreenSwitch(button, explorer) {
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : explorer.requestFullscreen()));
  document.addEventListener("fullscreenchange", () => {
    button.setAttribute("aria-pressed", String(document.fullscreenElement === explorer));
  });
}

// ---- Begin

// The first word of the report's examples but the most frequent one; without examples, a word of some length: frequent
// words are mostly grammar.
function openingWord() {
  const row = words.findIndex((word, place) => place >= 100 && /^\p{L}{5,}$/u.test(word));
  return page.examples[1] ?? page.examples[0] ?? Math.max(row, 0);
}

// Buttons that start the explorer with something worth seeing.
function createStarts(opening, axisExample) {
  const start = (text, act) => {
    const button = element("button", { type: "button", className: "chip" }, text);
    button.addEventListener("click", act);
    byId("starts").append(button);
  };
  const pick = (row) => pickWord(row, { move: true });
  for (const row of [...new Set([opening, ...page.examples])].slice(0, 4)) start(words[row], () => pick(row));
  const decade = rowOf.get("1930s");
  if (decade !== undefined) start("1930s", () => pick(decade));
  if (["man", "king", "woman"].every((word) => rowOf.has(word))) {
    start("man : king = woman : ?", () => {
      ["man", "king", "woman"].forEach((word, at) => ask(FIELDS[at], rowOf.get(word)));
      state.tab = "analogy";
      show();
      showOnMap();
    });
  }
  if (axisExample) {
    start(`${axisExample[0]} ↔ ${axisExample[1]}`, () => {
      [state.low, state.high] = axisExample;
      state.tab = "axis";
      show();
      showOnMap();
    });
  }
  if (page.drift) start("what moved", () => { state.tab = "drift"; show(); showOnMap(); });
  for (const region of page.regions.filter(({ level }) => level === 0)) {
    const names = region.rows.map((row) => words[row]);
    const button = element("button", { type: "button", className: "chip" }, names.map(shortened).join(" · "));
    button.addEventListener("click", () => { isolate(region.members); showOnMap(); });
    byId("regions").append(button);
  }
  byId("regions-head").hidden = page.regions.length === 0;
}

async function begin() {
  await readUnits();
  const inputs = { word: "search", ...INPUTS };
  for (const [field, id] of Object.entries(inputs)) {
    const pick = field === "word" ? (row) => pickWord(row, { move: true }) : (row) => { ask(field, row); show(); showOnMap(); };
    completeWords(byId(id), pick, (text, how) => takeText(field, text, how));
  }
  for (const pole of POLES) completeWords(byId(`axis-${pole}`), (row) => takePole(pole, words[row]), (text) => takePole(pole, text));
  byId("more").addEventListener("click", () => { state.k = state.k === FEW ? MANY : FEW; show(); });
  byId("mark-words").addEventListener("input", (event) => takeList(event.target.value));
  byId("mark-alone").addEventListener("change", (event) => { state.alone = event.target.checked; show(); });
  byId("mark-clear").addEventListener("click", () => { [state.marked, state.alone] = ["", false]; show(); });
  byId("color-by").addEventListener("change", (event) => { state.color = event.target.value; map.colorBy(state.color); show(); });
  byId("axis-turn").addEventListener("click", () => { [state.low, state.high] = [state.high, state.low]; show(); });
  copyOnClick(byId("copy-sql"), () => byId("sql").textContent);
  copyOnClick(byId("copy-neighbors"), () => [...byId("neighbors").querySelectorAll("button")].map((row) => [".name", ".number"].map((part) => row.querySelector(part).textContent).join("\t")).join("\n"));
  copyOnClick(byId("mark-copy"), () => readList(state.marked).rows.map((row) => words[row]).join("\n"));
  addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA"].includes(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      byId("search").focus();
      byId("search").select();
      event.preventDefault();
    }
  });
  await pause();
  const opening = openingWord();
  const analogyExample = ["man", "king", "woman"].map((word) => rowOf.get(word));
  const three = analogyExample.includes(undefined) ? [0, 1, 2].map((row) => Math.min(row, words.length - 1)) : analogyExample;
  const axisExample = AXES.find((pair) => pair.every((word) => rowOf.has(word)));
  ask("word", opening);
  ask("one", opening);
  ask("other", nearest(opening, 1)[0]?.row ?? opening);
  ["a", "b", "c"].forEach((field, place) => ask(field, three[place]));
  [state.low, state.high] = axisExample ?? [words[three[0]], words[three.at(-1)]];
  await pause();
  createStarts(opening, axisExample);
  await pause();
  byId("map-hint").textContent = matchMedia("(pointer: coarse)").matches ? "Two fingers move and zoom; tap a word"
    : "Click the map, then the wheel zooms; drag to move; Shift and drag selects; click a word for its neighbours";
  readState();
  show({ entry: false });
  addEventListener("popstate", () => { readState(); show({ entry: false }); });
  repeatActions();
  document.documentElement.dataset.ready = "true";
}

if (words.length) {
  createFullScreenSwitch(byId("full-screen"), byId("explorer"));
  await begin();
}
