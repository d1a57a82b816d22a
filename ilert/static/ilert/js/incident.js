// The page of an incident: it asks for what it shows when the stream says that something has changed, and now and then
// where there is no stream. What was folded out stays so.

const POLL_MS = 2000;
const AGAIN_MS = 5000;
const LOOK_MS = 20000;
let stream = null;
let timer = 0;

const incident = () => document.getElementById("incident");
const refresh = () => incident().dispatchEvent(new Event("refresh"));

function poll() {
  clearTimeout(timer);
  refresh();
  if (!stream && !document.hidden) timer = setTimeout(poll, POLL_MS + Math.random() * 500);
}

function follow() {
  if (stream || document.hidden) return;
  const { stream: path, version } = incident().dataset;
  stream = new EventSource(`${path}?version=${version}`);
  stream.addEventListener("open", () => clearTimeout(timer));
  stream.addEventListener("changed", refresh);
  stream.addEventListener("error", () => {
    // Refused, or ended after its time.
    stop();
    poll();
    setTimeout(follow, AGAIN_MS + Math.random() * AGAIN_MS);
  });
}

function stop() {
  stream?.close();
  stream = null;
}

// A tab that nobody looks at keeps no connection: browsers have six for a whole host.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return stop();
  refresh();
  follow();
});
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); follow(); } });
window.addEventListener("offline", stop);
window.addEventListener("online", () => { refresh(); follow(); });
// A stream notices neither that the session has ended nor that time alone has changed what can be done.
setInterval(() => { if (!document.hidden) refresh(); }, LOOK_MS);

let unfolded = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target === incident()) unfolded = [...incident().querySelectorAll("details[open][id]")].map((one) => one.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
  unfolded = [];
});

document.addEventListener("click", (event) => { if (event.target.closest?.("[data-print]")) window.print(); });
follow();
