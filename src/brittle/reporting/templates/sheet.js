"use strict";
/* Marks by key or click, kept in the browser, saved as marks.csv. The page works without. */
(function () {
  const sheet = document.getElementById("bar").dataset.sheet;
  const items = Array.from(document.querySelectorAll(".item"));
  const store = "brittle-sheet-" + sheet;
  let current = 0;
  let marks = {};
  try { marks = JSON.parse(localStorage.getItem(store) || "{}"); } catch (error) { marks = {}; }

  const table = () => ["sheet,number,usable"].concat(items.map((item) =>
    [sheet, item.dataset.number, marks[item.dataset.number] || ""].join(","))).join("\n") + "\n";

  function draw() {
    let done = 0;
    items.forEach((item, place) => {
      const mark = marks[item.dataset.number];
      if (mark) done += 1;
      item.classList.toggle("current", place === current);
      for (const box of item.querySelectorAll("input")) box.checked = box.value === mark;
    });
    document.getElementById("progress").textContent = done + " of " + items.length + " marked";
    document.getElementById("text").value = table();
  }
  function mark(place, value) {
    const number = items[place].dataset.number;
    if (value) marks[number] = value; else delete marks[number];
    try { localStorage.setItem(store, JSON.stringify(marks)); } catch (error) { /* kept in the page only */ }
    draw();
  }
  function go(place) {
    current = Math.max(0, Math.min(items.length - 1, place));
    items[current].scrollIntoView({ block: "start" });
    draw();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "text") return;
    const value = { u: "yes", n: "no" }[event.key];
    if (value) { mark(current, value); go(current + 1); }
    else if (event.key === "x") mark(current, "");
    else if (event.key === "j" || event.key === "ArrowDown") go(current + 1);
    else if (event.key === "k" || event.key === "ArrowUp") go(current - 1);
    else return;
    event.preventDefault();
  });
  items.forEach((item, place) => item.addEventListener("change", (event) => {
    current = place;
    mark(place, event.target.value);
  }));
  document.getElementById("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = "marks.csv";
    link.click();
  });
  document.getElementById("bar").hidden = false;
  draw();
})();
