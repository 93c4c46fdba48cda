// Starts Swagger UI with this server's document. Nothing is loaded from, or sent to, another one.
'use strict';

async function start() {
  const spec = await (await fetch('/openapi.json')).json();
  spec.servers = [{ url: location.origin }]; // the page may send to its own server only
  window.SwaggerUIBundle({
    spec,
    dom_id: '#swagger-ui',
    deepLinking: true,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

document.documentElement.classList.toggle('dark-mode', matchMedia('(prefers-color-scheme: dark)').matches);
start();
