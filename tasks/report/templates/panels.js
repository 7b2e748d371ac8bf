// The pieces of the panel: inputs that complete words, and lists of answers. Words are set as text, never as markup.

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { className, ...attributes } = properties;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
const grouped = (value) => value.toLocaleString("en-US");

// Offer words under an input while one types, as the ARIA combobox pattern has it. onPick: called with a row.
// onText: called with the text as it is when Enter is pressed on no offered word, or when the input loses the focus.
function completeWords(input, onPick, onText) {
  const list = element("ul", { className: "options", role: "listbox", id: `${input.id}-options`, hidden: "" });
  const describe = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id, autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
  for (const [key, value] of Object.entries(describe)) input.setAttribute(key, value);
  input.parentElement.append(list);
  let found = [], active = -1;

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function activate(place) {
    active = place;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", at === place));
    if (place < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[place].id);
  }

  function pick(row) {
    input.value = words[row];
    close();
    onPick(row);
  }

  function offer() {
    found = completions(input.value, 8);
    list.replaceChildren(...found.map((row, at) => {
      const rank = element("span", {}, grouped(row + 1));
      const option = element("li", { role: "option", id: `${list.id}-${at}`, "aria-selected": "false" }, words[row], rank);
      // Before the input loses the focus, which closes the list.
      option.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(row); });
      return option;
    }));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    activate(-1);
  }

  input.addEventListener("input", offer);
  input.addEventListener("blur", () => { close(); onText(input.value); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) offer();
      if (!found.length) return;
      const step = event.key === "ArrowDown" ? 1 : -1;
      activate((active + step + found.length + (active < 0 && step < 0 ? 1 : 0)) % found.length);
      event.preventDefault();
    } else if (event.key === "Enter") {
      // Enter takes the first suggestion for what is no word itself.
      const first = findRow(input.value) === undefined && !list.hidden ? found[0] : undefined;
      if (active >= 0) pick(found[active]);
      else if (first !== undefined) pick(first);
      else { close(); onText(input.value, { entered: true }); }
      event.preventDefault();
    } else if (event.key === "Escape" && !list.hidden) {
      close();
      event.stopPropagation();
      event.preventDefault();
    }
  });
}

// Rank and count of a word, and how it comes to its place on the map.
function factsOf(row, map) {
  const place = map.onMap(row) ? "" : ", placed by its neighbours";
  // An import has no counts.
  return `rank ${grouped(row + 1)}${counts[row] ? `, ${grouped(counts[row])} times` : ""}${place}`;
}

// Answers as a list of buttons with a bar for the similarity. onPick: called with the row of a pressed one.
function showAnswers(list, answers, map, onPick, written = (value) => value.toFixed(3)) {
  list.replaceChildren(...answers.map(({ row, similarity: value }, place) => {
    const fill = element("i");
    fill.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    const button = element(
      "button",
      { type: "button", title: factsOf(row, map) },
      element("span", { className: place === 0 && list.id === "analogy" ? "name best" : "name" }, words[row]),
      element("span", { className: "meter", "aria-hidden": "true" }, fill),
      element("span", { className: "number" }, written(value)),
    );
    if (!map.onMap(row)) button.classList.add("off-map");
    button.addEventListener("click", () => onPick(row));
    return element("li", {}, button);
  }));
}

// Words as small buttons. onPick: called with the row of a pressed one; words that the page lacks are text.
function showChips(list, names, onPick) {
  list.replaceChildren(...names.map((name) => {
    const row = findRow(name);
    if (row === undefined) return element("span", { className: "chip missing" }, shortened(name));
    const button = element("button", { type: "button", className: "chip" }, shortened(name));
    button.addEventListener("click", () => onPick(row));
    return button;
  }));
}

// Copy a text when a button is pressed. textOf: called at that time.
function copyOnClick(button, textOf) {
  button.addEventListener("click", async () => {
    const text = textOf(), label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A browser may refuse the clipboard to files; the old way works there.
      const area = element("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  });
}

// Tabs with the arrow keys, as the ARIA tabs pattern has them. onChange: called with the name of the chosen one.
function createTabs(names, onChange) {
  const tabs = names.map((name) => byId(`tab-${name}`));
  function choose(name) {
    names.forEach((other, place) => {
      tabs[place].setAttribute("aria-selected", String(other === name));
      tabs[place].tabIndex = other === name ? 0 : -1;
      byId(`panel-${other}`).hidden = other !== name;
    });
  }
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => onChange(names[place]));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (place + step + names.length) % names.length;
      tabs[next].focus();
      onChange(names[next]);
      event.preventDefault();
    });
  });
  return choose;
}
