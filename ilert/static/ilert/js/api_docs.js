// Starts the page that shows the OpenAPI document. Requests made from it go by the session, with the CSRF token.
const place = document.getElementById("api");
const theme = document.documentElement.dataset.theme;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => theme === "dark" || (theme !== "light" && dark.matches);
const paint = () => document.documentElement.classList.toggle("dark-mode", isDark());

paint();
dark.addEventListener("change", paint);
window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: false,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (new URL(request.url, window.location.href).origin === window.location.origin) {
      request.headers["X-CSRFToken"] = place.dataset.token;
    }
    return request;
  },
});
