"use strict";
// Selects what the page already contains; computes nothing but an index.
const data = JSON.parse(document.getElementById("states").textContent);
const state = { ...data.start };
const root = document.documentElement;
const shown = new Map();
for (const element of document.querySelectorAll("[data-show]")) {
  const name = element.dataset.show;
  if (!shown.has(name)) shown.set(name, []);
  shown.get(name).push(element);
}

function put(field, text) {
  const [name, attribute] = field.split("@");
  for (const element of shown.get(name)) {
    if (!attribute) element.textContent = text;
    else if (attribute === "class") element.setAttribute("class", `${element.dataset.always ?? ""} ${text}`.trim());
    else element.setAttribute(attribute, text);
  }
}

function show() {
  for (const panel of data.panels) {
    let index = 0;
    for (const control of panel.controls)
      index = index * data.values[control].length + data.values[control].indexOf(state[control]);
    panel.fields.forEach((field, i) => put(field, data.texts[panel.rows[index][i]]));
  }
  for (const input of document.querySelectorAll("[data-control]")) {
    const value = state[input.dataset.control];
    if (input.type === "radio") input.checked = input.value === value;
    else input.value = value;
  }
}

function read() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1)))
    if (data.values[name]?.includes(value)) state[name] = value;
}

function write() {
  const changed = Object.entries(state).filter(([name, value]) => value !== data.start[name]);
  history.replaceState(null, "", `#${new URLSearchParams(changed)}`);
}

document.addEventListener("input", ({ target }) => {
  const control = target.dataset.control;
  if (!control) return;
  state[control] = target.value;
  show();
  write();
});
document.getElementById("reset").addEventListener("click", () => {
  Object.assign(state, data.start);
  show();
  write();
});
document.getElementById("copy").addEventListener("click", async ({ target }) => {
  const command = document.getElementById("command");
  getSelection().selectAllChildren(command);
  try {
    await navigator.clipboard.writeText(command.textContent);
    target.textContent = "Copied";
  } catch {
    target.textContent = "Selected: press Ctrl+C";
  }
});
addEventListener("hashchange", () => {
  read();
  show();
});

const wide = matchMedia("(min-width: 68rem)");
const choices = document.getElementById("choices");
const unfold = () => { choices.open = wide.matches; };
wide.addEventListener("change", unfold);
root.classList.add("scripted");
unfold();
read();
show();
