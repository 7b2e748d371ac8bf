// The explorer: one state, shown in the panel and on the map, and kept in the address so that a link brings it back.

const TABS = ["neighbors", "analogy", "compare", "mark"];
const FIELDS = ["a", "b", "c", "one", "other"];
const INPUTS = { a: "analogy-a", b: "analogy-b", c: "analogy-c", one: "compare-one", other: "compare-other" };
const FEW = 10, MANY = 25;

// word and FIELDS: rows, undefined where the page lacks the word. marked: a list as typed. view: zoom and middle of the
// map, empty when it shows all.
const state = { tab: "neighbors", k: FEW, marked: "", view: "" };
// What was asked for in each field, as it is written there.
const typed = {};
const map = createMap(byId("map"), pickWord, () => { state.view = map.viewText(); keepState(); });
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

function writeFields() {
  byId("search").value = typed.word;
  for (const field of FIELDS) byId(INPUTS[field]).value = typed[field];
}

// Bring what the panel shows into view; words that have no place are left out.
function showOnMap() {
  if (state.tab === "neighbors" && state.word !== undefined) map.show([state.word, ...nearest(state.word, FEW).map((answer) => answer.row)]);
  if (state.tab === "analogy") map.show([state.a, state.b, state.c, ...missing("a", "b", "c").length ? [] : analogy(state.a, state.b, state.c, 1).map((answer) => answer.row)]);
  if (state.tab === "compare") map.show([state.one, state.other]);
  if (state.tab === "mark") map.show(readList(state.marked).rows);
}

// Those of some fields whose word the page lacks.
function missing(...fields) {
  return fields.filter((field) => state[field] === undefined);
}

// Say which words of some fields the page lacks, and offer words that are spelt alike.
function showMissing(fields) {
  const message = byId("message");
  message.replaceChildren();
  message.hidden = fields.length === 0;
  if (!fields.length) return;
  const names = [...new Set(fields.map((field) => `“${shortened(typed[field])}”`))];
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

function show() {
  chooseTab(state.tab);
  writeFields();
  showMissing({ neighbors: missing("word"), analogy: missing("a", "b", "c"), compare: missing("one", "other"), mark: [] }[state.tab]);
  byId("sql").textContent = { neighbors: showNeighbors, analogy: showAnalogy, compare: showComparison, mark: showMarked }[state.tab]();
  map.mark(readList(state.marked).rows);
  keepState();
}

function showNeighbors() {
  const row = state.word;
  const known = row !== undefined;
  const answers = known ? nearest(row, state.k) : [];
  byId("word").textContent = known ? words[row] : shortened(typed.word);
  byId("word-facts").textContent = known ? factsOf(row, map) : "not on this page";
  byId("more").textContent = state.k === FEW ? `Show ${MANY}` : `Show ${FEW}`;
  byId("more").hidden = !known;
  showAnswers(byId("neighbors"), answers, map, (found) => pickWord(found));
  map.select({ center: row, near: answers.map((answer) => answer.row) });
  return `from nearest(${quoted("word")}${state.k === FEW ? "" : `, k := ${state.k}`}${cut("word")})`;
}

function showAnalogy() {
  const fields = ["a", "b", "c"];
  const asked = fields.map((field) => state[field]);
  const answers = missing(...fields).length ? [] : analogy(...asked, FEW);
  showAnswers(byId("analogy"), answers, map, (found) => pickWord(found, { move: true }));
  map.select({ center: answers[0]?.row, near: asked, asked });
  return `from analogy(${fields.map(quoted).join(", ")}${cut(...fields)})`;
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

function showMarked() {
  const { rows, unknown } = readList(state.marked);
  const shown = rows.filter(map.hasPlace), guests = shown.filter((row) => !map.onMap(row)), lost = rows.filter((row) => !map.hasPlace(row));
  const named = (found) => found.map((row) => shortened(words[row])).join(", ");
  const texts = [
    `${shown.length} of ${rows.length + unknown.length} words on the map.`,
    guests.length ? `Less frequent than the words on the map, so drawn next to their neighbours: ${named(guests)}.` : "",
    lost.length ? `Without neighbours on the map: ${named(lost)}.` : "",
    unknown.length ? `Not on this page: ${unknown.map(shortened).join(", ")}.` : "",
  ];
  byId("mark-text").textContent = state.marked.trim() ? texts.filter(Boolean).join(" ") : "";
  if (byId("mark-words").value !== state.marked) byId("mark-words").value = state.marked;
  map.select({});
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

function quoted(field) {
  return `'${typed[field].replaceAll("'", "''")}'`;
}

// The page has the most frequent words only; SQL limited to those has the same answers. A word that the page lacks
// is looked up in the whole table.
function cut(...fields) {
  return words.length < page.allWords && !missing(...fields).length ? `, max_rank := ${words.length}` : "";
}

// ---- The address

let keeping;
function keepState() {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const kept = new URLSearchParams();
    kept.set("tab", state.tab);
    for (const field of ["word", ...FIELDS]) kept.set(field, typed[field]);
    if (state.k !== FEW) kept.set("k", state.k);
    if (state.marked.trim()) kept.set("mark", state.marked);
    if (state.view) kept.set("view", state.view);
    history.replaceState(null, "", `#${kept}`);
  }, 120);
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
  state.k = Number(kept.get("k")) === MANY ? MANY : FEW;
  state.marked = kept.get("mark") ?? "";
  state.view = kept.get("view") ?? "";
  if (state.view) map.setView(state.view);
}

// ---- Light and dark

function createThemeSwitch(button) {
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  const stored = { read: () => localStorage.getItem("vecmill-theme"), write: (value) => localStorage.setItem("vecmill-theme", value) };
  const quietly = (act) => { try { return act(); } catch { return null; } };  // a browser may refuse storage to files
  function apply(name) {
    theme = themes.includes(name) ? name : "auto";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `◐ ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}`);
    map.recolor();
  }
  button.addEventListener("click", () => {
    apply(themes[(themes.indexOf(theme) + 1) % themes.length]);
    quietly(() => stored.write(theme));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map.recolor());
  apply(quietly(stored.read));
}

// ---- Begin

// Frequent words are mostly grammar; a word of some length shows more on a first look.
function openingWord() {
  const row = words.findIndex((word, place) => place >= 100 && /^\p{L}{5,}$/u.test(word));
  return Math.max(row, 0);
}

if (words.length) {
  const inputs = { word: "search", ...INPUTS };
  for (const [field, id] of Object.entries(inputs)) {
    const pick = field === "word" ? (row) => pickWord(row, { move: true }) : (row) => { ask(field, row); show(); showOnMap(); };
    completeWords(byId(id), pick, (text, how) => takeText(field, text, how));
  }
  byId("more").addEventListener("click", () => { state.k = state.k === FEW ? MANY : FEW; show(); });
  byId("mark-words").addEventListener("input", (event) => takeList(event.target.value));
  addEventListener("hashchange", () => { readState(); show(); });
  addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA"].includes(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      byId("search").focus();
      byId("search").select();
      event.preventDefault();
    }
  });
  createThemeSwitch(byId("theme"));
  const opening = openingWord();
  const analogyExample = ["man", "king", "woman"].map((word) => rowOf.get(word));
  const three = analogyExample.includes(undefined) ? [0, 1, 2].map((row) => Math.min(row, words.length - 1)) : analogyExample;
  ask("word", opening);
  ask("one", opening);
  ask("other", nearest(opening, 1)[0]?.row ?? opening);
  ["a", "b", "c"].forEach((field, place) => ask(field, three[place]));
  byId("map-hint").textContent = matchMedia("(pointer: coarse)").matches ? "Two fingers move and zoom; tap a word"
    : "Click the map, then the wheel zooms; drag to move; click a word for its neighbours";
  readState();
  show();
}
