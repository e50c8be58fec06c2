
const form = document.getElementById("login");
const message = document.getElementById("message");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(form));
  const response = await fetch("/api/login", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-ScaleMAI": "1" },
    body: JSON.stringify({ name, password }),
  }).catch(() => null);
  if (response?.ok) {
    window.location.assign("/");
    return;
  }
  message.textContent = response ? "Name or password is wrong." : "The server cannot be reached.";
  message.hidden = false;
  form.elements.password.select();
});
