// A hunt in a notebook cell. What is shown comes from the traits `page` and `labels`; what a person does goes to the
// kernel as a message {call, do, ...}, and its answer {call, done} or {call, error} comes back once it is on the disk.
const VERDICT_KEYS = { p: "positive", n: "negative", u: "unsure", s: "skipped", c: "cleared" };
const MOVES = { ArrowLeft: "left", h: "left", ArrowRight: "right", l: "right",
                ArrowUp: "up", k: "up", ArrowDown: "down", j: "down" };
const CYCLE = { "": "positive", positive: "negative", negative: "unsure", unsure: "skipped", skipped: "cleared" };
const PATIENCE_MS = 120000;
const FOCUSABLE = ["li", "button", "input", "summary"];
const NO_ANSWER = "The kernel did not answer: nothing is known to be saved. See that it runs, then try again.";

function node(tag, attributes = {}, ...children) {
  const svg = ["svg", "polyline", "line", "text", "circle"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  if (FOCUSABLE.includes(tag)) made.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes z, c, x for its cells
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const calls = new Map();
  let called = 0;
  let cursor = 0;
  let cards = [];

  // --- talking with the kernel -------------------------------------------------------------------

  function ask(what) {
    const call = `${view}-${++called}`;
    return new Promise((resolve) => {
      const timer = setTimeout(() => answered({ call, error: NO_ANSWER }), PATIENCE_MS);
      calls.set(call, { resolve, timer });
      model.send({ call, ...what });
    });
  }

  function answered(answer) {
    const waiting = calls.get(answer.call);
    if (!waiting) return; // another view of this widget sent it
    calls.delete(answer.call);
    clearTimeout(waiting.timer);
    if (answer.error) notify(answer.error, true);
    else if (answer.done) notify(answer.done, false);
    waiting.resolve(!answer.error);
  }

  function notify(text, wrong) {
    notices.replaceChildren(node("p", { class: wrong ? "gh-notice gh-wrong" : "gh-notice", role: wrong ? "alert" : "status" }, text));
  }

  async function busy(button, what) {
    if (button.disabled) return false;
    button.disabled = true;
    button.classList.add("gh-busy");
    const done = await ask(what);
    button.disabled = false;
    button.classList.remove("gh-busy");
    return done;
  }

  // --- the grid --------------------------------------------------------------------------------------

  function card(entry, place) {
    const buttons = Object.entries(VERDICT_KEYS).map(([key, verdict]) => node("button", {
      type: "button", tabindex: "-1", title: `${verdict} (${key})`, "aria-label": `${verdict}: ${entry.object_id}`,
      onclick: () => label(made, verdict) }, key.toUpperCase()));
    const made = node("li", { class: "gh-card", tabindex: "-1", "data-row": entry.row, onfocus: () => point(place, false) },
      node("span", { class: "gh-stamp", onclick: () => { point(place); label(made, CYCLE[made.dataset.verdict || ""]); } },
        entry.picture ? node("img", { src: entry.picture, alt: `Stamp of ${entry.object_id}`, width: 144, height: 144, draggable: "false" })
          : node("span", { class: "gh-missing" }, entry.problem),
        entry.score ? node("b", { class: "gh-score", title: "score" }, entry.score) : null,
        entry.reason ? node("b", { class: "gh-reason", "data-reason": entry.reason, title: "why it is shown" }, entry.reason) : null),
      node("span", { class: "gh-name", title: entry.object_id }, entry.object_id),
      entry.known ? node("span", { class: "gh-known", title: entry.known }, entry.known) : null,
      node("span", { class: "gh-note" }),
      node("span", { class: "gh-verdict", "aria-hidden": "true" }),
      node("span", { class: "gh-verdicts" }, buttons));
    made.entry = entry;
    return made;
  }

  async function label(made, verdict, negative = classField.value.trim()) {
    made.classList.remove("gh-failed");
    made.classList.add("gh-saving"); // it takes its colour when the kernel says that the label is on the disk
    made.saving = (made.saving || 0) + 1;
    const negative_class = verdict === "negative" ? negative : "";
    const done = await ask({ do: "label", row: made.entry.row, verdict, negative_class });
    made.saving -= 1;
    made.classList.toggle("gh-saving", made.saving > 0);
    made.classList.toggle("gh-failed", !done);
  }

  function labelNext(verdict, negative) {
    const made = cards[cursor];
    if (!made) return;
    label(made, verdict, negative);
    if (verdict !== "cleared") point(cursor + 1);
  }

  function point(place, focus = true) {
    if (!cards.length) return;
    cursor = Math.max(0, Math.min(place, cards.length - 1));
    cards.forEach((made, at) => {
      made.classList.toggle("gh-cursor", at === cursor);
      made.tabIndex = at === cursor ? 0 : -1;
    });
    if (!focus) return;
    cards[cursor].focus({ preventScroll: true });
    cards[cursor].scrollIntoView({ block: "nearest" });
  }

  function move(direction) {
    const second = cards.findIndex((made) => made.offsetTop !== cards[0].offsetTop);
    const columns = second === -1 ? cards.length : second;
    const target = cursor + { left: -1, right: 1, up: -columns, down: columns }[direction];
    if (target >= 0 && target < cards.length) point(target);
  }

  async function keepNote() {
    const made = cards[cursor];
    const text = noteField.value.trim();
    if (!made || !text) return;
    if (await ask({ do: "note", row: made.entry.row, text })) {
      if (noteField.value.trim() === text) noteField.value = "";
      point(cards.indexOf(made));
    }
  }

  async function nextRound() {
    if (cards.some((made) => made.classList.contains("gh-failed"))) {
      notify("Some labels were not saved: label the dashed stamps again before the next round.", true);
      return;
    }
    const hadFocus = root.contains(document.activeElement);
    const shown = model.get("page").round;
    if (await busy(nextButton, { do: "next", after: shown }) && hadFocus) point(0);
  }

  function drawPage() {
    const page = model.get("page");
    title.textContent = page.hunt;
    roundTag.textContent = page.round ? `round ${page.round}` : "not begun";
    why.textContent = page.why;
    nextButton.firstChild.textContent = page.round ? "Next round " : "First round ";
    cards = page.cards.map(card);
    grid.replaceChildren(...cards);
    drawLabels();
    point(Math.max(0, cards.findIndex((made) => !made.dataset.verdict)), false);
  }

  // --- beside the grid ----------------------------------------------------------------------------------

  function drawLabels() {
    const state = model.get("labels");
    for (const made of cards) {
      const label = state.verdicts[made.entry.row] || { verdict: "", negative_class: null };
      made.dataset.verdict = label.verdict;
      made.querySelector(".gh-verdict").textContent = label.negative_class || label.verdict;
      made.querySelector(".gh-note").textContent = made.querySelector(".gh-note").title = state.notes[made.entry.row] || "";
      made.setAttribute("aria-label", [made.entry.object_id, label.verdict || "no label", label.negative_class, made.entry.known].filter(Boolean).join(", "));
    }
    tally.replaceChildren(...Object.entries(state.counts).map(([verdict, count]) =>
      node("div", { "data-verdict": verdict }, node("b", { "data-count": verdict }, String(count)), node("span", {}, verdict))));
    curve.replaceChildren(...curveLines(state.curve));
    curve.setAttribute("aria-label", `${state.curve.found.at(-1)} positives after ${state.curve.given.at(-1)} labels`);
    chips.replaceChildren(...state.negative_classes.map((name, at) => node("button", {
      type: "button", class: "gh-chip", "aria-pressed": String(classField.value === name),
      onclick: () => { classField.value = classField.value === name ? "" : name; drawLabels(); } },
      at < 9 ? node("kbd", {}, String(at + 1)) : null, ` ${name}`)));
    auditLines.replaceChildren(...state.audit.map((line) => node("p", {}, line)));
    history.replaceChildren(...state.history.map((event) => node("li", { class: event.undone ? "gh-undone" : null },
      node("span", {}, `${event.what} ${event.object_id}`), node("small", {}, `${event.who}, ${event.when}`),
      event.undoable ? node("button", { type: "button", "aria-label": `undo ${event.what} ${event.object_id}`,
        onclick: (click) => busy(click.currentTarget, { do: "undo", event: event.event }) }, "undo") : null)));
  }

  function curveLines({ given, found }) {
    const [width, height, left, low] = [240, 120, 26, 104];
    const most = Math.max(1, given.at(-1));
    const x = (value) => left + (width - left - 6) * value / most;
    const y = (value) => low - (low - 14) * value / Math.max(1, most);
    const points = given.map((value, at) => `${x(value).toFixed(1)},${y(found[at]).toFixed(1)}`).join(" ");
    return [node("line", { x1: left, y1: 8, x2: left, y2: low }), node("line", { x1: left, y1: low, x2: width - 4, y2: low }),
      node("polyline", { class: "gh-ideal", points: `${x(0)},${y(0)} ${x(most)},${y(most)}` }),
      node("polyline", { class: "gh-found", points }),
      node("circle", { cx: x(given.at(-1)), cy: y(found.at(-1)), r: 3 }),
      node("text", { x: left - 4, y: 16, "text-anchor": "end" }, String(most)), node("text", { x: left - 4, y: low, "text-anchor": "end" }, "0"),
      node("text", { x: left + 6, y: 14 }, "positives found"), node("text", { x: width - 4, y: height - 3, "text-anchor": "end" }, `${given.at(-1)} labels given`)];
  }

  // --- the frame -----------------------------------------------------------------------------------------------

  const title = node("h3");
  const roundTag = node("span", { class: "gh-tag" });
  const why = node("p", { class: "gh-why" });
  const notices = node("div", { class: "gh-notices" });
  const grid = node("ol", { class: "gh-grid", "aria-label": "Candidates of this round" });
  const tally = node("div", { class: "gh-tally" });
  const curve = node("svg", { class: "gh-curve", viewBox: "0 0 240 120", role: "img" });
  const classField = node("input", { type: "text", maxlength: 100, placeholder: "anything else", "aria-label": "Negatives are", oninput: () => drawLabels() });
  const chips = node("div", { class: "gh-chips" });
  const noteField = node("input", { type: "text", maxlength: 4000, placeholder: "Enter keeps it", "aria-label": "Note on the stamp",
    onkeydown: (event) => { if (event.key === "Enter") keepNote(); else if (event.key === "Escape") point(cursor); } });
  const history = node("ol", { class: "gh-history" });
  const auditCount = node("input", { type: "number", min: 1, max: 100000, value: 100, "aria-label": "Labels of the audit" });
  const auditLines = node("div", { class: "gh-audit" });
  const auditButton = node("button", { type: "button", onclick: () => busy(auditButton, { do: "audit", labels: Number(auditCount.value) }) }, "Draw");
  const reportButton = node("button", { type: "button", onclick: () => busy(reportButton, { do: "report" }) }, "Report");
  const file = node("input", { type: "text", value: model.get("page").file, "aria-label": "File to write", spellcheck: "false" });
  const top = node("input", { type: "number", min: 0, placeholder: "none", "aria-label": "Ranked rest" });
  const least = node("input", { type: "number", step: "any", placeholder: "any", "aria-label": "Or score from" });
  const stamps = node("input", { type: "checkbox" });
  const exportButton = node("button", { type: "button", onclick: () => busy(exportButton,
    { do: "export", file: file.value, top: top.value, min_score: least.value, stamps: stamps.checked }) }, "Write");
  const undoButton = node("button", { type: "button", onclick: () => busy(undoButton, { do: "undo", event: null }) }, "Undo ", node("kbd", {}, "z"));
  const nextButton = node("button", { type: "button", class: "gh-primary", onclick: nextRound }, "Next round ", node("kbd", {}, "Enter"));
  const root = node("section", { class: "gh", "aria-label": "Hunt", onkeydown: onKey },
    node("header", {}, title, roundTag, node("span", { class: "gh-space" }), undoButton, nextButton),
    notices, why,
    node("div", { class: "gh-beside" }, grid, node("aside", {},
      node("section", { "aria-label": "Labels" }, tally, curve),
      node("section", {}, node("h4", {}, "Negatives are"), classField, chips),
      node("section", {}, node("h4", {}, "Note on the stamp ", node("kbd", {}, "w")), noteField),
      node("section", {}, node("h4", {}, "Audit"), node("div", { class: "gh-row" }, auditCount, node("span", {}, "labels"), auditButton, reportButton), auditLines),
      node("section", {}, node("h4", {}, "Export"), file,
        node("div", { class: "gh-row" }, node("label", {}, "ranked rest ", top), node("label", {}, "or score from ", least)),
        node("div", { class: "gh-row" }, node("label", {}, stamps, " with cutouts"), exportButton)),
      node("details", {}, node("summary", {}, "History"), history),
      node("details", {}, node("summary", {}, "Keys"), node("p", {}, "p n u s: label and go on; 1-9: negative of that class; c: clear; w: write a note; z: undo; arrows or h j k l: move; Enter: next round")))));

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.tagName === "INPUT" && target.type !== "checkbox") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = model.get("labels").negative_classes[Number(key) - 1];
    if (key === "Enter") {
      if (["BUTTON", "SUMMARY"].includes(target.tagName)) return;
      nextRound();
    } else if (key in MOVES) {
      if (cards.length) move(MOVES[key]);
    } else if (event.repeat) {
      return;
    } else if (key in VERDICT_KEYS) {
      labelNext(VERDICT_KEYS[key]);
    } else if (key === "w") {
      noteField.focus();
    } else if (key === "z") {
      undoButton.click();
    } else if (/^[1-9]$/.test(key) && name) {
      labelNext("negative", name);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  el.append(root);
  model.on("msg:custom", answered);
  model.on("change:page", drawPage);
  model.on("change:labels", drawLabels);
  drawPage();
  return () => {
    model.off("msg:custom", answered);
    model.off("change:page", drawPage);
    model.off("change:labels", drawLabels);
    calls.forEach(({ timer }) => clearTimeout(timer));
  };
}

export default { render };
