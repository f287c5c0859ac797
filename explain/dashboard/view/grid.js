// Layers × heads: one cell a head, tinted by a quantity. Arrow keys move, Enter or a click opens the head.

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".heads");
  const cells = [];
  const [layer, head] = data.chosen;

  const open = (l, h) => {
    for (const row of cells) for (const cell of row) cell.setAttribute("aria-selected", "false");
    cells[l][h].setAttribute("aria-selected", "true");
    setStateValue("chosen", [l, h]);
  };

  const table = el("div", { class: "grid", role: "grid", "aria-label": `Heads by ${data.name}` });
  table.style.gridTemplateColumns = `auto repeat(${data.values[0].length}, minmax(1.6rem, 3.2rem))`;
  table.append(el("span", { class: "corner" }, "layer"));
  data.values[0].forEach((_, h) => table.append(el("span", { class: "top" }, String(h))));
  data.values.forEach((row, l) => {
    table.append(el("span", { class: "side" }, String(l)));
    cells.push(
      row.map((_, h) => {
        const chosen = l === layer && h === head;
        const cell = el(
          "button",
          {
            type: "button",
            role: "gridcell",
            class: `cell ${data.tints[l][h] < 0 ? "low" : "high"}`,
            tabindex: chosen ? 0 : -1,
            "aria-selected": chosen,
            "aria-label": `Layer ${l}, head ${h}: ${data.name} ${data.shown[l][h]}`,
            title: `layer ${l}, head ${h}: ${data.shown[l][h]}`,
          },
          el("span", {}, data.shown[l][h]),
        );
        cell.style.setProperty("--tint", `${(Math.min(1, Math.abs(data.tints[l][h])) * 62).toFixed(1)}%`);
        cell.addEventListener("click", () => open(l, h));
        table.append(cell);
        return cell;
      }),
    );
  });

  table.addEventListener("keydown", (event) => {
    const at = cells.findIndex((row) => row.includes(document.activeElement ?? event.target) || row.includes(event.target));
    if (at < 0) return;
    const column = cells[at].indexOf(event.target);
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!(event.key in moves)) return;
    const [dl, dh] = moves[event.key];
    const next = cells[Math.min(cells.length - 1, Math.max(0, at + dl))][Math.min(cells[0].length - 1, Math.max(0, column + dh))];
    cells[at][column].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });

  const legend = el(
    "p",
    { class: "legend" },
    el("span", { class: "num" }, data.signed ? `−${data.limit}` : "0"),
    el("span", { class: data.signed ? "ramp" : "ramp single", "aria-hidden": "true" }),
    el("span", { class: "num" }, data.signed ? `+${data.limit}` : data.limit),
    el("span", { class: "unit" }, data.unit),
    el("span", { class: "hint" }, "columns are heads; arrow keys move, Enter opens"),
  );
  const focused = root.contains(root.getRootNode().activeElement);
  root.replaceChildren(table, legend);
  if (focused) cells[layer][head].focus({ preventScroll: true }); // so that arrow keys go on from the head just opened
}
