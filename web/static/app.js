// Keyboard labelling and visible failures. Everything works without this file, only slower.
"use strict";

(() => {
  const grid = () => document.querySelector("[data-hunt-grid]");
  const cards = () => Array.from(document.querySelectorAll("[data-candidate]"));
  const verdictKeys = { p: "positive", n: "negative", u: "unsure", s: "skipped", c: "cleared" };
  const moves = { ArrowLeft: "left", h: "left", ArrowRight: "right", l: "right",
                  ArrowUp: "up", k: "up", ArrowDown: "down", j: "down" };
  document.documentElement.classList.add("scripted");
  let cursor = 0;
  let waitingForRound = false;

  // --- the cursor -----------------------------------------------------------------------------

  function point(index, scroll = true) {
    const all = cards();
    if (!all.length) return;
    cursor = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((card, i) => card.classList.toggle("cursor", i === cursor));
    all[cursor].focus({ preventScroll: true });
    if (scroll) all[cursor].scrollIntoView({ block: "nearest" });
  }

  function columns() {
    const all = cards();
    const top = all[0].offsetTop;
    const second = all.findIndex((card) => card.offsetTop !== top);
    return second === -1 ? all.length : second;
  }

  function move(direction) {
    const step = { left: -1, right: 1, up: -columns(), down: columns() }[direction];
    const target = cursor + step;
    if (target >= 0 && target < cards().length) point(target);
  }

  function label(verdict) {
    const card = cards()[cursor];
    if (!card) return;
    card.querySelector(`[data-verdicts] button[value="${verdict}"]`).click();
    if (verdict !== "cleared") point(cursor + 1);
  }

  // --- a named kind of negative ---------------------------------------------------------------------

  function sayNo(kind) {
    const card = cards()[cursor];
    if (!card || !kind) return;
    const form = card.querySelector("[data-verdicts]");
    onItsWay(card);
    htmx.ajax("POST", form.getAttribute("action"), {
      source: form,
      target: form.getAttribute("hx-target"),
      swap: "outerHTML",
      values: { verdict: "negative", negative_class: kind },
    });
    point(cursor + 1);
  }

  function sayNoByKey(digit) {
    const chip = document.querySelector(`[data-negative-class][data-key="${digit}"]`);
    if (chip) sayNo(chip.dataset.negativeClass);
  }

  function openMore(field) {
    const more = cards()[cursor] && cards()[cursor].querySelector("[data-more]");
    if (!more) return;
    more.open = true;
    more.querySelector(`input[name=${field}]`).focus();
  }

  function onItsWay(card) {
    card.classList.remove("failed"); // marked at once: the request may have to wait its turn
    card.classList.add("saving");
  }

  // --- labels on their way ------------------------------------------------------------------------

  const pending = () => document.querySelectorAll("[data-candidate].saving");
  const failed = () => document.querySelectorAll("[data-candidate].failed");

  function nextRound() {
    const button = document.querySelector("[data-next-round]");
    if (!button || button.disabled) return;
    if (failed().length) {
      notify("Some labels were not saved: label the dashed stamps again before the next round.");
    } else if (pending().length) {
      waitingForRound = true;
    } else {
      button.click();
    }
  }

  function settle(card, ok) {
    if (card) {
      card.classList.remove("saving");
      card.classList.toggle("failed", !ok);
    }
    if (waitingForRound && !pending().length) {
      waitingForRound = false;
      nextRound();
    }
  }

  function notify(text) {
    const notice = document.createElement("p");
    notice.className = "notice error";
    notice.setAttribute("role", "alert");
    notice.textContent = text;
    const place = document.getElementById("notices");
    if (place.lastElementChild && place.lastElementChild.textContent === text) return;
    place.append(notice);
  }

  const cardOf = (event) => {
    const source = event.detail.elt;
    return source && source.closest ? source.closest("[data-candidate]") : null;
  };

  document.addEventListener("htmx:afterRequest", (event) => {
    const card = cardOf(event);
    if (card) settle(card, event.detail.successful);
  });

  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      settle(cardOf(event), false);
      notify("The server did not answer: nothing was saved. Check that it is running, then try again.");
    });
  }

  document.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector('meta[name="csrf"]');
    if (token) event.detail.headers["X-CSRF-Token"] = token.content;
  });

  window.addEventListener("beforeunload", (event) => {
    if (pending().length || failed().length) event.preventDefault();
  });

  // --- keys and clicks ------------------------------------------------------------------------------

  function typing(element) {
    if (!element || element === document.body) return false;
    if (element.isContentEditable) return true;
    if (element.tagName === "INPUT") return !["checkbox", "radio", "button", "submit"].includes(element.type);
    return ["TEXTAREA", "SELECT"].includes(element.tagName);
  }

  document.addEventListener("keydown", (event) => {
    if (!grid() || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^Digit[1-9]$/.test(event.code)) {
      if (!event.repeat) sayNoByKey(event.code.slice(-1)); // with shift too: digits need it on some keyboards
    } else if (key === "Enter") {
      if (["A", "BUTTON", "SUMMARY"].includes(event.target.tagName)) return;
      nextRound();
    } else if (event.repeat && !(key in moves)) {
      return;
    } else if (key in moves) {
      move(moves[key]);
    } else if (key in verdictKeys) {
      label(verdictKeys[key]);
    } else if (key === "z") {
      const undo = document.querySelector("[data-undo]");
      if (undo) undo.click();
    } else if (key === "b") {
      document.querySelector("[data-class-field]").focus();
    } else if (key === "w") {
      openMore("text");
    } else if (key === "o") {
      const link = cards()[cursor] && cards()[cursor].querySelector("a.open");
      if (link) link.click();
    } else {
      return;
    }
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const card = event.target.closest("[data-candidate]");
    if (!card) return;
    if (event.target.closest("button[name=verdict]")) onItsWay(card);
    if (event.target.closest("[data-cycle]")) {
      const now = card.querySelector("[data-verdict]").dataset.verdict;
      const next = { "": "positive", positive: "negative", negative: "unsure", unsure: "skipped", skipped: "cleared" }[now];
      card.querySelector(`[data-verdicts] button[value="${next}"]`).click();
    }
    if (!event.target.closest("[data-more]")) point(cards().indexOf(card), false);
  });

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-negative-class]");
    if (chip) sayNo(chip.dataset.negativeClass);
  });

  document.addEventListener("keydown", (event) => {
    const more = event.target.closest ? event.target.closest("[data-more]") : null;
    if (event.target.matches("[data-class-field]") && event.key === "Enter") {
      event.preventDefault();
      sayNo(event.target.value.trim());
      event.target.value = "";
    } else if (event.target.matches("[data-class-field]") && event.key === "Escape") {
      event.target.value = "";
      point(cursor);
    } else if (more && event.key === "Escape") {
      more.open = false;
      point(cards().indexOf(more.closest("[data-candidate]")));
    }
  });

  document.addEventListener("submit", (event) => {
    const card = event.target.closest("[data-candidate]");
    if (card && event.target.matches("[data-says-no]")) onItsWay(card);
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (!event.detail.successful || !form.matches || !form.matches("[data-says-no], [data-writes-note]")) return;
    const more = form.closest("[data-more]");
    form.reset();
    if (!more.contains(document.activeElement)) return;
    more.open = false;
    point(cards().indexOf(more.closest("[data-candidate]")));
  });

  document.addEventListener("focusin", (event) => {
    const card = event.target.closest ? event.target.closest("[data-candidate]") : null;
    if (card && event.target === card) {
      cursor = cards().indexOf(card);
      cards().forEach((other) => other.classList.toggle("cursor", other === card));
    }
  });

  // --- small comforts -----------------------------------------------------------------------------------

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-shows-value]")) {
      document.querySelector(event.target.dataset.showsValue).textContent = Number(event.target.value).toFixed(2);
    }
    if (event.target.matches("[data-tick]")) countTicks();
    if (event.target.matches("[data-rules]")) {
      const meaning = document.getElementById(event.target.getAttribute("aria-describedby"));
      meaning.textContent = event.target.selectedOptions[0].dataset.meaning;
    }
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-with-search]")) return; // an upload goes with what the search form holds by now
    const fields = new FormData(document.getElementById("search"));
    event.target.elements.search.value = new URLSearchParams(fields).toString();
  });

  function countTicks() {
    const bar = document.querySelector("[data-picked]");
    if (!bar) return;
    const ticked = document.querySelectorAll("[data-tick]:checked").length;
    bar.querySelector("[data-picked-count]").textContent = ticked;
    bar.querySelectorAll("[data-needs-ticks]").forEach((button) => { button.disabled = ticked === 0; });
  }

  function begin() {
    countTicks();
    if (!grid()) return;
    document.querySelectorAll("[data-candidate] :is(button, a, summary)").forEach((control) => { control.tabIndex = -1; });
    if (document.activeElement.closest(".side")) return; // a rule was changed: the hands are there
    const first = cards().findIndex((card) => !card.querySelector("[data-verdict]").dataset.verdict);
    const anchor = cards().findIndex((card) => `#${card.id}` === window.location.hash);
    point(anchor >= 0 ? anchor : Math.max(0, first), anchor >= 0);
  }

  document.addEventListener("htmx:historyRestore", begin);
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target && (event.detail.target.id === "results" || event.detail.target.id === "hunt")) begin();
  });
  document.addEventListener("DOMContentLoaded", begin);
})();
