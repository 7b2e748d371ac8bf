// The map: a canvas that moves and zooms (d3-zoom), with as many labels as fit, the most frequent words first.

const GROUPS = 10;
const LABEL_HEIGHT = 15;
const MOST_ZOOM = 60;
// Nearest words of the map that place a rarer word; of 5 to 10 these put words of a t-SNE map nearest to where they are.
const PLACING_NEIGHBORS = 8;
// Where a label goes relative to its point: directions in order of preference, then the same farther away.
const SIDES = [[0, -1], [0, 1], [1, 0], [-1, 0], [1, -1], [-1, -1], [1, 1], [-1, 1]];
const FARTHEST_LABEL = 7;

// onPick: called with the row of a clicked word. onMoved: called when a move or zoom has ended.
function createMap(canvas, onPick, onMoved) {
  const context = canvas.getContext("2d");
  const rows = Array.from(page.groups, (_, row) => row);
  const spots = page.places.map((value) => value / page.placeScale);
  // Largest distance of a position from the center in each direction; at most 1.
  const reach = [0, 1].map((axis) => Math.max(...rows.map((row) => Math.abs(spots[2 * row + axis])), 0.2));
  const tree = d3.quadtree(rows, (row) => spots[2 * row], (row) => spots[2 * row + 1]);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let width = 0, height = 0, half = 0, colors, fonts;
  let view = d3.zoomIdentity;
  let selected, neighbors = [], asked = [], marked = new Set(), hovered;
  let scheduled = false;

  const onMap = (row) => row !== undefined && row < rows.length;
  const hasPlace = (row) => onMap(row) || (row !== undefined && guestSpot(row) !== undefined);
  const spotOf = (row, axis) => (row < rows.length ? spots[2 * row + axis] : guestSpot(row)[axis]);
  const screenX = (row) => view.applyX(width / 2 + spotOf(row, 0) * half);
  const screenY = (row) => view.applyY(height / 2 + spotOf(row, 1) * half);
  const radiusOf = (row) => (5 - 0.85 * Math.log10(row + 1)) * Math.min(2.2, view.k ** 0.35);

  // Where a word beyond those of the map is drawn: by the one of its nearest words there that the others lie around, a
  // little towards their middle. Undefined for a word without a direction.
  const guestSpots = new Map();
  function guestSpot(row) {
    if (!guestSpots.has(row)) guestSpots.set(row, placeGuest(nearestTo(vectorOf(row), [row], PLACING_NEIGHBORS, rows.length)));
    return guestSpots.get(row);
  }

  function placeGuest(near) {
    if (!near.length) return undefined;
    const weights = near.map(({ similarity: value }) => Math.max(value, 0.001) ** 2);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const middle = [0, 1].map((axis) => near.reduce((sum, { row }, at) => sum + weights[at] * spots[2 * row + axis], 0) / total);
    const apart = (one, other) => Math.hypot(spots[2 * one] - spots[2 * other], spots[2 * one + 1] - spots[2 * other + 1]);
    const costs = near.map(({ row }) => near.reduce((sum, other, at) => sum + weights[at] * apart(row, other.row), 0));
    const host = near[costs.indexOf(Math.min(...costs))].row;
    return [0, 1].map((axis) => 0.85 * spots[2 * host + axis] + 0.15 * middle[axis]);
  }

  // What is drawn though it is no word of the map.
  function guests() {
    return [...new Set([selected, ...neighbors, ...asked, ...marked])].filter((row) => !onMap(row) && hasPlace(row));
  }

  // The wheel belongs to the page until the map has the focus, or Ctrl says that zooming is meant. One finger scrolls the
  // page, as the canvas's touch-action has it; two move and zoom the map.
  const zoom = d3.zoom()
    .scaleExtent([1, MOST_ZOOM])
    .clickDistance(4)
    .filter((event) => !event.button && !(event.touches?.length < 2) && (event.type !== "wheel" || event.ctrlKey || event.metaKey || document.activeElement === canvas))
    .on("zoom", (event) => { view = event.transform; draw(); })
    .on("end", () => onMoved());
  const stage = d3.select(canvas).call(zoom);

  function animated() {
    return still.matches ? stage : stage.transition().duration(450);
  }

  function rowAt(event, distance) {
    const box = canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const guest = guests().find((row) => Math.hypot(screenX(row) - at[0], screenY(row) - at[1]) < Math.min(distance, 12));
    if (guest !== undefined) return guest;
    const [x, y] = view.invert(at);
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
      mark: resolved("--bad"), surface: resolved("--surface"),
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
    const near = new Set(neighbors.filter(hasPlace));
    const strong = new Set([hovered, selected, ...asked, ...marked].filter(hasPlace));
    const quiet = strong.size > (hovered === undefined ? 0 : 1);
    const inside = (row) => {
      const x = screenX(row), y = screenY(row);
      return x > -20 && x < width + 20 && y > -20 && y < height + 20;
    };
    const visible = rows.filter(inside);
    paintDots(visible, quiet ? 0.6 : 0.8);
    if (hasPlace(selected)) {
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
    paintDots(visible.filter((row) => near.has(row) || strong.has(row)), 1, 1.35);
    context.globalAlpha = 1;
    guests().forEach(paintGuest);
    if (hasPlace(selected)) paintRing(selected, colors.accent);
    marked.forEach((row) => { if (hasPlace(row)) paintRing(row, colors.mark); });
    const first = [...new Set([...strong, ...near])].filter(inside);
    paintLabels([...first, ...visible.filter((row) => !strong.has(row) && !near.has(row))], strong, near, quiet);
  }

  // A hollow point: the word is near here, and has no place of its own.
  function paintGuest(row) {
    context.beginPath();
    context.arc(screenX(row), screenY(row), radiusOf(row) * 1.35, 0, 2 * Math.PI);
    context.fillStyle = colors.surface;
    context.fill();
    context.strokeStyle = colors.soft;
    context.lineWidth = 1.5;
    context.stroke();
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

  // Labels take turns: the word under the pointer and those asked for first, then by frequency, where there is room. A
  // word asked for always has its label, with a line to its point if that is not adjacent.
  function paintLabels(which, strong, near, quiet) {
    const taken = new Map();
    claim(taken, width - 54, width, 0, 124);  // the buttons
    context.textAlign = "center";
    context.lineJoin = "round";
    for (const row of which) {
      context.font = strong.has(row) ? fonts.strong : fonts.plain;
      const text = shortened(words[row]);
      const place = findRoom(taken, row, context.measureText(text).width / 2 + 3, strong.has(row) ? FARTHEST_LABEL : 0, strong.has(row) || near.has(row) ? 4 : 1);
      if (!place) continue;
      if (place.far) {
        context.strokeStyle = colors.soft;
        context.lineWidth = 1;
        context.beginPath();
        context.moveTo(screenX(row), screenY(row));
        context.lineTo(place.x, place.y - 4);
        context.stroke();
      }
      context.strokeStyle = colors.halo;
      context.lineWidth = 3.5;
      context.strokeText(text, place.x, place.y);
      context.fillStyle = strong.has(row) || near.has(row) || !quiet ? colors.ink : colors.soft;
      context.fillText(text, place.x, place.y);
    }
  }

  // Where the label of a word goes, undefined where it has no room. side: half of its width.
  // farthest: 0 for positions adjacent to the point only.  sides: how many of these are tried.
  function findRoom(taken, row, side, farthest, sides) {
    const x = screenX(row), y = screenY(row), radius = radiusOf(row);
    // The label of a word that was asked for stays inside the map where its point does.
    const within = (left, right, top, bottom) => left > 0 && right < width && top > 0 && bottom < height;
    const held = farthest > 0 && within(x, x, y, y);
    for (let far = 0; far <= farthest; far++) {
      for (const [dx, dy] of far ? SIDES : SIDES.slice(0, sides)) {
        const labelX = x + dx * (side + radius + 2 + 12 * far);
        const labelY = y + 4 + dy * (radius + 8 + LABEL_HEIGHT * far);
        const box = [labelX - side, labelX + side, labelY - LABEL_HEIGHT + 2, labelY + 3];
        if ((!held || within(...box)) && claim(taken, ...box)) return { x: labelX, y: labelY, far };
      }
    }
    if (!farthest) return undefined;
    const clamped = (value, low, high) => Math.max(low, Math.min(high, value));
    return held ? { x: clamped(x, side, Math.max(width - side, side)), y: clamped(y - radius - 4, LABEL_HEIGHT, height - 4), far: 0 } : { x, y: y - radius - 4, far: 0 };
  }

  // Whether a box is free; it is taken from then on. Boxes are kept in rows as high as a label.
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

  // Bring words into view, close enough to distinguish them.
  function show(which) {
    const shown = which.filter(hasPlace);
    if (!shown.length || !width) return;
    const xs = shown.map((row) => width / 2 + spotOf(row, 0) * half), ys = shown.map((row) => height / 2 + spotOf(row, 1) * half);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = Math.min(width / (right - left + 1), height / (bottom - top + 1));
    const scale = Math.min(Math.max(0.7 * room, 1), 9);
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
    onMap, hasPlace, show, setView, viewText,
    recolor() { readColors(); draw(); },
    // center: the word in the middle of lines to `near`.  asked: words that always have their label.
    select({ center, near = [], asked: wanted = [] }) { selected = center; neighbors = near; asked = wanted; draw(); },
    mark(found) { marked = new Set(found); draw(); },
  };
}

function shortened(word) {
  return word.length > 28 ? `${word.slice(0, 27)}…` : word;
}
