// Not a module: a browser runs modules only from a server, so page.js cannot say this itself.
if (location.protocol === "file:") {
  document.getElementById("as-file").hidden = false;
  document.querySelector("main").hidden = true;
  document.getElementById("facts").textContent = "It is not running.";
}
