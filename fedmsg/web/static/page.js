// Filter, keys, permalinks, dark and light.

import { show } from "./panels.js";
import { Stream, element, linkTo, rowOf, toggle } from "./stream.js";

const PANELS = ["stream", "topics", "publishers", "consumers", "losses"];
const TYPING_PAUSE = 300;

const byId = (id) => document.getElementById(id);
const field = { topic: byId("topic"), text: byId("text") };
const stream = new Stream((state) => show(state, onTopic), onTopic);
let typing;

// -- filter ------------------------------------------------------------------------------------------

function apply() {
  clearTimeout(typing);
  const filter = { topic: field.topic.value.trim(), text: field.text.value.trim() };
  const place = new URL(location.href);
  for (const [name, value] of Object.entries(filter)) {
    if (value) place.searchParams.set(name, value);
    else place.searchParams.delete(name);
  }
  history.replaceState(null, "", place);
  stream.start(filter);
}

function onTopic(topic) {
  field.topic.value = topic.slice(0, 200);
  panel("stream");
  apply();
}

for (const each of Object.values(field)) {
  each.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, TYPING_PAUSE);
  });
}
byId("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  apply();
});

// -- pause, panels, themes ---------------------------------------------------------------------------

function pause() {
  stream.pause(!stream.paused);
  byId("pause").setAttribute("aria-pressed", String(stream.paused));
  byId("pause").textContent = stream.paused ? "Go on" : "Pause";
}

function panel(name) {
  document.body.dataset.panel = name;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-current", String(button.dataset.show === name));
  }
}

function theme(name) {
  document.documentElement.dataset.theme = name;
}

function otherTheme() {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  theme(name);
  try {
    localStorage.setItem("fedmsg-theme", name);
  } catch {
    // Storage is switched off: it holds for this page only.
  }
}

function storedTheme() {
  try {
    return localStorage.getItem("fedmsg-theme");
  } catch {
    return null;
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const followSystem = () => theme(storedTheme() === null ? (dark.matches ? "dark" : "light")
  : storedTheme() === "dark" ? "dark" : "light");
dark.addEventListener("change", followSystem);
byId("pause").addEventListener("click", pause);
byId("theme").addEventListener("click", otherTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => panel(button.dataset.show));
}

// -- keys --------------------------------------------------------------------------------------------

const current = () => document.activeElement.closest("#stream li");

function move(step) {
  panel("stream");
  const heads = [...document.querySelectorAll("#stream li .head")];
  const row = current();
  const index = row ? heads.indexOf(row.firstChild) + step : 0;
  heads[Math.max(0, Math.min(index, heads.length - 1))]?.focus();
}

function go(name) {
  panel(name);
  byId(name).scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => field.text.focus(),
  t: () => field.topic.focus(),
  p: pause,
  d: otherTheme,
  j: () => move(1),
  k: () => move(-1),
  o: () => current() && toggle(current()),
  l: () => {
    if (current()) location.href = linkTo(current().message.key);
  },
  "?": () => byId("keys").showModal(),
  Escape: () => {
    if (!field.topic.value && !field.text.value) return;
    field.topic.value = field.text.value = "";
    apply();
  },
};
PANELS.forEach((name, index) => { KEYS[index + 1] = () => go(name); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const target = event.target;
  if (target.tagName === "INPUT") {
    if (event.key === "Escape") {
      // By itself it would clear the field.
      event.preventDefault();
      target.blur();
    }
    return;
  }
  if (target.className === "head" && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    toggle(target.parentElement);
    return;
  }
  if (Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// -- permalinks --------------------------------------------------------------------------------------

async function showLinked(key) {
  byId("linked").hidden = false;
  const list = byId("linked-messages");
  let found = [];
  try {
    const answer = await fetch(`messages/${encodeURIComponent(key)}`);
    found = answer.ok ? await answer.json() : [];
  } catch {
    list.replaceChildren(element("p", "more", "The server does not answer."));
    return;
  }
  const rows = found.map((message) => rowOf(message, onTopic));
  rows.forEach((row) => toggle(row, true));
  list.replaceChildren(...rows);
  if (!rows.length) {
    const text = `No message with the id ${key} is kept here; only the latest ones are.`;
    const row = element("li");
    row.append(element("p", "words", text));
    list.append(row);
  }
}

const asked = new URLSearchParams(location.search);
for (const [name, each] of Object.entries(field)) each.value = (asked.get(name) ?? "").slice(0, 200);
followSystem();
panel("stream");
if (asked.get("message")) showLinked(asked.get("message"));
stream.start({ topic: field.topic.value.trim(), text: field.text.value.trim() });
