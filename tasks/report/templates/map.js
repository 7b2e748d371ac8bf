// The map: a canvas that moves and zooms (d3-zoom), with as many labels as fit, the most frequent words first.

const GROUPS = 10;
const LABEL_HEIGHT = 15;
const MOST_ZOOM = 60;

// onPick: called with the row of a clicked word. onMoved: called when a move or zoom has ended.
function createMap(canvas, onPick, onMoved) {
  const context = canvas.getContext("2d");
  const rows = Array.from(page.groups, (_, row) => row);
  const spots = page.places.map((value) => value / page.placeScale);
  // How far the places lie from the middle to each side; at most 1.
  const reach = [0, 1].map((axis) => Math.max(...rows.map((row) => Math.abs(spots[2 * row + axis])), 0.2));
  const tree = d3.quadtree(rows, (row) => spots[2 * row], (row) => spots[2 * row + 1]);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let width = 0, height = 0, half = 0, colors, fonts;
  let view = d3.zoomIdentity;
  let selected, neighbors = [], marked = new Set(), hovered;
  let scheduled = false;

  const onMap = (row) => row !== undefined && row < rows.length;
  const screenX = (row) => view.applyX(width / 2 + spots[2 * row] * half);
  const screenY = (row) => view.applyY(height / 2 + spots[2 * row + 1] * half);
  const radiusOf = (row) => (5 - 0.85 * Math.log10(row + 1)) * Math.min(2.2, view.k ** 0.35);

  // The wheel belongs to the page until the map has the focus, or Ctrl says that zooming is meant.
  const zoom = d3.zoom()
    .scaleExtent([1, MOST_ZOOM])
    .clickDistance(4)
    .filter((event) => !event.button && (event.type !== "wheel" || event.ctrlKey || event.metaKey || document.activeElement === canvas))
    .on("zoom", (event) => { view = event.transform; draw(); })
    .on("end", () => onMoved());
  const stage = d3.select(canvas).call(zoom);

  function animated() {
    return still.matches ? stage : stage.transition().duration(450);
  }

  function rowAt(event, distance) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = view.invert([event.clientX - box.left, event.clientY - box.top]);
    return tree.find((x - width / 2) / half, (y - height / 2) / half, distance / view.k / half);
  }

  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const found = rowAt(event, 12);
    if (found === hovered) return;
    hovered = found;
    canvas.style.cursor = found === undefined ? "" : "pointer";
    draw();
  });
  canvas.addEventListener("pointerleave", () => { hovered = undefined; draw(); });
  canvas.addEventListener("click", (event) => {
    canvas.focus({ preventScroll: true });
    const found = rowAt(event, 22);
    if (found !== undefined) onPick(found);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = 60 / view.k;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) stage.call(zoom.translateBy, ...moves[event.key]);
    else if (event.key === "+" || event.key === "=") animated().call(zoom.scaleBy, 1.6);
    else if (event.key === "-") animated().call(zoom.scaleBy, 1 / 1.6);
    else if (event.key === "0") animated().call(zoom.transform, d3.zoomIdentity);
    else return;
    event.preventDefault();
  });

  function readColors() {
    // A custom property keeps its light-dark(); a colour that is in use is resolved.
    const probe = document.createElement("i");
    document.body.append(probe);
    const resolved = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    colors = {
      groups: Array.from({ length: GROUPS }, (_, group) => resolved(`--group-${group}`)),
      ink: resolved("--ink"), soft: resolved("--soft"), accent: resolved("--accent"), halo: resolved("--halo"),
      mark: resolved("--bad"),
    };
    const family = getComputedStyle(document.body).fontFamily;
    fonts = { plain: `12px ${family}`, strong: `600 14px ${family}` };
    probe.remove();
  }

  function draw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; paint(); });
  }

  function paint() {
    if (!width) return;
    context.clearRect(0, 0, width, height);
    const near = new Set(neighbors.filter(onMap));
    const quiet = onMap(selected) || marked.size > 0;
    const visible = rows.filter((row) => {
      const x = screenX(row), y = screenY(row);
      return x > -20 && x < width + 20 && y > -20 && y < height + 20;
    });
    paintDots(visible, quiet ? 0.6 : 0.8);
    if (onMap(selected)) {
      context.strokeStyle = colors.accent;
      context.globalAlpha = 0.5;
      context.lineWidth = 1;
      context.beginPath();
      near.forEach((row) => {
        context.moveTo(screenX(selected), screenY(selected));
        context.lineTo(screenX(row), screenY(row));
      });
      context.stroke();
    }
    paintDots(visible.filter((row) => near.has(row) || marked.has(row) || row === selected), 1, 1.35);
    context.globalAlpha = 1;
    if (onMap(selected)) paintRing(selected, colors.accent);
    marked.forEach((row) => { if (onMap(row)) paintRing(row, colors.mark); });
    paintLabels(visible, near, quiet);
  }

  function paintDots(which, alpha, growth = 1) {
    context.globalAlpha = alpha;
    for (let group = 0; group < GROUPS; group++) {
      context.beginPath();
      for (const row of which) {
        if (page.groups[row] % GROUPS !== group) continue;
        const x = screenX(row), y = screenY(row), radius = radiusOf(row) * growth;
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.fillStyle = colors.groups[group];
      context.fill();
    }
  }

  function paintRing(row, color) {
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(screenX(row), screenY(row), radiusOf(row) * 1.35 + 3.5, 0, 2 * Math.PI);
    context.stroke();
  }

  // Labels take turns: the word under the pointer and the chosen ones first, then by frequency, where there is room.
  function paintLabels(visible, near, quiet) {
    const taken = new Map();
    const first = [hovered, selected, ...near, ...marked].filter(onMap);
    const strong = new Set([hovered, selected, ...marked]);
    const labelled = new Set();
    context.textAlign = "center";
    context.lineJoin = "round";
    for (const row of [...first, ...visible]) {
      if (labelled.has(row)) continue;
      const important = strong.has(row) || near.has(row);
      context.font = strong.has(row) ? fonts.strong : fonts.plain;
      const text = shortened(words[row]);
      const x = screenX(row), y = screenY(row) - radiusOf(row) - 4;
      const side = context.measureText(text).width / 2 + 3;
      const free = claim(taken, x - side, x + side, y - LABEL_HEIGHT + 2, y + 3);
      if (!free && row !== hovered && row !== selected) continue;
      labelled.add(row);
      context.globalAlpha = important || !quiet ? 1 : 0.8;
      context.strokeStyle = colors.halo;
      context.lineWidth = 3.5;
      context.strokeText(text, x, y);
      context.fillStyle = important || !quiet ? colors.ink : colors.soft;
      context.fillText(text, x, y);
    }
    context.globalAlpha = 1;
  }

  // Whether a box is free; it is taken from then on. Boxes lie in rows as high as a label.
  function claim(taken, left, right, top, bottom) {
    const lines = [];
    for (let line = Math.floor(top / LABEL_HEIGHT); line <= Math.floor(bottom / LABEL_HEIGHT); line++) {
      const boxes = taken.get(line) ?? [];
      if (boxes.some((box) => left < box.right && right > box.left && top < box.bottom && bottom > box.top)) return false;
      lines.push([line, boxes]);
    }
    lines.forEach(([line, boxes]) => taken.set(line, [...boxes, { left, right, top, bottom }]));
    return true;
  }

  function resize() {
    const ratio = devicePixelRatio || 1;
    const before = viewText();
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    half = Math.max(Math.min((width / 2 - 30) / reach[0], (height / 2 - 26) / reach[1]), 10);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    zoom.extent([[0, 0], [width, height]]).translateExtent([[-width / 4, -height / 4], [1.25 * width, 1.25 * height]]);
    if (before) setView(before);
    paint();
  }

  // Zoom and middle of the view in the map's own coordinates, so that it means the same on another screen.
  function viewText() {
    if (!width || view.k === 1) return "";
    const [x, y] = view.invert([width / 2, height / 2]);
    return [view.k, (x - width / 2) / half, (y - height / 2) / half].map((value) => value.toFixed(3)).join(",");
  }

  function setView(text) {
    const [k, x, y] = text.split(",").map(Number);
    if (![k, x, y].every(Number.isFinite)) return;
    const scale = Math.min(Math.max(k, 1), MOST_ZOOM);
    const middle = [width / 2 + x * half, height / 2 + y * half];
    stage.call(zoom.transform, d3.zoomIdentity.translate(width / 2, height / 2).scale(scale).translate(-middle[0], -middle[1]));
  }

  // Bring words into view, close enough to tell them apart.
  function show(which) {
    const shown = which.filter(onMap);
    if (!shown.length || !width) return;
    const xs = shown.map((row) => width / 2 + spots[2 * row] * half), ys = shown.map((row) => height / 2 + spots[2 * row + 1] * half);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = Math.min(width / (right - left + 1), height / (bottom - top + 1));
    const scale = Math.min(Math.max(0.7 * room, 1.4), 9);
    const target = d3.zoomIdentity.translate(width / 2, height / 2).scale(scale).translate(-(left + right) / 2, -(top + bottom) / 2);
    animated().call(zoom.transform, target);
  }

  document.getElementById("zoom-in").addEventListener("click", () => animated().call(zoom.scaleBy, 1.8));
  document.getElementById("zoom-out").addEventListener("click", () => animated().call(zoom.scaleBy, 1 / 1.8));
  document.getElementById("zoom-all").addEventListener("click", () => animated().call(zoom.transform, d3.zoomIdentity));
  readColors();
  new ResizeObserver(resize).observe(canvas);
  resize();

  return {
    onMap, show, setView, viewText,
    recolor() { readColors(); draw(); },
    select(row, found) { selected = row; neighbors = found; draw(); },
    mark(found) { marked = new Set(found); draw(); },
  };
}

function shortened(word) {
  return word.length > 28 ? `${word.slice(0, 27)}…` : word;
}
