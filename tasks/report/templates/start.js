// What comes before the explorer: its work is cut into short tasks, so that the page is painted first and answers
// meanwhile, and the theme is the chosen one from the first picture on.

// Let the browser paint and answer before going on.
function pause() {
  return new Promise((resolve) => { setTimeout(resolve); });
}

// Wait until the page has been painted. A page that nobody sees is not painted, so it waits for a moment only.
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, document.hidden ? 0 : 1000);
  });
}

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

createThemeSwitch(document.getElementById("theme"));
await painted();
