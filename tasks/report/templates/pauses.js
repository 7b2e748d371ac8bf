// The explorer's work is cut into short tasks, so that the page is painted first and answers meanwhile.

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

await painted();
