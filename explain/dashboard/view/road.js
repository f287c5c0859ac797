// The road through the model: a row of tokens to follow, and the steps as a diagram. A click or Enter opens a step;
// arrow keys move along a row. All text arrives as text, never as HTML.

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".inside");
  const focused = root.getRootNode().activeElement?.dataset?.id;

  const choose = (name, value) => {
    for (const item of root.querySelectorAll(`[data-of="${name}"]`)) {
      item.setAttribute("aria-pressed", String(item.dataset.id === `${name}-${value}`));
    }
    setStateValue(name, value);
  };

  const item = (name, value, chosen, label, ...children) => {
    const button = el(
      "button",
      { type: "button", "data-of": name, "data-id": `${name}-${value}`, "aria-pressed": chosen, "aria-label": label },
      ...children,
    );
    button.tabIndex = chosen ? 0 : -1;
    button.addEventListener("click", () => choose(name, value));
    return button;
  };

  const along = (row, name) =>
    row.addEventListener("keydown", (event) => {
      const turn = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const items = [...row.querySelectorAll(`[data-of="${name}"]`)];
      const at = items.findIndex((i) => i.dataset.id === event.target.dataset?.id);
      if (!turn || at < 0) return;
      const next = items[Math.min(items.length - 1, Math.max(0, at + turn))];
      items[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      event.preventDefault();
    });

  const tokens = el("div", { class: "tokens", role: "group", "aria-label": "Token to follow" });
  data.tokens.forEach((token, t) => {
    const chip = item("token", t, t === data.token, `Token ${t}: ${token.text}`, el("bdi", {}, token.text));
    chip.className = token.special ? "token special" : "token";
    tokens.append(chip);
  });
  along(tokens, "token");

  const road = el("div", { class: "road", role: "group", "aria-label": "Steps from text to prediction" });
  const open = [road];
  for (const step of data.steps) {
    while (open.length - 1 > step.depth) open.pop();
    while (open.length - 1 < step.depth) {
      const frame = el("div", { class: "frame" }, el("p", { class: "frame-title" }, data.frames[open.length - 1]));
      const inner = el("div", { class: "inner" });
      frame.append(inner);
      open[open.length - 1].append(frame);
      open.push(inner);
    }
    const box = item(
      "step",
      step.id,
      step.id === data.step,
      `${step.title}: ${step.number}, ${step.note}`,
      el("span", { class: "title" }, step.title),
      el("span", { class: "number" }, step.number),
      el("span", { class: "note" }, step.note),
    );
    box.className = "box";
    open[open.length - 1].append(box);
  }
  along(road, "step");

  root.replaceChildren(el("p", { class: "lead" }, data.lead), tokens, road);
  if (focused) root.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}
