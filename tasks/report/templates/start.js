// What the page needs before its explorer, which starts later on a slow computer: the chosen theme, and a memory for
// what people do meanwhile. This script comes before the words and vectors, so that both hold from the first picture on.
"use strict";

// A new theme is announced to the document by the event "themechange".
function createThemeSwitch(button) {
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  const stored = { read: () => localStorage.getItem("vecmill-theme"), write: (value) => localStorage.setItem("vecmill-theme", value) };
  const quietly = (act) => { try { return act(); } catch { return null; } };  // a browser may refuse storage to files
  const announce = () => document.dispatchEvent(new Event("themechange"));
  function apply(name) {
    theme = themes.includes(name) ? name : "auto";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `◐ ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}`);
    announce();
  }
  button.addEventListener("click", () => {
    apply(themes[(themes.indexOf(theme) + 1) % themes.length]);
    quietly(() => stored.write(theme));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  const kept = quietly(stored.read);
  if (kept && kept !== "auto") apply(kept);
}

// Hold back what people press and type inside an element until it can answer. Returns a function that ends this and
// repeats what was held back, in the same order.
function holdActions(id) {
  const types = ["click", "keydown", "input", "change", "blur"];
  const held = [];
  function hold(event) {
    const { target, type } = event;
    if (!(target instanceof Element) || !target.closest(`#${id}`)) return;
    event.stopImmediatePropagation();
    if (type === "click") event.preventDefault();  // a check box would change twice
    held.push({ event, target, value: type === "input" || type === "change" ? target.value : undefined });
  }
  types.forEach((type) => document.addEventListener(type, hold, true));
  return () => {
    types.forEach((type) => document.removeEventListener(type, hold, true));
    for (const { event, target, value } of held) {
      if (value !== undefined) target.value = value;
      target.dispatchEvent(new event.constructor(event.type, event));
    }
  };
}

createThemeSwitch(document.getElementById("theme"));
const repeatActions = holdActions("explorer");
