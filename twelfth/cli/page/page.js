"use strict";
const form = document.querySelector("form");
const { words, kind, lane, failed } = form.elements;
const entries = [...document.querySelectorAll(".day li")];
const days = [...document.querySelectorAll(".day")];
const texts = new Map();
const marks = new Map([...document.querySelectorAll(".lane a")].map((mark) => [mark.getAttribute("href").slice(1), mark]));

function text(entry) { // read when it is needed: there may be thousands
  if (!texts.has(entry)) texts.set(entry, entry.textContent.toLowerCase());
  return texts.get(entry);
}

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) {
    const { kind: entryKind, lane: entryLane, failed: entryFailed } = entry.dataset;
    entry.hidden = (kind.value && kind.value !== entryKind) || (lane.value && lane.value !== entryLane)
      || (failed.checked && entryFailed === undefined) || !wanted.every((word) => text(entry).includes(word));
    marks.get(entry.querySelector(".more").id)?.classList.toggle("faint", entry.hidden);
  }
  for (const day of days) day.hidden = !day.querySelector("li:not([hidden])");
  const shown = entries.filter((entry) => !entry.hidden).length;
  form.querySelector("output").textContent = shown === entries.length ? "" : `${shown} of ${entries.length}`;
}

function open() { // the entry that a link leads to
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest(".day li");
  if (!entry) return;
  if (entry.hidden) form.reset();
  filter();
  entry.querySelector("details").open = true;
  entry.scrollIntoView();
}

const hours = (Date.now() - Date.parse(document.querySelector(".written time").dateTime)) / 3600000;
if (hours >= 36) document.getElementById("age").textContent = `${Math.round(hours / 24)} days ago`;
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", open);
filter(); // a browser may have kept the values of the form
open();
