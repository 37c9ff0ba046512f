// Chart and tables beside the stream, made anew with every state.

import { element, number, topicElement } from "./stream.js";

const WIDTH = 600;
const HEIGHT = 160;
const OTHER = 7;

const byId = (id) => document.getElementById(id);

function ago(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const perSecond = (value) => (value >= 10 || value === 0 ? number(Math.round(value)) : value.toPrecision(2));

/** Replace the rows of a table; a cell is a text, a node, or [class, text]. */
function fill(id, rows, nothing = "") {
  const body = byId(id);
  const focused = body.contains(document.activeElement) ? document.activeElement.textContent : null;
  const made = rows.map((cells) => {
    const row = element("tr");
    for (const cell of cells) {
      const isNode = cell instanceof Node;
      const made = isNode ? element("td") : Array.isArray(cell) ? element("td", ...cell) : element("td", "", cell);
      if (isNode) made.append(cell);
      row.append(made);
    }
    return row;
  });
  body.replaceChildren(...made);
  body.parentElement.hidden = !rows.length && !nothing;
  if (!rows.length && nothing) body.append(element("tr"));
  if (focused !== null) {
    [...body.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
  }
}

function drawChart(chart) {
  const series = [...chart.series.map((each) => each.counts), chart.rest];
  // The last part of the window is not over yet.
  const length = chart.rest.length - 1;
  const sums = Array(length).fill(0);
  const paths = [];
  const totals = Array.from({ length }, (_, n) => series.reduce((sum, counts) => sum + counts[n], 0));
  const most = Math.max(1, ...totals);
  const step = WIDTH / 59;
  const x = (n) => WIDTH - (length - n) * step;
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 8);
  series.forEach((counts, index) => {
    const below = sums.map((sum, n) => [n, y(sum)]).reverse();
    for (let n = 0; n < length; n += 1) sums[n] += counts[n];
    if (!length || !counts.slice(0, length).some(Boolean)) return;
    const points = [
      ...sums.flatMap((sum, n) => [[x(n), y(sum)], [x(n + 1), y(sum)]]),
      ...below.flatMap(([n, bottom]) => [[x(n + 1), bottom], [x(n), bottom]]),
    ];
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", `s${index === series.length - 1 ? OTHER : index}`);
    path.setAttribute("d", `M${points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join("L")}Z`);
    paths.push(path);
  });
  byId("chart").replaceChildren(...paths);
  const span = chart.width * 60;
  byId("chart-from").textContent = `${ago(span)} ago`;
  byId("chart-most").textContent = length
    ? `peak ${perSecond(most / chart.width)} messages/s`
    : `the first ${ago(chart.width)} are not over yet`;
  byId("topics-window").textContent = `last ${ago(span)}`;
}

function topics(chart, onTopic) {
  drawChart(chart);
  fill("topic-rows", chart.topics.map(({ topic, count }, index) => {
    const swatch = element("span", `swatch s${Math.min(index, OTHER)}`);
    const button = topicElement("button", "", topic);
    button.title = "show only this topic";
    button.addEventListener("click", () => onTopic(topic));
    return [swatch, button, ["n", number(count)]];
  }));
  const more = [];
  if (chart.unlisted) more.push(`${number(chart.unlisted)} more topics.`);
  if (chart.not_told_apart) {
    more.push(`${number(chart.not_told_apart)} messages on topics that were too many to tell apart.`);
  }
  byId("topics-more").textContent = chart.topics.length ? more.join(" ") : "No message yet.";
}

/** Return a text above smaller ones. */
function lines(text, ...smaller) {
  const made = element("span", "", text);
  made.append(...smaller.map((small) => element("small", "", small)));
  return made;
}

function publishers(state) {
  // In the order of their names: the latest one changes with every message.
  const nameOf = ({ service, user, name }) => `${service} ${user} ${name}`;
  const sorted = [...state.publishers].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  fill("publisher-rows", sorted.map((each) => [
    lines(each.service, each.name), each.user || "–",
    ["n", number(each.count)], ["n", ago(each.age)],
  ]));
  const text = state.publishers.length >= 100 ? "The latest 100. " : "";
  const forgotten = state.publishers_forgotten;
  byId("publishers-more").textContent = !state.publishers.length ? "Nobody has sent anything yet."
    : text + (forgotten ? `${number(forgotten)} were forgotten, because there were too many.` : "");
}

function consumers(state) {
  fill("consumer-rows", state.consumers.map((each) => {
    const name = lines(each.name, each.module, each.address);
    if (!each.initialized) name.append(element("small", "", "it could not be started"));
    return [name, ["n", number(each.backlog)],
      [each.errors ? "n alarm" : "n", number(each.errors)],
      [each.dropped ? "n alarm" : "n", number(each.dropped)]];
  }));
  const silent = state.monitored.filter((each) => each.age === null || each.age > 15);
  byId("consumers-more").textContent = !state.monitored.length
    ? "No monitoring socket is configured (web_monitoring)."
    : silent.map(({ address, age }) => (age === null ? `Nothing from ${address} yet.`
      : `Nothing from ${address} for ${ago(age)}.`)).join(" ");
}

function losses(state) {
  const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
  const by = (counts, label) => Object.entries(counts).sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => [label + reason, ["n", number(count)]]);
  const { valid = 0, ...bad } = state.verdicts;
  fill("loss-rows", [
    ["received", ["n", number(state.received)]],
    ...by(state.rejected, "dropped: "),
    ["left out of the sample, not checked", ["n", number(state.unsampled)]],
    ["no room before the check", ["n", number(state.overrun)]],
    ["skipped by slow browsers", ["n", number(state.skipped)]],
    ["signatures checked", ["n", number(valid + sum(bad))]],
    ["valid", ["n", number(valid)]],
    ...by(bad, "not valid: "),
  ]);
  fill("gap-rows", state.gaps.map((each) => [
    each.name, ["n", each.last < 0 ? "–" : number(each.last)],
    [each.missing ? "n alarm" : "n", number(each.missing)],
    ["n", number(each.duplicates)], ["n", number(each.restarts)],
  ]));
  byId("gaps-more").textContent = state.gaps.length ? ""
    : "Gaps are shown for the publishers in replay_endpoints.";
}

/** Show a state. */
export function show(state, onTopic) {
  byId("rate").textContent = `${number(Math.round(state.rate))} messages/s, ${number(state.received)} in ${ago(state.up)}`;
  topics(state.chart, onTopic);
  publishers(state);
  consumers(state);
  losses(state);
}
