"use strict";
// The watcher's console. Everything shown is set as text, never as markup; nothing is stored, and nothing but the watcher is asked.
const EVERY_MS = 5000;
const get = id => document.getElementById(id);
const SHOWN = { "": "all", attention: "to look at", mismatch: "mismatch", "miner-like": "like a miner", anomalous: "anomalous", disagrees: "disagrees",
  decided: "identified", unknown: "unknown", waiting: "waiting", "not started": "not started" };
const percent = value => `${Math.round(100 * value)} %`;
const time = text => text ? text.replace("T", " ").replace("+00:00", "").replace(/\.\d+$/, "") : "";

function add(parent, kind, text, attributes = {}) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

// Writes only what changed, so that a reader's place, selection and screen reader are left alone.
function say(element, text, kind = "") {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== kind) element.className = kind;
}

const written = new Map();
function unchanged(element, content) {
  const text = JSON.stringify(content);
  if (written.get(element) === text) return true;
  written.set(element, text);
  return false;
}

function list(element, pairs) {
  if (unchanged(element, pairs)) return;
  element.textContent = "";
  for (const [name, value, kind] of pairs) {
    const box = element.id === "facts" ? add(element, "div") : element;
    add(box, "dt", name);
    add(box, "dd", value, { class: kind });
  }
}

function fill(body, rows) {
  if (unchanged(body, rows)) return;
  const focus = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const labels = [...body.parentElement.querySelectorAll("th")].map(cell => cell.textContent);
  body.textContent = "";
  for (const row of rows) {
    const line = add(body, "tr");
    row.forEach((value, place) => {
      const { text, href, kind } = typeof value === "object" && value ? value : { text: value };
      const cell = add(line, "td", href ? undefined : text ?? "", { "data-label": labels[place], class: kind });
      if (href && add(cell, "a", text, { href }) && href === focus) cell.firstChild.focus();
    });
  }
}

function bars(element, items) {
  if (unchanged(element, items)) return;
  element.textContent = "";
  for (const { name, share, text, against } of items) {
    const line = add(element, "li");
    add(line, "span", name);
    add(add(line, "span"), "i", undefined, { class: against ? "against" : "" }).style.width = `${100 * Math.min(1, Math.abs(share))}%`;
    add(line, "span", text);
  }
}

const stateOf = each => SHOWN[each.state] + (each.running || each.state === "not started" ? "" : ", ended");

function rowOf(each) {
  const state = stateOf(each), flags = each.flags.length ? { text: each.flags.join(", "), kind: "bad" } : state;
  const named = each.state === "not started" ? each.pod : { text: each.pod, href: `#container/${encodeURIComponent(each.pod_uid)}/${encodeURIComponent(each.container)}` };
  const service = each.state === "waiting" || each.state === "not started" ? "" : each.service ?? (each.reason === "unseen" ? "unknown: no metrics" : "unknown");
  return [each.namespace, named, each.container, flags, each.state === "not started" ? each.reason : service,
    each.confidence === undefined ? "" : percent(each.confidence), each.claim, (each.similar || []).map(pair => pair[0]).join(", "),
    each.waited_s === undefined ? "" : `${Math.round(each.waited_s)} s`, time(each.decided_at)];
}

function workloadRow(each) {
  const more = each.disagreeing - each.named.length;
  const others = each.named.map(pod => `${pod.pod} (${pod.service})`).join(", ") + (more > 0 ? `, ${more} more` : "");
  const reasons = [each.verdict === "mismatch" ? "mismatch" : "", each.behaviour ?? ""].filter(text => text);
  const why = reasons.length ? { text: reasons.join("; "), kind: "bad" } : "replicas disagree";
  return [each.namespace, each.workload, each.container, why, each.claim, each.service ?? "unknown", percent(each.confidence), each.replicas, others, time(each.mismatch_since ?? each.miner_since)];
}

const counted = counts => Object.entries(counts).map(([name, count]) => `${count} ${SHOWN[name] ?? name}`).join(", ");

function showOverview(found) {
  const bad = found.reasons.length > 0;
  say(get("state"), bad ? found.reasons.join("; ") : "ok", bad ? "bad" : "good");
  say(get("now"), `as of ${time(found.now)} UTC`);
  list(get("facts"), [
    ["announces", found.leading ? "yes" : "no, another watcher does"],
    ["model", found.model],
    ["refused model", found.model_refused ?? "none", found.model_refused ? "bad" : ""],
    ["metrics", found.source_trouble ?? "arriving", found.source_trouble ? "bad" : ""],
    ["containers", counted(found.containers_by_state)],
    ["workloads", counted(found.workloads_by_state)],
    ["claims", found.claims ? counted(found.claims) : "not checked", found.claims?.mismatch ? "bad" : ""],
    ["anomalies", found.anomalous === null ? "not looked for" : `in ${found.anomalous} container${found.anomalous === 1 ? "" : "s"}`, found.anomalous ? "bad" : ""],
  ]);
  get("workloads-part").hidden = !found.workloads.length;
  fill(get("workloads"), found.workloads.map(workloadRow));
  fill(get("containers"), found.containers.map(rowOf));
  say(get("shown"), `${found.containers.length} of ${found.matching} that match, ${found.all} in all; what to look at comes first, then the newest decisions.`);
  const names = get("namespace");
  if (document.activeElement !== names && !unchanged(names, found.namespaces)) {
    const chosen = names.value;
    names.textContent = "";
    add(names, "option", "all", { value: "" }).value = "";
    for (const name of found.namespaces) add(names, "option", name).value = name;
    names.value = found.namespaces.includes(chosen) ? chosen : "";
  }
}

const STEPS = { bytes: ["B", "kB", "MB", "GB", "TB"], cores: ["millicores", "cores"], 1: ["", "thousand", "million", "thousand million"] };
function amount(value, unit, rate) {
  const steps = STEPS[unit] || STEPS[1];
  if (unit === "cores") value *= 1000;
  let place = 0;
  while (Math.abs(value) >= 1000 && place < steps.length - 1) { value /= 1000; place += 1; }
  return `${Number(value.toPrecision(3))} ${steps[place]}`.trim() + (rate && unit !== "cores" ? "/s" : "");
}

function chart(parent, each) {
  const points = each.points.filter(point => point[1] !== null), values = points.map(point => point[1]);
  const low = Math.min(...values), high = Math.max(...values), first = points[0][0], last = points.at(-1)[0];
  const write = value => amount(value, each.unit, each.rate);
  const text = `${write(values.at(-1))}; ${low === high ? "constant" : `${write(low)} to ${write(high)}`}`;
  const figure = add(parent, "figure"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  add(figure, "figcaption", `${each.words}: ${text}`);
  svg.setAttribute("viewBox", "0 0 300 60");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const x = at => 300 * (at - first) / Math.max(last - first, 1), y = value => high === low ? 30 : 57 - 54 * (value - low) / (high - low);
  let run = [];
  const draw = () => {
    if (!run.length) return;
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", run.join(" "));
    svg.append(line);
    run = [];
  };
  for (const [at, value] of each.points) value === null ? draw() : run.push(`${x(at).toFixed(1)},${y(value).toFixed(1)}`);
  draw();
  figure.append(svg);
}

function showDetail(each) {
  const why = each.flags.join(", ");
  say(get("detail-title"), `${each.namespace}/${each.pod}, ${each.container}`);
  say(get("detail-message"), why ? `To look at: ${why}.` : "", why ? "bad" : "");
  const workload = each.workload_verdict;
  list(get("detail-facts"), [
    ["state", stateOf(each)],
    ["service", each.service ?? "unknown"],
    ["confidence", each.confidence === undefined ? "" : percent(each.confidence)],
    ["novelty (0 to 1)", each.novelty === undefined ? "" : each.novelty.toPrecision(3)],
    ["most similar", (each.similar || []).map(([name, value]) => `${name} (${value.toPrecision(2)})`).join(", ")],
    ["claims to be", each.claim ?? "nothing that the model knows"],
    ["p-value of the claim", each.claim_p_value === null ? "cannot be told" : each.claim_p_value.toPrecision(2)],
    ["workload", workload ? `${workload.workload}: ${workload.verdict}, ${workload.state}; replicas: ${workload.replicas}` : ""],
    ["anomaly", each.anomaly ? `since ${time(each.anomaly.since)} UTC, score ${each.anomaly.score.toPrecision(3)}` : each.watched === "off" ? "not looked for" : each.watched],
    ["what it does", each.behaviour ?? ""], ["miner score", each.miner_score?.toPrecision(2) ?? ""],
    ["node", each.node], ["started (UTC)", time(each.started_at)], ["decided (UTC)", time(each.decided_at)],
    ["decided after", each.waited_s === undefined ? "" : `${Math.round(each.waited_s)} s, on ${Math.round(each.seconds_observed ?? 0)} s of samples`],
    ["revised", each.revisions === undefined ? "" : `${each.revisions} times`], ["model", each.model ?? ""],
  ].filter(pair => pair[1] !== ""));
  bars(get("candidates"), Object.entries(each.candidates || {}).map(([name, share]) => ({ name, share, text: percent(share) })));
  const words = Object.fromEntries(each.series.map(one => [one.metric, one.words]));
  const evidence = each.evidence, most = evidence ? Math.max(...evidence.metrics.map(own => Math.abs(own.share)), 1e-9) : 1;
  say(get("evidence-words"), evidence
    ? `What in the samples below speaks for ${evidence.for}, and what for ${evidence.against} (red), as shares of the evidence.`
    : each.series.length ? "The model gives none." : "It is computed once samples are here.");
  bars(get("evidence"), evidence ? evidence.metrics.slice(0, 12).map(own => ({ name: words[own.metric] ?? own.metric, share: own.share / most, against: own.share < 0,
    text: `${percent(Math.abs(own.share))} for ${own.share < 0 ? evidence.against : evidence.for}` })) : []);
  say(get("series-words"), each.series.length ? `${each.samples} samples, from ${time(each.first_sample)} to ${time(each.last_sample)} UTC.`
    : "None here yet: those of a container that somebody looks at come with the next round.");
  if (unchanged(get("series"), each.series)) return;
  get("series").textContent = "";
  for (const one of each.series) chart(get("series"), one);
}

let paused = false, timer = 0, asked = 0;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(20000) });
  if (!answer.ok) throw new Error(answer.status === 404 ? "it is gone" : `the watcher answers ${answer.status}`);
  return answer.json();
}

async function refresh() {
  clearTimeout(timer);
  const turn = ++asked, chosen = new URLSearchParams({ search: get("search").value, show: get("show").value, namespace: get("namespace").value });
  let wait = EVERY_MS;
  try {
    const found = await ask(`overview?${chosen}`);
    if (turn !== asked) return;  // a newer question was asked meanwhile
    showOverview(found);
  } catch (error) {
    if (turn !== asked) return;
    say(get("state"), `no answer from the watcher, trying again: ${error.message}`, "bad");
    wait *= 3;
  }
  await refreshDetail();
  if (turn === asked && !paused && !document.hidden) timer = setTimeout(refresh, wait);
}

async function refreshDetail() {
  const [, uid, container] = location.hash.match(/^#container\/([^/]+)\/([^/]+)$/) || [];
  const dialog = get("detail");
  if (!uid) { if (dialog.open) dialog.close(); return; }
  if (dialog.dataset.shown !== location.hash) {  // nothing of another container stays
    dialog.dataset.shown = location.hash;
    for (const id of ["detail-title", "evidence-words", "series-words"]) say(get(id), id === "detail-title" ? decodeURIComponent(container) : "");
    for (const id of ["detail-facts", "candidates", "evidence", "series"]) { get(id).textContent = ""; written.delete(get(id)); }
  }
  let found = null, error = "";
  try { found = await ask(`containers/${uid}/${container}`); } catch (failure) { error = `No answer on this container: ${failure.message}.`; }
  if (location.hash !== `#container/${uid}/${container}`) return;  // closed meanwhile, or another one is open
  if (found) showDetail(found); else say(get("detail-message"), error, "bad");
  if (!dialog.open) dialog.showModal();
}

for (const [value, text] of Object.entries(SHOWN)) add(get("show"), "option", text).value = value;
get("filters").addEventListener("submit", event => event.preventDefault());
get("filters").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(refresh, 250); });
get("pause").addEventListener("click", () => {
  paused = !paused;
  get("pause").setAttribute("aria-pressed", paused);
  say(get("pause"), paused ? "Go on" : "Pause");
  if (!paused) refresh();
});
get("detail").addEventListener("close", () => { if (location.hash) history.pushState(null, "", location.pathname); });
window.addEventListener("hashchange", refreshDetail);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) refresh(); });
refresh();
