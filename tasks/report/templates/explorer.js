// The explorer: one state, shown in the panel and on the map, and kept in the address so that a link brings it back.

const TABS = ["neighbors", "analogy", "compare", "mark"];
const FIELDS = ["a", "b", "c", "one", "other"];
const INPUTS = { a: "analogy-a", b: "analogy-b", c: "analogy-c", one: "compare-one", other: "compare-other" };
const FEW = 10, MANY = 25;

// word and FIELDS: rows. marked: a list as typed. view: zoom and middle of the map, empty when it shows all.
const state = { tab: "neighbors", k: FEW, marked: "", view: "" };
const map = createMap(byId("map"), pickWord, () => { state.view = map.viewText(); keepState(); });
const chooseTab = createTabs(TABS, (name) => { state.tab = name; show(); showOnMap(); });

function pickWord(row, { move = false } = {}) {
  state.word = row;
  state.tab = "neighbors";
  show();
  if (move) showOnMap();
}

// Bring what the panel tells of into view; words that the map does not have are left out.
function showOnMap() {
  if (state.tab === "neighbors") map.show([state.word, ...nearest(state.word, FEW).map((answer) => answer.row)]);
  if (state.tab === "analogy") map.show([state.a, state.b, state.c, analogy(state.a, state.b, state.c, 1)[0]?.row]);
  if (state.tab === "compare") map.show([state.one, state.other]);
  if (state.tab === "mark") map.show(readList(state.marked).rows);
}

function tell(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function unknownWord(text) {
  if (!text.trim()) return;
  const rest = page.allWords > words.length ? ` The table has ${grouped(page.allWords)} words; ask it in SQL.` : "";
  tell(`“${shortened(text.trim())}” is not among the ${grouped(words.length)} words of this page.${rest}`);
}

function show() {
  tell("");
  chooseTab(state.tab);
  for (const field of FIELDS) byId(INPUTS[field]).value = words[state[field]];
  byId("sql").textContent = { neighbors: showNeighbors, analogy: showAnalogy, compare: showComparison, mark: showMarked }[state.tab]();
  map.mark(readList(state.marked).rows);
  keepState();
}

function showNeighbors() {
  const row = state.word;
  const answers = nearest(row, state.k);
  byId("search").value = words[row];
  byId("word").textContent = words[row];
  byId("word-facts").textContent = `rank ${grouped(row + 1)}, ${grouped(counts[row])} times${map.onMap(row) ? "" : ", not on the map"}`;
  byId("more").textContent = state.k === FEW ? `Show ${MANY}` : `Show ${FEW}`;
  showAnswers(byId("neighbors"), answers, map.onMap, (found) => pickWord(found));
  map.select(row, answers.map((answer) => answer.row));
  return `from nearest(${quoted(row)}${state.k === FEW ? "" : `, k := ${state.k}`}${cut()})`;
}

function showAnalogy() {
  const { a, b, c } = state;
  const answers = analogy(a, b, c, FEW);
  showAnswers(byId("analogy"), answers, map.onMap, (found) => pickWord(found, { move: true }));
  map.select(answers.length ? answers[0].row : undefined, [a, b, c]);
  return `from analogy(${[a, b, c].map(quoted).join(", ")}${cut()})`;
}

function showComparison() {
  const { one, other } = state;
  byId("similarity").textContent = similarity(one, other).toFixed(3);
  byId("similarity-text").textContent = one === other ? "A word is always as near as can be to itself."
    : `Of ${grouped(words.length - 1)} words, “${words[other]}” is number ${grouped(neighborRank(one, other))} nearest to “${words[one]}”, and “${words[one]}” number ${grouped(neighborRank(other, one))} nearest to “${words[other]}”.`;
  map.select(one, [other]);
  return `select similarity(${quoted(one)}, ${quoted(other)})`;
}

function showMarked() {
  const { rows, unknown } = readList(state.marked);
  const known = rows.filter(map.onMap).length;
  const lost = unknown.length ? ` Not among the words of this page: ${unknown.slice(0, 12).map(shortened).join(", ")}${unknown.length > 12 ? ` and ${unknown.length - 12} more` : ""}.` : "";
  byId("mark-text").textContent = state.marked.trim() ? `${known} of ${rows.length + unknown.length} words on the map.${lost}` : "";
  if (byId("mark-words").value !== state.marked) byId("mark-words").value = state.marked;
  map.select(undefined, []);
  return "";
}

function quoted(row) {
  return `'${words[row].replaceAll("'", "''")}'`;
}

// The page has the most frequent words only; SQL gives the same answers when it is told to look at those.
function cut() {
  return words.length < page.allWords ? `, max_rank := ${words.length}` : "";
}

// ---- The address

let keeping;
function keepState() {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const kept = new URLSearchParams();
    kept.set("tab", state.tab);
    for (const field of ["word", ...FIELDS]) kept.set(field, words[state[field]]);
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
    const row = rowOf.get(kept.get(field));
    if (row !== undefined) state[field] = row;
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
  completeWords(byId("search"), (row) => pickWord(row, { move: true }), unknownWord);
  for (const field of FIELDS) completeWords(byId(INPUTS[field]), (row) => { state[field] = row; show(); showOnMap(); }, unknownWord);
  byId("more").addEventListener("click", () => { state.k = state.k === FEW ? MANY : FEW; show(); });
  byId("mark-words").addEventListener("input", (event) => { state.marked = event.target.value; show(); });
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
  Object.assign(state, { word: opening, one: opening, other: nearest(opening, 1)[0]?.row ?? opening });
  [state.a, state.b, state.c] = analogyExample.includes(undefined) ? [0, 1, 2].map((row) => Math.min(row, words.length - 1)) : analogyExample;
  byId("map-hint").textContent = "Click the map, then the wheel zooms; drag to move; click a word for its neighbours";
  readState();
  show();
}
