// The list of incidents: rows that change by themselves, selecting many, and working it by keyboard.
// A row is exchanged on its own, so that scroll, selection and focus stay where they are.

const form = document.getElementById("incident-list");
const list = document.getElementById("incident-rows");
const empty = document.getElementById("incident-empty");
const note = document.getElementById("list-note");
const older = document.getElementById("older");
const search = document.getElementById("search");
const selectAll = document.getElementById("select-all");

// Rows

const current = () => list.querySelector("[data-current]");
let version = form.dataset.version;

function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function exchange(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  fresh.querySelector("input").checked = old.querySelector("input").checked;
  if (old.dataset.current !== undefined) fresh.dataset.current = "";
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// What is at the top of the window stays there when something is put in above it.
function keepingPlace(change) {
  const anchor = [...list.children].find((row) => row.getBoundingClientRect().bottom > 0);
  const before = anchor?.getBoundingClientRect().top;
  const atTop = window.scrollY < 8;
  change();
  if (!atTop && anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
}

// What is ticked and has only been pushed off the page by newer ones stays below them: it has not gone anywhere.
function isKept(row, message) {
  const last = Number(message.order.at(-1));
  return message.next && Number(row.dataset.id) < last && row.querySelector("input").checked;
}

function showOlder(next) {
  const query = new URLSearchParams(form.dataset.query);
  query.set("before", next);
  older.search = query;
  older.hidden = !next;
  older.parentElement.hidden = !next && !form.dataset.before;
}

// {version, order: [id], rows: {id: html}, next: cursor}: rows has what changed, the cursor is of the following page.
// False if a row is missing that was not sent.
function show(message) {
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const order = message.order.map(String);
  if (order.some((id) => !known.has(id) && !(id in message.rows))) return false;
  const fresh = order.filter((id) => !known.has(id)).length;
  const place = [...list.children].indexOf(current());
  const focused = list.contains(document.activeElement);
  keepingPlace(() => {
    for (const [id, row] of known) if (!order.includes(id) && !isKept(row, message)) row.remove();
    order.forEach((id, index) => {
      const old = known.get(id);
      let row = old;
      if (id in message.rows) {
        row = element(message.rows[id]);
        if (old) exchange(old, row);
        else row.dataset.fresh = "";
      }
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    list.hidden = order.length === 0;
    empty.hidden = order.length > 0;
    // Whoever stood on a row that has gone stands on the one that took its place.
    const next = list.children[Math.min(place, order.length - 1)];
    if (place >= 0 && !current() && next) {
      next.dataset.current = "";
      if (focused) next.querySelector(".row-link").focus({ preventScroll: true });
    }
  });
  version = message.version;
  showOlder(message.next);
  countSelected();
  if (fresh) note.textContent = `${fresh} new in the list.`;
  document.dispatchEvent(new Event("htmx:afterSettle"));
  return true;
}

// Live: a stream while the page is looked at, and asking now and then where there is no stream.

const POLL_MS = 2000;
const SLOW_POLL_MS = 10000;
const SESSION_MS = 20000;
let stream = null;
let timer = 0;

function address(path) {
  const query = new URLSearchParams(form.dataset.query);
  query.set("version", version);
  if (form.dataset.before) query.set("before", form.dataset.before);
  return `${path}?${query}`;
}

async function poll() {
  clearTimeout(timer);
  try {
    const response = await fetch(address(form.dataset.rows), { headers: { Accept: "application/json" } });
    if (response.redirected) return location.reload(); // signed out meanwhile
    if (response.status === 200) show(await response.json());
    document.getElementById("connection").hidden = response.status < 500;
  } catch {
    document.getElementById("connection").hidden = false;
  }
  if (form.dataset.stream && !stream && !document.hidden) timer = setTimeout(poll, POLL_MS + Math.random() * 500);
}

function follow() {
  if (stream || document.hidden) return;
  clearTimeout(timer);
  stream = new EventSource(address(form.dataset.stream));
  stream.addEventListener("open", () => { document.getElementById("connection").hidden = true; });
  stream.addEventListener("rows", (event) => {
    if (!show(JSON.parse(event.data))) { version = ""; poll(); }
  });
  stream.addEventListener("error", () => {
    // Refused, or ended after its time: ask at once, then try for a stream again.
    stop();
    version = version || "";
    poll();
    setTimeout(follow, SLOW_POLL_MS / 4 + Math.random() * SLOW_POLL_MS / 4);
  });
}

function stop() {
  stream?.close();
  stream = null;
}

// All of it, as a row that was kept below the others may be what has changed.
document.addEventListener("incidents-changed", () => { version = ""; poll(); });

if (form.dataset.stream) {
  // A tab that nobody looks at keeps no connection: browsers have six for a whole host.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : follow()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  // Without a network a stream looks alive for long.
  window.addEventListener("offline", () => { stop(); document.getElementById("connection").hidden = false; });
  window.addEventListener("online", () => { poll(); follow(); });
  // A stream does not notice that the session has ended.
  setInterval(() => { if (stream && !document.hidden) poll(); }, SESSION_MS);
  follow();
}

// A page that is opened from here knows the list: its neighbours, and the way back.
for (const name of ["click", "auxclick", "contextmenu"]) {
  list.addEventListener(name, (event) => {
    const link = event.target.closest(".row-link");
    if (link && form.dataset.query) link.search = new URLSearchParams({ in: form.dataset.query });
  }, { capture: true });
}

// Selecting

const boxes = () => [...list.querySelectorAll('input[name="ids"]')];

function countSelected() {
  const all = boxes();
  const count = all.filter((box) => box.checked).length;
  form.toggleAttribute("data-selecting", count > 0);
  if (!selectAll) return;
  document.getElementById("selected-count").textContent = count;
  selectAll.checked = count > 0 && count === all.length;
  selectAll.indeterminate = count > 0 && count < all.length;
}

let lastBox = null;
list.addEventListener("click", (event) => {
  const box = event.target.closest('input[name="ids"]');
  if (!box) return;
  // Shift selects everything in between, as in a mail program.
  if (event.shiftKey && lastBox?.isConnected) {
    const all = boxes();
    const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b);
    for (const one of all.slice(from, to + 1)) one.checked = box.checked;
  }
  lastBox = box;
  countSelected();
});

selectAll?.addEventListener("change", () => {
  for (const box of boxes()) box.checked = selectAll.checked;
  countSelected();
});

function selectNone() {
  for (const box of boxes()) box.checked = false;
  countSelected();
}

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt === form && event.detail.successful) selectNone();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-dismiss]");
  if (button) document.querySelector(button.dataset.dismiss).replaceChildren();
});
// Going back to this page, the browser may have kept the ticks.
countSelected();

// Filters apply at once; the button is for those without scripts.

const filters = document.getElementById("filters");
filters.dataset.immediate = "";
filters.addEventListener("change", (event) => { if (event.target !== search) filters.requestSubmit(); });
filters.addEventListener("submit", (event) => {
  // What is not filtered is not in the address.
  event.preventDefault();
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  location.assign(query.size ? `${filters.action}?${query}` : filters.action);
});

// Keyboard

function move(step) {
  const rows = [...list.children];
  if (!rows.length) return;
  const at = rows.indexOf(current());
  const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  current()?.removeAttribute("data-current");
  row.dataset.current = "";
  row.querySelector(".row-link").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function act(verb) {
  const button = form.querySelector(`button[name="verb"][value="${verb}"]`);
  // None while the last deed is still on its way: what is ticked belongs to that one.
  if (!button || button.disabled) return;
  if (!boxes().some((box) => box.checked)) {
    const box = current()?.querySelector('input[name="ids"]');
    if (!box) return;
    box.checked = true;
    countSelected();
  }
  button.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  x: () => current()?.querySelector('input[name="ids"]')?.click(),
  a: () => act("accept"),
  r: () => act("resolve"),
  o: () => current()?.querySelector(".row-link").click(),
  "/": () => search.focus(),
  "?": () => document.getElementById("keys").showModal(),
  Escape: () => { selectNone(); document.getElementById("bulk-results").replaceChildren(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches?.('input:not([type="checkbox"]), select, textarea');
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// A browser would press the form's first button, which accepts what is ticked.
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches('input[type="checkbox"]')) return;
  event.preventDefault();
  event.target.closest(".row")?.querySelector(".row-link").click();
});

list.addEventListener("focusin", (event) => {
  const row = event.target.closest(".row");
  if (!row || row === current()) return;
  current()?.removeAttribute("data-current");
  row.dataset.current = "";
});
