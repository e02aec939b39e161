// Swagger UI over our own description of the API; what is tried out goes with the session of this page.
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

window.SwaggerUIBundle({
  url: meta("openapi"),
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: false,
  requestInterceptor: (request) => {
    if (!["GET", "HEAD"].includes((request.method ?? "GET").toUpperCase())) request.headers["X-CSRF-Token"] = meta("csrf-token");
    return request;
  },
});
