"use strict";
const add = (parent, kind, text, given = {}) => {
  const made = Object.assign(document.createElement(kind), { textContent: text }, given);
  parent.append(made);
  return made;
};
const number = text => { const found = text.replaceAll(",", "").match(/^[^\w.-]*(-?\d+(\.\d+)?)/); return found ? +found[1] : NaN; };

// Tables: sort by a click on a heading, search where there are many rows, and one block a row where the page is narrow.
for (const table of document.querySelectorAll("table")) {
  const head = [...table.tHead?.rows ?? []], body = table.tBodies[0];
  if (head.length !== 1 || !body?.rows.length) continue;
  const names = [...head[0].cells].map(cell => cell.textContent.trim()), rows = [...body.rows];
  if (rows.some(row => row.cells.length !== names.length)) continue;
  if (names.length > 3) table.classList.add(names.length > 10 ? "wide" : "labelled");
  for (const row of rows) [...row.cells].forEach((cell, place) => { cell.dataset.label = names[place]; });
  if (rows.length < 2) continue;
  const sort = place => {
    const down = head[0].cells[place].ariaSort === "ascending", text = row => row.cells[place].textContent.trim();
    const numeric = rows.every(row => /^[–-]?$/.test(text(row)) || !isNaN(number(text(row))));
    const last = row => numeric && isNaN(number(text(row)));
    rows.sort((a, b) => last(a) - last(b) || (down ? -1 : 1) *
      (numeric && number(text(a)) - number(text(b)) || text(a).localeCompare(text(b), "en", { numeric: true })));
    [...head[0].cells].forEach(cell => cell.removeAttribute("aria-sort"));
    head[0].cells[place].ariaSort = down ? "descending" : "ascending";
    body.append(...rows);
  };
  [...head[0].cells].forEach((cell, place) => {
    if (!names[place]) return;
    const content = [...cell.childNodes];
    add(cell, "button", "", { type: "button", title: "sort", onclick: () => sort(place) }).append(...content);
  });
  if (rows.length < 10) continue;
  const form = add(document.createElement("div"), "p", "", { className: "search" });
  const words = add(form, "input", "", { type: "search", placeholder: "search", ariaLabel: `search in: ${table.caption?.textContent ?? "table"}` });
  const by = add(form, "select", "", { ariaLabel: "sort by", onchange: () => sort(by.selectedIndex) });
  names.forEach(name => add(by, "option", name));
  const count = add(form, "span", "", { role: "status" });
  words.oninput = () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    rows.forEach(row => { row.hidden = !wanted.every(word => row.textContent.toLowerCase().includes(word)); });
    count.textContent = words.value ? `${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : "";
  };
  table.closest(".table").before(form);
}

// Figures: as large as one wants.
const dialog = add(document.body, "dialog", "", { ariaLabel: "Figure, enlarged" });
const bar = add(dialog, "p", ""), view = add(dialog, "div", "", { tabIndex: 0 });
let shown, scale;
const zoom = by => { scale = Math.min(Math.max(scale * by, 0.2), 12); shown.style.width = `${shown.naturalWidth * scale}px`; };
for (const [text, name, act] of [["−", "smaller", () => zoom(1 / 1.5)], ["+", "larger", () => zoom(1.5)], ["×", "close", () => dialog.close()]])
  add(bar, "button", text, { type: "button", ariaLabel: name, onclick: act });
view.onwheel = event => { if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); } };
for (const figure of document.querySelectorAll("figure")) {
  const image = figure.querySelector("img"), caption = figure.querySelector("figcaption") ?? add(figure, "figcaption", "");
  // On a phone as narrow as can be read; the rest is scrolled to.
  const fit = () => image.style.setProperty("--least", `${0.5 * image.naturalWidth}px`);
  if (image.complete) fit(); else image.onload = fit;
  image.onclick = () => {
    view.replaceChildren(shown = image.cloneNode());
    scale = Math.max(1, 0.95 * innerWidth / image.naturalWidth);
    dialog.showModal();
    zoom(1);
  };
  add(caption, "button", "Zoom", { type: "button", ariaLabel: `Zoom: ${image.alt}`, onclick: image.onclick });
}

// Code is folded; one button opens all of it. On paper all but code is open.
const code = document.querySelectorAll("details.code");
if (code.length) {
  const button = document.createElement("button");
  document.querySelector("main").prepend(button);
  Object.assign(button, { type: "button", className: "all-code", textContent: "Show all code", onclick: () => {
    const open = button.textContent === "Show all code";
    code.forEach(each => { each.open = open; });
    button.textContent = open ? "Hide all code" : "Show all code";
  } });
}
// Whatever may be wider than the page can be scrolled by keys.
document.querySelectorAll("pre").forEach(each => { each.tabIndex = 0; });
addEventListener("beforeprint", () => document.querySelectorAll("details:not(.code)").forEach(each => { each.open = true; }));
// A link into something folded opens it.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.closest("details");
  if (folded) { folded.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
