// The description may need a key: it is asked for once, and goes along with what is tried out.
const form = document.getElementById("key-form");

async function show(key) {
  const answer = await fetch("openapi.json", { headers: key ? { "X-API-Key": key } : {} });
  form.hidden = answer.ok;
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ error: answer.statusText }));
    document.getElementById("problem").textContent = key ? told.error : "";
    return;
  }
  const ui = SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    validatorUrl: null,
    onComplete: () => key && ui.preauthorizeApiKey("key", key),
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("key").value.trim());
});
show("");
