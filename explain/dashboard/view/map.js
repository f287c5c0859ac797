// One head as a canvas: rows look, columns are looked at. Zoom with the wheel or + and −, drag to move, arrow keys move
// the cursor. Names are drawn by the canvas or set as textContent, so nothing in a text is read as markup.

function numbers(text, count) {
  const raw = atob(text);
  const found = new Uint16Array(count);
  for (let i = 0; i < count; i++) found[i] = raw.charCodeAt(2 * i) | (raw.charCodeAt(2 * i + 1) << 8);
  return found;
}

const BLUE = 0xc96f2b; // blue, green, red
const MARGIN = { left: 96, top: 84 };
const NAMED = 11; // pixels a cell needs before its word is written beside it

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".map");
  const [rows, columns] = [data.size, data.columns.length];
  const n = Math.max(rows, columns); // cells are squares, and the longer side fills the picture
  const values = numbers(data.values, rows * columns);

  // One pixel a cell, scaled by the browser: drawing 2,048 × 2,048 cells costs one image.
  const cells = el("canvas", { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer); // one store a pixel, in the byte order of every browser's machine
  for (let i = 0; i < rows * columns; i++) pixels[i] = BLUE | (Math.round(values[i] / 257) << 24);
  cells.getContext("2d").putImageData(image, 0, 0);

  const canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": `${data.title}: ${rows} by ${columns} ${data.unit}s. Arrow keys move the cursor.`,
  });
  const line = el("p", { class: "read", role: "status" });
  const state = root.state ?? (root.state = {});
  if (state.id !== data.id) Object.assign(state, { id: data.id, zoom: 1, x: 0, y: 0, row: data.selected ?? 0, column: 0 });
  if (state.row >= rows || state.column >= columns) Object.assign(state, { row: 0, column: 0 });

  const width = () => Math.max(280, root.clientWidth);
  const side = () => Math.min(width() - MARGIN.left - 4, 720);
  const cell = () => (side() / n) * state.zoom;
  const wide = () => Math.min(side(), columns * cell());
  const tall = () => Math.min(side(), rows * cell());
  const clamp = () => {
    state.zoom = Math.min(Math.max(1, n / 4), Math.max(1, state.zoom));
    const shown = n / state.zoom;
    state.x = Math.max(0, Math.min(columns - shown, state.x));
    state.y = Math.max(0, Math.min(rows - shown, state.y));
  };

  const draw = () => {
    clamp();
    const scale = window.devicePixelRatio || 1;
    const w = MARGIN.left + side() + 4; // names of columns stand aslant beyond a narrow picture
    const h = MARGIN.top + tall() + 4;
    canvas.width = w * scale;
    canvas.height = h * scale;
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(root);
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    const shown = n / state.zoom;
    const [across, down] = [wide() / cell(), tall() / cell()];
    context.drawImage(cells, state.x, state.y, across, down, MARGIN.left, MARGIN.top, wide(), tall());
    context.strokeStyle = style.getPropertyValue("--st-border-color") || "#8886";
    context.strokeRect(MARGIN.left, MARGIN.top, wide(), tall());
    context.fillStyle = style.color;
    context.font = `12px ${style.fontFamily}`;
    const step = Math.max(1, Math.ceil(NAMED / cell()));
    const first = Math.ceil(state.x / step) * step;
    for (let i = Math.ceil(state.y / step) * step; i < Math.min(rows, state.y + shown); i += step) {
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(short(data.names[i]), MARGIN.left - 6, MARGIN.top + (i + 0.5 - state.y) * cell());
    }
    for (let i = first; i < Math.min(columns, state.x + shown); i += step) {
      context.save();
      context.translate(MARGIN.left + (i + 0.5 - state.x) * cell(), MARGIN.top - 6);
      context.rotate(-Math.PI / 4);
      context.textAlign = "left";
      context.fillText(short(data.columns[i]), 0, 0);
      context.restore();
    }
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, wide(), tall());
    context.clip();
    context.strokeStyle = "#cf5f1a";
    context.lineWidth = 2;
    const size = Math.max(cell(), 4);
    context.strokeRect(
      MARGIN.left + (state.column - state.x) * cell(), MARGIN.top + (state.row - state.y) * cell(), size, size,
    );
    context.restore();
    const value = (values[state.row * columns + state.column] / 65535) * data.largest;
    line.replaceChildren(
      el("bdi", {}, data.names[state.row]), " looks at ", el("bdi", {}, data.columns[state.column]),
      `: ${value.toFixed(3)} ${data.unit}`,
    );
  };

  const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
  const tell = () => setStateValue("cell", [state.row, state.column]);
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      Math.floor((event.clientX - box.left - MARGIN.left) / cell() + state.x),
      Math.floor((event.clientY - box.top - MARGIN.top) / cell() + state.y),
    ];
  };
  const zoom = (factor, cx = side() / 2, cy = side() / 2) => {
    const [x, y] = [state.x + cx / cell(), state.y + cy / cell()];
    state.zoom *= factor;
    clamp();
    state.x = x - cx / cell();
    state.y = y - cy / cell();
    draw();
  };

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, from: [state.x, state.y], moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      drag.moved ||= Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y) > 4;
      state.x = drag.from[0] - (event.clientX - drag.x) / cell();
      state.y = drag.from[1] - (event.clientY - drag.y) / cell();
      draw();
      return;
    }
    const [column, row] = at(event);
    if (column < 0 || row < 0 || column >= columns || row >= rows) return;
    Object.assign(state, { row, column });
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const [column, row] = at(event);
    const clicked = drag && !drag.moved && column >= 0 && row >= 0 && column < columns && row < rows;
    drag = null;
    if (!clicked) return;
    Object.assign(state, { row, column });
    draw();
    tell();
  });
  canvas.addEventListener("wheel", (event) => {
    if (n < 24 || !(event.ctrlKey || document.activeElement === canvas || root.getRootNode().activeElement === canvas)) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left - MARGIN.left, event.clientY - box.top - MARGIN.top);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key in moves) {
      state.row = Math.min(rows - 1, Math.max(0, state.row + moves[event.key][0]));
      state.column = Math.min(columns - 1, Math.max(0, state.column + moves[event.key][1]));
      const shown = n / state.zoom;
      state.x = Math.min(state.column, Math.max(state.x, state.column + 1 - shown));
      state.y = Math.min(state.row, Math.max(state.y, state.row + 1 - shown));
      draw();
    } else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "Enter") tell();
    else return;
    event.preventDefault();
  });

  const button = (name, label, act) => {
    const node = el("button", { type: "button", class: "quiet", "aria-label": label, title: label }, name);
    node.addEventListener("click", act);
    return node;
  };
  const tools = el(
    "p",
    { class: "tools" },
    button("+", "Zoom in", () => zoom(1.5)),
    button("−", "Zoom out", () => zoom(1 / 1.5)),
    button("Whole", "Show everything", () => {
      state.zoom = 1;
      draw();
    }),
    el("span", { class: "legend" }, el("span", {}, "0"), el("span", { class: "ramp single", "aria-hidden": "true" }), el("span", {}, `${data.largest.toPrecision(2)} ${data.unit}`)),
  );
  root.replaceChildren(el("p", { class: "axes" }, "rows look at columns"), canvas, line, tools);
  draw();
  root.observer?.disconnect();
  root.observer = new ResizeObserver(draw);
  root.observer.observe(root);
}
