// The messages: from the server's events to rows.  Text of a message is set as text, never as markup.

const MOST_ROWS = 300;
const MOST_WAITING = 300;
const RATE_SECONDS = 5;

/** Return an element with a class and a text. */
export function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== "") made.textContent = text;
  return made;
}

/** Return an element with a topic, which is broken behind its dots where it has to be. */
export function topicElement(tag, name, topic) {
  const made = element(tag, name);
  topic.split(".").forEach((part, index) => {
    if (index) made.append(".", document.createElement("wbr"));
    made.append(part);
  });
  return made;
}

export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

const byId = (id) => document.getElementById(id);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
const moment = (seconds) => {
  const found = new Date(seconds * 1000);
  return Number.isNaN(found.getTime()) ? "–" : found.toISOString().replace("T", " ").slice(0, 19) + " UTC";
};

function verdictOf(message) {
  if (message.valid) return ["valid", "✓ valid"];
  if (message.reason === "unsigned") return ["", "unsigned"];
  return ["bad", `✗ ${message.reason}`];
}

export const linkTo = (key) => `?message=${encodeURIComponent(key)}`;

function detailsOf(message, onTopic) {
  const body = element("div", "body");
  const list = element("dl");
  const fields = [
    ["topic", message.topic],
    ["signature", message.valid ? `valid, signed by ${message.signer}` : `not valid: ${message.reason}`],
    ["signer", message.valid ? "" : message.signer],
    ["sent", message.sent === null ? "it does not say" : moment(message.sent)],
    ["received", moment(message.at)],
    ["user", message.user],
    ["heard on", message.name],
    ["left out", message.cut ? `parts are cut: the whole has ${number(message.size)} characters` : ""],
  ];
  for (const [name, value] of fields) {
    if (value) list.append(element("dt", "", name), element("dd", "", value));
  }
  const links = element("p", "links");
  const link = element("a", "permalink", "permalink");
  link.href = linkTo(message.key);
  const topic = element("button", "", "only this topic");
  topic.addEventListener("click", () => onTopic(message.topic));
  links.append(link, topic);
  body.append(list, element("pre", "", message.json), links);
  return body;
}

/** Open or close a row. */
export function toggle(row, open = row.lastChild.className !== "body") {
  const head = row.firstChild;
  head.setAttribute("aria-expanded", String(open));
  if (open && row.lastChild === head) row.append(detailsOf(row.message, row.onTopic));
  if (!open && row.lastChild !== head) row.lastChild.remove();
}

/** Return a row for a message. */
export function rowOf(message, onTopic) {
  const row = element("li");
  const head = element("div", "head");
  head.tabIndex = 0;
  head.setAttribute("role", "button");
  head.setAttribute("aria-expanded", "false");
  const [kind, verdict] = verdictOf(message);
  head.append(
    element("span", "time", clock(message.at)),
    topicElement("span", "topic", message.topic),
    element("span", `verdict ${kind}`, verdict),
    element("span", message.words ? "words" : "words plain", message.words || message.summary || "–"),
  );
  head.addEventListener("click", () => toggle(row));
  row.message = message;
  row.onTopic = onTopic;
  row.append(head);
  return row;
}

/** The stream of the messages that a filter lets through. */
export class Stream {
  constructor(onState, onTopic) {
    this.onState = onState;
    this.onTopic = onTopic;
    this.paused = false;
    this.waiting = [];
    this.lostWaiting = 0;
    this.history = [];
    this.rate = 0;
    this.most = 0;
    this.source = null;
  }

  /** Begin anew with a filter. */
  start(filter) {
    if (this.source) this.source.close();
    clearTimeout(this.again);
    this.filter = filter;
    this.history = [];
    this.waiting = [];
    this.lostWaiting = 0;
    byId("messages").replaceChildren();
    byId("nothing").hidden = false;
    byId("nothing").textContent = filter.topic || filter.text ? "No message fits the filter yet." : "No message yet.";
    this.open(`events?${new URLSearchParams(filter)}`);
  }

  open(url) {
    const source = new EventSource(url);
    this.source = source;
    this.say("waiting", "connecting");
    source.addEventListener("open", () => this.tell());
    source.addEventListener("messages", (event) => this.received(JSON.parse(event.data)));
    source.addEventListener("state", (event) => {
      const state = JSON.parse(event.data);
      this.rate = state.rate;
      this.most = state.most;
      this.notice();
      this.onState(state);
    });
    source.addEventListener("error", () => {
      this.say("lost", "connection lost, trying again");
      this.history = [];
      if (source.readyState === EventSource.CLOSED) {
        // Refused: a browser does not try again by itself then.
        this.again = setTimeout(() => this.start(this.filter), 5000);
      }
    });
  }

  say(state, text) {
    const status = byId("status");
    if (status.dataset.state === state && status.textContent === text) return;
    status.dataset.state = state;
    status.textContent = text;
  }

  tell() {
    if (this.paused) this.say("paused", `paused, ${number(this.waiting.length + this.lostWaiting)} new`);
    else this.say("live", "live");
  }

  received({ messages, matched, sent, skipped }) {
    const now = performance.now() / 1000;
    this.history.push({ now, matched, sent });
    while (this.history.length > 2 && this.history[1].now < now - RATE_SECONDS) this.history.shift();
    this.skipped = skipped;
    if (this.paused) {
      this.waiting.push(...messages);
      const over = this.waiting.length - MOST_WAITING;
      if (over > 0) {
        this.waiting.splice(0, over);
        this.lostWaiting += over;
      }
    } else {
      this.show(messages);
    }
    this.tell();
  }

  show(messages) {
    const list = byId("messages");
    if (!messages.length) return;
    byId("nothing").hidden = true;
    const rows = messages.slice(-MOST_ROWS).map((message) => rowOf(message, this.onTopic));
    list.prepend(...rows.reverse());
    for (let row = list.lastChild; list.childElementCount > MOST_ROWS && row; ) {
      const before = row.previousSibling;
      // The one that somebody reads stays.
      if (!row.contains(document.activeElement)) row.remove();
      row = before;
    }
  }

  /** Pause, or show what has waited. */
  pause(paused) {
    this.paused = paused;
    if (!paused) {
      this.show(this.waiting);
      this.waiting = [];
      this.lostWaiting = 0;
    }
    this.tell();
  }

  /** Say what is not shown, and why. */
  notice() {
    const parts = [];
    const first = this.history[0];
    const last = this.history[this.history.length - 1];
    if (first && last.now - first.now > 0.5) {
      const left = (last.matched - first.matched - (last.sent - first.sent)) / (last.now - first.now);
      if (left >= 1 && performance.now() / 1000 - last.now < RATE_SECONDS) {
        parts.push(
          `A sample: ${number(Math.round(left))} messages a second are left out, because this page shows at most` +
          ` ${number(this.most)} a second. A narrower filter shows more of what it lets through.`);
      }
    }
    if (this.skipped) {
      parts.push(`${number(this.skipped)} messages were skipped, because this browser took them too slowly.`);
    }
    if (this.lostWaiting) {
      parts.push(`While paused, only the latest ${number(MOST_WAITING)} messages are kept.`);
    }
    const notice = byId("notice");
    const text = parts.join(" ");
    notice.hidden = !text;
    if (notice.textContent !== text) notice.textContent = text;
  }
}
