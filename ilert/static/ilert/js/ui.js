// Toasts, copy buttons, dialogs, theme, filters and how htmx behaves when something goes wrong.
// Everything is delegated from the document, so that fragments that arrive later work as well.

const toasts = document.getElementById("toasts");
const TOAST_MS = 7000;

function dismissLater(element) {
  if (element.dataset.level === "error") return;
  let timer = setTimeout(() => element.remove(), TOAST_MS);
  element.addEventListener("pointerenter", () => clearTimeout(timer));
  element.addEventListener("pointerleave", () => { timer = setTimeout(() => element.remove(), TOAST_MS / 2); });
}

function toast(text, level = "info") {
  for (const old of toasts.children) if (old.dataset.text === text) old.remove();
  const element = document.createElement("div");
  element.className = "toast";
  element.dataset.level = level;
  element.dataset.text = text;
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.className = "toast-close";
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  element.append(words, close);
  toasts.append(element);
  dismissLater(element);
}

// A view can say it too: the response header HX-Trigger: {"toast": {"text": "…", "level": "success"}}.
document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.value, event.detail.level));

// A live region is only read out when something is added to it after it is there.
const present = [...toasts.children];
toasts.replaceChildren();
setTimeout(() => present.forEach((element) => { toasts.append(element); dismissLater(element); }), 50);

// A form that came back with errors: on to the first of them.
document.querySelector('[aria-invalid="true"]')?.focus();

// Copying. navigator.clipboard is missing on plain http, so the old way is the fallback.

async function copyText(text) {
  if (window.isSecureContext && navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* refused, for one without the document's focus */ }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  const text = button.dataset.copyText ?? source.value ?? source.textContent;
  const done = await copyText(text);
  button.focus();
  toast(done ? "Copied" : "Copying did not work here. Select the text and copy it by hand.", done ? "success" : "error");
  if (!done) return;
  const label = button.querySelector("[data-copy-label]");
  button.dataset.copied = "";
  if (label) label.textContent = "Copied";
  setTimeout(() => {
    delete button.dataset.copied;
    if (label) label.textContent = "Copy";
  }, 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-text], [data-opens], .toast-close");
  if (!button) return;
  if (button.matches(".toast-close")) button.closest(".toast").remove();
  else if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  else copy(button);
});

// A read-only value is selected whole, ready for Ctrl-C.
document.addEventListener("focusin", (event) => {
  if (event.target.matches?.(".copy-value")) event.target.select();
});

// <input data-filter="#list">: hides what does not match among the list's [data-words], and empty [data-group]s.
document.addEventListener("input", (event) => {
  const selector = event.target.dataset?.filter;
  if (!selector) return;
  const list = document.querySelector(selector);
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of list.querySelectorAll("[data-words]")) {
    const text = item.dataset.words.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
  }
  for (const group of list.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
  }
  const none = list.querySelector("[data-none]");
  if (none) none.hidden = Boolean(list.querySelector("[data-words]:not([hidden])"));
});

// Return while looking for something must not send the form around it.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.dataset?.filter) event.preventDefault();
});

// The theme changes at once and is kept on the server.
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form || !event.submitter) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  document.documentElement.dataset.theme = event.submitter.value;
  for (const button of form.querySelectorAll("[aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button === event.submitter));
  }
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    if (!response.ok) throw new Error(response.status);
  } catch {
    toast("The theme could not be saved. It will be back to the old one on the next page.", "error");
  }
});

// htmx: one quiet line while the server cannot be reached; a signed-out session leads to the sign-in page.
const connection = document.getElementById("connection");
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, () => { connection.hidden = false; });
}
document.addEventListener("htmx:beforeSwap", (event) => {
  connection.hidden = true;
  const { xhr } = event.detail;
  if (xhr.responseURL && new URL(xhr.responseURL).pathname.startsWith("/accounts/login")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
document.addEventListener("htmx:responseError", (event) => {
  const polled = event.detail.requestConfig?.verb === "get";
  if (!polled) toast("That did not work. Reload the page and try again.", "error");
});
