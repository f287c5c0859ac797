// The words of an attribution: text, legend and table, linked by selection. Text is only ever set as
// textContent, so nothing a person types or a tokenizer returns is read as markup.

function paint(node, word, failed) {
  if (failed) return;
  node.style.setProperty("--tint", `${(Math.abs(word.tint) * 62).toFixed(1)}%`);
  node.classList.add(word.tint < 0 ? "low" : "high");
}

function describe(word, data) {
  const parts = [`${word.score} ${data.legend.unit}`.trim()];
  if (word.error) parts.push(word.error);
  parts.push(`${word.share} of all scores`, `rank ${word.rank}${word.tied ? " (tied)" : ""}`);
  if (word.without) parts.push(`without it ${word.without}${word.probWithout ? ` (${word.probWithout})` : ""}`);
  return parts.join(" · ");
}

function text(data, select) {
  const nodes = [];
  // The direction is given: dir="auto" would not look into the <bdi> of a word.
  const paragraphs = data.segments.map(({ name, direction, pieces }) => {
    const paragraph = el("p", { class: "words", dir: direction });
    if (data.segments.length > 1) paragraph.append(el("span", { class: "part" }, name));
    for (const piece of pieces) {
      const inner = piece.parts.map((part) => (part.code ? el("code", { class: "code" }, part.t) : part.t));
      if (piece.kind !== "word") {
        paragraph.append(el("span", { class: piece.kind }, inner));
        continue;
      }
      const word = data.words[piece.unit];
      const sign = !data.legend.signed || data.failed || Math.abs(word.tint) < 0.05 ? "" : word.value < 0 ? "−" : "+";
      const node = el(
        "span",
        {
          class: word.whole ? "word whole" : "word",
          role: "button",
          tabindex: nodes.length ? -1 : 0,
          "data-unit": piece.unit,
          "data-sign": sign,
          "aria-label": `${word.text}: ${describe(word, data)}`,
          "aria-pressed": "false",
        },
        el("bdi", {}, inner),
      );
      paint(node, word, data.failed);
      node.addEventListener("click", () => select(piece.unit));
      nodes.push(node);
      paragraph.append(node);
    }
    return paragraph;
  });
  return { nodes, block: el("div", { class: "text", role: "group", "aria-label": "Scored words" }, paragraphs) };
}

function legend(data) {
  const { low, high, limit, unit, signed, widened, turned } = data.legend;
  if (data.failed) return el("p", { class: "legend" }, "Colour is withheld because a check failed.");
  const note = widened ? ` (scale widened from ± 2)` : "";
  return el(
    "p",
    { class: "legend" },
    signed ? el("bdi", { class: "end" }, low) : null,
    el("span", { class: "num" }, signed ? `${turned ? "+" : "−"}${limit}` : "0"),
    el("span", { class: signed ? "ramp" : "ramp single", "aria-hidden": "true" }),
    el("span", { class: "num" }, signed ? `${turned ? "−" : "+"}${limit}` : limit),
    el("bdi", { class: "end" }, high),
    el("span", { class: "unit" }, `${unit}${note}`),
  );
}

function table(data, select, state) {
  const many = data.words.length > 16 ? 12 : 16;
  const order = data.words.map((_, i) => i).sort((a, b) => data.words[a].rank - data.words[b].rank || Math.abs(data.words[b].value) - Math.abs(data.words[a].value) || a - b);
  const head = ["#", "word", "score", data.hasError ? "error" : null, "share", data.measured ? "without it" : null];
  const rows = order.map((unit, place) => {
    const word = data.words[unit];
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    const fill = el("span", { class: "fill" });
    const length = Math.abs(word.bar) * (data.legend.signed ? 50 : 100);
    fill.style.width = `${length.toFixed(1)}%`;
    fill.style.insetInlineStart = data.legend.signed ? (word.bar < 0 ? `${50 - length}%` : "50%") : "0";
    paint(fill, word, data.failed);
    bar.append(fill);
    const marks = [];
    if (word.contradicts) {
      marks.push(el("span", { class: "flag", title: "Measured without this word, the model moves the other way." }, "≠"));
    }
    if (word.cancels) {
      marks.push(el("span", { class: "flag", title: "Parts of this word pull in opposite directions." }, "~"));
    }
    const row = el(
      "tr",
      { "data-unit": unit, class: place >= many && !state.all ? "more" : null },
      el("td", { class: "num" }, word.tied ? `${word.rank}=` : word.rank),
      el("th", { scope: "row" }, el("bdi", {}, word.text), marks),
      el("td", { class: "num score" }, el("span", {}, word.score), bar),
      data.hasError ? el("td", { class: "num faint" }, word.error) : null,
      el("td", { class: "num share" }, word.share),
      data.measured ? el("td", { class: "num" }, word.without, word.probWithout ? el("small", {}, ` ${word.probWithout}`) : null) : null,
    );
    row.addEventListener("click", () => select(unit));
    return row;
  });
  const foot = el(
    "tfoot",
    {},
    el(
      "tr",
      {},
      el("td"),
      el("th", { scope: "row" }, "special tokens"),
      el("td", { class: "num", colspan: 4 }, data.specials.byConstruction ? "0 by construction" : data.specials.score),
    ),
    data.total === null
      ? null
      : el("tr", {}, el("td"), el("th", { scope: "row" }, "all together"), el("td", { class: "num", colspan: 4 }, data.total)),
  );
  const grid = el(
    "table",
    {},
    el("caption", {}, data.legend.unit ? `Score of each word, in ${data.legend.unit}` : "Score of each word"),
    el("thead", {}, el("tr", {}, head.filter((h) => h !== null).map((h) => el("th", { scope: "col", class: h === "share" ? h : null }, h)))),
    el("tbody", {}, rows),
    foot,
  );
  const block = el("div", { class: "table" }, grid);
  if (rows.length > many && !state.all) {
    const button = el("button", { type: "button", class: "quiet" }, `Show all ${rows.length} words`);
    button.addEventListener("click", () => {
      state.all = true;
      for (const row of rows) row.classList.remove("more");
      button.remove();
    });
    block.append(button);
  }
  const marks = [];
  if (data.words.some((w) => w.tied)) marks.push("= shares its rank with a neighbour: they differ by less than their errors");
  if (data.words.some((w) => w.contradicts)) marks.push("≠\u2002without this word the model moves the other way");
  if (data.words.some((w) => w.cancels)) marks.push("~ parts of this word pull in opposite directions");
  if (data.words.some((w) => w.whole)) marks.push("dashed: a sentence that is scored as a whole");
  if (marks.length) block.append(el("p", { class: "marks" }, marks.join(" · ")));
  return { rows, block };
}

const COPIED = ["--st-background-color", "--st-text-color", "--st-border-color", "--st-secondary-background-color", "--st-font"];

// A picture of the words with the decision above and the way it was computed below: the element is drawn
// by the browser itself, as an SVG image, so scripts and right-to-left text look as they do on the page.
async function picture(root, data, styles) {
  const width = 960;
  const shot = el(
    "div",
    { class: "reasons shot", lang: "en" },
    el("h3", {}, data.caption),
    root.querySelector(".text").cloneNode(true),
    root.querySelector(".legend").cloneNode(true),
    el("p", { class: "strip" }, data.strip),
  );
  const computed = getComputedStyle(root);
  for (const name of COPIED) shot.style.setProperty(name, computed.getPropertyValue(name));
  shot.style.width = `${width}px`;
  root.append(shot);
  const height = Math.ceil(shot.getBoundingClientRect().height);
  shot.remove();
  shot.classList.add("drawn");
  shot.prepend(el("style", {}, styles));
  const markup = new XMLSerializer().serializeToString(shot);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><foreignObject width="100%" height="100%">${markup}</foreignObject></svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = el("canvas", { width: width * 2, height: height * 2 });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.drawImage(image, 0, 0);
  const link = el("a", { href: canvas.toDataURL("image/png"), download: data.fileName });
  link.click();
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".reasons");
  const state = root.state ?? (root.state = { all: false, selected: null, shown: null });
  if (state.shown !== data.id) {
    state.selected = null;
    state.shown = data.id;
  }

  const tip = el("div", { class: "tip", role: "status" });
  const mark = () => {
    for (const node of root.querySelectorAll("[data-unit]")) {
      const on = Number(node.dataset.unit) === state.selected;
      node.classList.toggle("selected", on);
      if (node.classList.contains("word")) node.setAttribute("aria-pressed", String(on));
    }
  };
  const select = (unit) => {
    state.selected = state.selected === unit ? null : unit;
    mark();
    setStateValue("selected", state.selected);
  };

  const words = text(data, select);
  const rows = table(data, select, state);
  const save = el("button", { type: "button", class: "quiet" }, "Download picture (PNG)");
  const styles = parentElement.querySelector("style")?.textContent ?? "";
  save.addEventListener("click", () => picture(root, data, data.styles || styles));
  root.replaceChildren(words.block, tip, legend(data), rows.block, el("p", { class: "actions" }, save));
  mark();

  const show = (node) => {
    const word = data.words[Number(node.dataset.unit)];
    tip.replaceChildren(el("b", {}, word.text), el("span", {}, describe(word, data)), el("span", { class: "ids" }, word.tokens));
    const box = node.getBoundingClientRect();
    const base = root.getBoundingClientRect();
    tip.classList.add("shown");
    const left = Math.min(Math.max(0, box.left - base.left), Math.max(0, base.width - tip.offsetWidth));
    tip.style.left = `${left}px`;
    tip.style.top = `${box.bottom - base.top + 6}px`;
  };
  const hide = () => tip.classList.remove("shown");
  for (const node of words.nodes) {
    node.addEventListener("mouseenter", () => show(node));
    node.addEventListener("focus", () => show(node));
    node.addEventListener("mouseleave", hide);
    node.addEventListener("blur", hide);
  }
  words.block.addEventListener("keydown", (event) => {
    const at = words.nodes.indexOf(event.target);
    if (at < 0) return;
    const rtl = getComputedStyle(event.target.closest("p")).direction === "rtl";
    const steps = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1, Home: -at, End: words.nodes.length - 1 - at };
    if (event.key in steps) {
      const next = words.nodes[Math.min(words.nodes.length - 1, Math.max(0, at + steps[event.key]))];
      words.nodes[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      select(Number(event.target.dataset.unit));
    } else if (event.key === "Escape") {
      hide();
      return;
    } else {
      return;
    }
    event.preventDefault();
  });
}
