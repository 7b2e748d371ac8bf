// The map: points of all words, names of regions and as many labels as fit, the most frequent words first. It moves and
// zooms by d3-zoom. The points are on a canvas of their own (points.js) below that of labels, lines and rings.

const GROUPS = 10;
const LABEL_HEIGHT = 15;
const MOST_ZOOM = 80;
// Where a label goes relative to its point: directions in order of preference, then the same farther away.
const SIDES = [[0, -1], [0, 1], [1, 0], [-1, 0], [1, -1], [-1, -1], [1, 1], [-1, 1]];
const FARTHEST_LABEL = 7;
// Words that may get a label in one picture, and how many do while the names of regions are in sight.
const MOST_TRIED = 1200, LABELS_AMONG_REGIONS = 70;
// Zoom up to which the names of large regions are shown, and those of small ones.
const REGION_ZOOM = [2.2, 6];
const SHADES = 16;
const MOST_SELECTED = 300;

// onPick: called with the row of a clicked word. onMoved: called when a move or zoom has ended. onSelected: called with
// the rows inside a rectangle, the most frequent first.
async function createMap(canvas, pointsCanvas, { onPick, onMoved, onSelected }) {
  const context = canvas.getContext("2d");
  const home = Float32Array.from(page.positions, (value) => value / page.positionScale);
  const count = home.length / 2;
  // Where the words are now: at home, or on their way to an axis.
  let spots = home.slice();
  let reach = [0, 1].map((axis) => farthest(home, axis));
  const sizes = Float32Array.from({ length: count }, (_, row) => 2 * Math.max(5 - 0.85 * Math.log10(row + 1), 1) * (row < page.laidOut ? 1 : 0.8));
  const points = await createPoints(pointsCanvas, sizes);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const widths = { plain: new Float32Array(count), strong: new Float32Array(count) };
  let width = 0, height = 0, half = 0, colors, fonts;
  let view = d3.zoomIdentity;
  let selected, neighbors = [], asked = [], marked = new Set(), isolated = null, outline = [], arrows = [], poles = null, axis = null;
  let colorBy = "group", hovered, tree, scheduled = false;
  let selecting = false, rectangle = null, justSelected = false;

  // Largest distance of a word of the laid-out map from its center in one direction; at most 1.
  function farthest(positions, axis) {
    let most = 0.2;
    for (let row = 0; row < page.laidOut; row++) most = Math.max(most, Math.abs(positions[2 * row + axis]));
    return most;
  }

  const hasPosition = (row) => row !== undefined && row < count;
  const onMap = (row) => row !== undefined && row < page.laidOut;
  const screenX = (row) => view.x + view.k * (width / 2 + spots[2 * row] * half);
  const screenY = (row) => view.y + view.k * (height / 2 + spots[2 * row + 1] * half);
  const growth = () => Math.min(2.4, view.k ** 0.35);
  const radiusOf = (row) => sizes[row] / 2 * growth();

  // The wheel belongs to the page until the map has the focus, or Ctrl says that zooming is meant. One finger scrolls the
  // page, as the canvas's touch-action has it; two move and zoom the map. Shift, or the button, draws a rectangle.
  const zoom = d3.zoom()
    .scaleExtent([1, MOST_ZOOM])
    .clickDistance(4)
    .filter((event) => !event.button && !selects(event) && !(event.touches?.length < 2) && (event.type !== "wheel" || event.ctrlKey || event.metaKey || document.activeElement === canvas))
    .on("zoom", (event) => { view = event.transform; draw(); })
    .on("end", () => onMoved());
  const stage = d3.select(canvas).call(zoom);

  function selects(event) {
    return event.type !== "wheel" && (selecting || event.shiftKey);
  }

  function animated() {
    return still.matches ? stage : stage.transition().duration(450);
  }

  function rowAt(event, distance) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = view.invert([event.clientX - box.left, event.clientY - box.top]);
    tree ??= d3.quadtree(Array.from({ length: count }, (_, row) => row), (row) => spots[2 * row], (row) => spots[2 * row + 1]);
    return tree.find((x - width / 2) / half, (y - height / 2) / half, distance / view.k / half);
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !selects(event)) return;
    canvas.setPointerCapture(event.pointerId);
    const from = placeOf(event);
    rectangle = { from, to: from };
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (rectangle) {
      rectangle.to = placeOf(event);
      draw();
      return;
    }
    if (event.pointerType === "touch" || event.buttons) return;
    const found = rowAt(event, 12);
    if (found === hovered) return;
    hovered = found;
    canvas.style.cursor = selecting ? "crosshair" : found === undefined ? "" : "pointer";
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    if (!rectangle) return;
    const { from, to } = rectangle;
    rectangle = null;
    setSelecting(false);
    justSelected = true;
    setTimeout(() => { justSelected = false; });
    const [left, right] = [from[0], to[0]].sort((one, other) => one - other), [top, bottom] = [from[1], to[1]].sort((one, other) => one - other);
    const inside = [];
    for (let row = 0; row < count && inside.length < MOST_SELECTED; row++) {
      const x = screenX(row), y = screenY(row);
      if (x >= left && x <= right && y >= top && y <= bottom) inside.push(row);
    }
    draw();
    if (inside.length) onSelected(inside);
  });
  canvas.addEventListener("pointercancel", () => { rectangle = null; draw(); });
  canvas.addEventListener("pointerleave", () => { hovered = undefined; draw(); });
  canvas.addEventListener("click", (event) => {
    if (justSelected) return;
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
    else if (event.key === "Escape" && selecting) setSelecting(false);
    else return;
    event.preventDefault();
  });

  function setSelecting(on) {
    selecting = on;
    canvas.classList.toggle("selecting", on);
    byId("select-area").setAttribute("aria-pressed", String(on));
  }

  // ---- Colours

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
      mark: resolved("--bad"), surface: resolved("--surface"), line: resolved("--track"),
    };
    const css = getComputedStyle(document.body);
    const serif = (probe.style.fontFamily = "var(--serif)", getComputedStyle(probe).fontFamily);
    fonts = { plain: `12px ${css.fontFamily}`, strong: `600 14px ${css.fontFamily}`, regions: [`500 17px ${serif}`, `500 14px ${serif}`] };
    widths.plain.fill(0);
    widths.strong.fill(0);
    probe.remove();
    colorPoints();
  }

  function shadesBetween(...stops) {
    const between = stops.slice(1).map((stop, at) => d3.interpolateRgb(stops[at], stop));
    return Array.from({ length: SHADES }, (_, shade) => {
      const along = shade / (SHADES - 1) * between.length, part = Math.min(Math.floor(along), between.length - 1);
      return between[part](along - part);
    });
  }

  const shade = (share) => Math.max(0, Math.min(SHADES - 1, Math.floor(share * SHADES)));

  // The bucket of each word and the colours of the buckets.
  function shading() {
    if (axis) {
      const most = axis.values.reduce((found, value) => Math.max(found, Math.abs(value)), 0.01);
      return [Uint8Array.from(axis.values, (value) => shade((value / most + 1) / 2)), shadesBetween(colors.mark, colors.soft, colors.accent)];
    }
    if (colorBy === "frequency") {
      return [Uint8Array.from({ length: count }, (_, row) => shade(1 - Math.log(row + 1) / Math.log(count + 1))), shadesBetween(colors.line, colors.accent, colors.ink)];
    }
    if (colorBy === "drift" && page.drift) {
      const moved = page.drift.amount;
      return [Uint8Array.from(moved, (value) => (value < 0 ? SHADES : shade(value / 100))), [...shadesBetween(colors.line, colors.mark), colors.groups[4]]];
    }
    return [Uint8Array.from(page.groups, (group) => group % GROUPS), colors.groups];
  }

  function colorPoints() {
    points.color(...shading());
    draw();
  }

  // The colour of one point, for those that are painted once more above the others.
  function colorOf(row) {
    return axis || colorBy !== "group" ? colors.accent : colors.groups[page.groups[row] % GROUPS];
  }

  // ---- Layouts

  let moving = 0;
  function moveTo(target) {
    const from = spots.slice(), started = performance.now(), turn = ++moving;
    tree = undefined;
    const step = (now) => {
      if (turn !== moving) return;
      const share = still.matches ? 1 : Math.min(Math.max((now - started) / 600, 0), 1), eased = d3.easeCubicInOut(share);
      for (let place = 0; place < spots.length; place++) spots[place] = from[place] + (target[place] - from[place]) * eased;
      points.place(spots);
      paint();
      if (share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // Order all words along an axis: left to right by its values, the most frequent at the top.
  function axisSpots() {
    const most = axis.values.reduce((found, value) => Math.max(found, Math.abs(value)), 0.01);
    const [across, down] = [(width / 2 - 76) / half, (height / 2 - 46) / half];
    const target = new Float32Array(2 * count);
    for (let row = 0; row < count; row++) {
      target[2 * row] = axis.values[row] / most * across;
      target[2 * row + 1] = (2 * Math.log(row + 1) / Math.log(count + 1) - 1) * down;
    }
    return target;
  }

  function showAxis(values, low, high) {
    axis = { values, low, high };
    colorPoints();
    moveTo(axisSpots());
  }

  function showPositions() {
    if (!axis) return;
    axis = null;
    colorPoints();
    moveTo(home);
  }

  // ---- Painting

  function draw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; paint(); });
  }

  function paint() {
    if (!width) return;
    context.clearRect(0, 0, width, height);
    const near = new Set(neighbors.filter(hasPosition));
    const strong = new Set([hovered, selected, ...asked, ...marked].filter(hasPosition));
    const quiet = isolated !== null || strong.size > (hovered === undefined ? 0 : 1);
    const inside = (row) => {
      const x = screenX(row), y = screenY(row);
      return x > -20 && x < width + 20 && y > -20 && y < height + 20;
    };
    const alpha = isolated ? 0.12 : quiet ? 0.6 : 0.75;
    points.paint({ width, height, ratio: devicePixelRatio || 1, x: view.x, y: view.y, k: view.k, half, growth: growth(), alpha });
    if (axis) paintAxis();
    paintOutline();
    paintArrows();
    if (hasPosition(selected)) {
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
    context.globalAlpha = 1;
    [...(isolated ?? []), ...near, ...strong].forEach(paintPoint);
    if (hasPosition(selected)) paintRing(selected, colors.accent);
    marked.forEach((row) => { if (hasPosition(row) && marked.size <= 60) paintRing(row, colors.mark); });
    const taken = new Map();
    claim(taken, width - 54, width, 0, 190);  // the buttons
    const first = [...new Set([...strong, ...near])].filter(inside);
    paintLabels(taken, first, strong, near, quiet, first.length);
    const regions = paintRegions(taken, quiet);
    paintLabels(taken, isolated ? [...isolated].filter(inside) : visible(strong, near), strong, near, quiet, regions ? LABELS_AMONG_REGIONS : MOST_TRIED);
    if (rectangle) paintRectangle();
  }

  // The most frequent words inside the picture.
  function visible(strong, near) {
    const found = [];
    for (let row = 0; row < count && found.length < MOST_TRIED; row++) {
      const x = screenX(row), y = screenY(row);
      if (x > -20 && x < width + 20 && y > -20 && y < height + 20 && !strong.has(row) && !near.has(row)) found.push(row);
    }
    return found;
  }

  function paintPoint(row) {
    const x = screenX(row), y = screenY(row), radius = radiusOf(row) * 1.35;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    if (onMap(row)) {
      context.fillStyle = colorOf(row);
      context.fill();
      return;
    }
    // A hollow point: the word is near here, and was not laid out itself.
    context.fillStyle = colors.surface;
    context.fill();
    context.strokeStyle = colors.soft;
    context.lineWidth = 1.5;
    context.stroke();
  }

  function paintRing(row, color) {
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(screenX(row), screenY(row), radiusOf(row) * 1.35 + 3.5, 0, 2 * Math.PI);
    context.stroke();
  }

  // The four words of an analogy, as corners in the order that they are joined.
  function paintOutline() {
    const rows = outline.filter(hasPosition);
    if (rows.length < 4) return;
    context.strokeStyle = colors.accent;
    context.globalAlpha = 0.8;
    context.lineWidth = 1.5;
    rows.forEach((row, at) => {
      const next = rows[(at + 1) % 4];
      // a to b and c to the answer are the relation; the other two sides are dashed.
      context.setLineDash(at % 2 ? [4, 4] : []);
      context.beginPath();
      context.moveTo(screenX(row), screenY(row));
      context.lineTo(screenX(next), screenY(next));
      context.stroke();
    });
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  // From where a word would be by its vector in the last release to where it is.
  function paintArrows() {
    for (const { row, from, active } of axis ? [] : arrows) {
      if (!hasPosition(row)) continue;
      const [fromX, fromY] = [view.applyX(width / 2 + from[0] * half), view.applyY(height / 2 + from[1] * half)];
      const [toX, toY] = [screenX(row), screenY(row)], angle = Math.atan2(toY - fromY, toX - fromX);
      context.globalAlpha = active ? 1 : 0.45;
      context.strokeStyle = context.fillStyle = colors.mark;
      context.lineWidth = active ? 2.5 : 1.2;
      context.beginPath();
      context.moveTo(fromX, fromY);
      context.lineTo(toX, toY);
      context.stroke();
      context.beginPath();
      context.moveTo(toX, toY);
      context.lineTo(toX - 9 * Math.cos(angle - 0.4), toY - 9 * Math.sin(angle - 0.4));
      context.lineTo(toX - 9 * Math.cos(angle + 0.4), toY - 9 * Math.sin(angle + 0.4));
      context.fill();
    }
    context.globalAlpha = 1;
  }

  function paintAxis() {
    const middle = view.applyX(width / 2);
    context.strokeStyle = colors.line;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(middle, 0);
    context.lineTo(middle, height);
    context.stroke();
    context.font = fonts.regions[0];
    context.lineWidth = 4;
    context.strokeStyle = colors.halo;
    for (const [text, x, side, color] of [[`← ${axis.low}`, 14, "left", colors.mark], [`${axis.high} →`, width - 64, "right", colors.accent]]) {
      context.textAlign = side;
      context.fillStyle = color;
      context.strokeText(text, x, 58);
      context.fillText(text, x, 58);
    }
  }

  function paintRectangle() {
    const [[left, top], [right, bottom]] = [rectangle.from, rectangle.to];
    context.strokeStyle = context.fillStyle = colors.accent;
    context.lineWidth = 1;
    context.globalAlpha = 0.12;
    context.fillRect(left, top, right - left, bottom - top);
    context.globalAlpha = 1;
    context.strokeRect(left, top, right - left, bottom - top);
  }

  // Names of the regions in sight. Returns whether there are any.
  function paintRegions(taken, quiet) {
    const level = REGION_ZOOM.findIndex((most) => view.k <= most);
    if (axis || isolated || level < 0) return false;
    context.font = fonts.regions[width < 500 ? 1 : level];
    context.textAlign = "center";
    context.lineJoin = "round";
    let painted = false;
    for (const region of page.regions) {
      if (region.level !== level) continue;
      const text = region.rows.map((row) => shortened(words[row])).join(" · ");
      const x = view.applyX(width / 2 + region.x / page.positionScale * half), y = view.applyY(height / 2 + region.y / page.positionScale * half);
      const side = context.measureText(text).width / 2 + 4;
      const middle = Math.max(side, Math.min(width - side, x));
      if (Math.abs(middle - x) > side || y < 12 || y > height - 4 || !claim(taken, middle - side, middle + side, y - 15, y + 5)) continue;
      painted = true;
      context.globalAlpha = quiet ? 0.75 : 1;
      context.strokeStyle = colors.surface;
      context.lineWidth = 4.5;
      context.strokeText(text, middle, y);
      context.fillStyle = colors.ink;
      context.fillText(text, middle, y);
    }
    context.globalAlpha = 1;
    return painted;
  }

  function labelWidth(row, text, font) {
    widths[font][row] ||= context.measureText(text).width;
    return widths[font][row];
  }

  // Labels take turns: the word under the pointer and those asked for first, then by frequency, where there is room. A
  // word asked for always has its label, with a line to its point if that is not adjacent.
  function paintLabels(taken, which, strong, near, quiet, most) {
    context.textAlign = "center";
    context.lineJoin = "round";
    let painted = 0;
    for (const row of which) {
      if (painted >= most) break;
      const font = strong.has(row) && marked.size <= 60 ? "strong" : "plain";
      context.font = fonts[font];
      const text = shortened(words[row]);
      const always = strong.has(row) && (marked.size <= 60 || !marked.has(row));
      const place = findRoom(taken, row, labelWidth(row, text, font) / 2 + 3, always ? FARTHEST_LABEL : 0, strong.has(row) || near.has(row) ? 4 : 1);
      if (!place) continue;
      painted += 1;
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
      context.fillStyle = strong.has(row) || near.has(row) || isolated || !quiet ? colors.ink : colors.soft;
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
    lines.forEach(([line, boxes]) => {
      if (boxes.length) boxes.push({ left, right, top, bottom });
      else taken.set(line, [{ left, right, top, bottom }]);
    });
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
    if (axis) {
      spots = axisSpots();
      points.place(spots);
      tree = undefined;
    }
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

  // Bring words, and the tails of arrows, into view, close enough to distinguish them.
  function show(which, tails = []) {
    if (axis) {
      animated().call(zoom.transform, d3.zoomIdentity);
      return;
    }
    const positions = [...which.filter(hasPosition).map((row) => [home[2 * row], home[2 * row + 1]]), ...tails];
    if (!positions.length || !width) return;
    const xs = positions.map(([x]) => width / 2 + x * half), ys = positions.map(([, y]) => height / 2 + y * half);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = Math.min(width / (right - left + 1), height / (bottom - top + 1));
    const scale = Math.min(Math.max(0.7 * room, 1), 9);
    const target = d3.zoomIdentity.translate(width / 2, height / 2).scale(scale).translate(-(left + right) / 2, -(top + bottom) / 2);
    animated().call(zoom.transform, target);
  }

  byId("zoom-in").addEventListener("click", () => animated().call(zoom.scaleBy, 1.8));
  byId("zoom-out").addEventListener("click", () => animated().call(zoom.scaleBy, 1 / 1.8));
  byId("zoom-all").addEventListener("click", () => animated().call(zoom.transform, d3.zoomIdentity));
  byId("select-area").addEventListener("click", () => setSelecting(!selecting));
  points.place(spots);
  await pause();
  document.addEventListener("themechange", readColors);
  readColors();
  await pause();
  resize();
  // The observer reports the size once more when it begins.
  new ResizeObserver(() => { if (canvas.clientWidth !== width || canvas.clientHeight !== height) resize(); }).observe(canvas);
  await pause();

  return {
    onMap, hasPosition, show, setView, viewText, showAxis, showPositions, kind: points.kind,
    colorBy(name) { colorBy = name; colorPoints(); },
    // center: the word in the middle of lines to `near`.  asked: words that always have their label.  corners: the four
    // words of an analogy.  moved: arrows, each the row of a word, where it comes from, and whether it is the active one.
    select({ center, near = [], asked: wanted = [], corners = [], moved = [] }) {
      [selected, neighbors, asked, outline, arrows] = [center, near, wanted, corners, moved];
      draw();
    },
    mark(found, alone = false) {
      marked = new Set(found);
      isolated = alone && found.length ? marked : null;
      draw();
    },
  };
}

function shortened(word) {
  return word.length > 28 ? `${word.slice(0, 27)}…` : word;
}
