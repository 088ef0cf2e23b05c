"use strict";
/* The page's own script; it asks only the server that it came from. */
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const visit = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const count = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;
/* The address of a file that a job made; names may hold what addresses keep for themselves. */
const made = (path) => `made/${path.split("/").map(encodeURIComponent).join("/")}`;

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, { method, body });
  } catch {
    throw new Error("brittle no longer answers: start it again in the terminal.");
  }
  const data = await answer.json().catch(() => ({ problem: "brittle made an error of its own; the terminal shows it." }));
  if (!answer.ok) throw new Error(data.problem);
  return data;
}

/* Tabs: arrow keys move between them, as the pattern of WAI-ARIA has it. */
const tabs = all("[role=tab]");
function show(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  history.replaceState(null, "", tab.id.replace("tab-", "#"));
  if (tab.id === "tab-figure" && !figure.drawn) draw();
}
tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length];
    next.focus();
    show(next);
  });
});

/* Trays: files or folders, dropped or chosen, sent one after another. */
const SHOWN = 6;
class Tray {
  constructor(element) {
    this.element = element;
    this.path = `trays/${visit}/${encodeURIComponent(element.dataset.tray)}`;
    this.adds = element.dataset.tray === "photos"; // elsewhere a new choice takes the place of the last
    this.sent = new Map();
    this.ready = Promise.resolve();
    for (const input of all("input", element)) {
      if (input.hasAttribute("webkitdirectory") && !("webkitdirectory" in input)) input.parentElement.hidden = true;
      input.addEventListener("change", () => {
        this.take([...input.files]);
        input.value = "";
      });
    }
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.classList.add("over");
    });
    element.addEventListener("dragleave", () => element.classList.remove("over"));
    element.addEventListener("drop", async (event) => {
      event.preventDefault();
      element.classList.remove("over");
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
      this.take((await Promise.all(entries.map(filesOf))).flat());
    });
  }

  take(files) {
    this.ready = this.ready.then(() => this.send(files.filter((file) => !file.name.startsWith("."))));
  }

  async send(files) {
    const list = one(".files", this.element);
    if (!this.adds) await this.clear();
    for (const [at, file] of files.entries()) {
      this.say(files.length > 1 ? `Reading ${at + 1} of ${files.length} …` : "Reading …");
      try {
        const found = await ask("PUT", `${this.path}/${encodeURIComponent(file.name)}`, file);
        this.sent.set(file.name, file);
        if (this.sent.size <= SHOWN) list.append(this.row(file, found));
      } catch (error) {
        const row = document.createElement("li");
        row.className = "bad";
        row.textContent = error.message;
        list.append(row);
      }
    }
    this.tell();
    this.element.dispatchEvent(new Event("filled"));
  }

  async clear() {
    this.sent.clear();
    one(".files", this.element).replaceChildren();
    await ask("DELETE", this.path);
  }

  row(file, found) {
    const row = document.createElement("li");
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    picture.addEventListener("error", () => picture.removeAttribute("src"));
    const text = document.createElement("span");
    text.textContent = [`${file.name}, ${found.width} × ${found.height} px`, ...found.notes].join("; ");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", async () => {
      await ask("DELETE", `${this.path}/${encodeURIComponent(file.name)}`);
      this.sent.delete(file.name);
      row.remove();
      this.tell();
      one("input", this.element).focus();
    });
    row.append(picture, text, remove);
    return row;
  }

  tell() {
    const n = this.sent.size;
    this.say(n > SHOWN ? `${count(n, "photo")}; the first ${SHOWN} are shown.` : n > 1 ? count(n, "photo") : "");
  }

  say(text) {
    one(".taken", this.element).textContent = text;
  }
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // 100 at most
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(filesOf))).flat();
}
const trays = new Map(all(".tray").map((element) => [element.dataset.tray, new Tray(element)]));
// A photo that is dropped beside a tray must not take the page's place.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

/* Work: started, watched, cancelled. A new piece stops the last one of its panel. */
const STAGES = { files: "Reading the files", comparisons: "Comparing", edits: "Editing" };
class Work {
  constructor(panel) {
    this.element = one(".work", panel);
    this.go = one(".go", this.element);
    one(".cancel", this.element).addEventListener("click", () => this.cancel());
    addEventListener("pagehide", () => this.cancel());
  }

  cancel() {
    if (!this.job) return;
    fetch(`jobs/${this.job}`, { method: "DELETE", keepalive: true }).catch(() => {});
    this.stage("Stopping …");
  }

  async run(task, body, seen = () => {}) {
    this.cancel();
    const mine = (this.mine = Symbol(task));
    this.problem("");
    this.busy(true);
    one(".said", this.element).replaceChildren();
    this.stage("Starting …");
    try {
      const { name } = await ask("POST", `tasks/${task}`, JSON.stringify({ visit, ...body }));
      if (this.mine !== mine) return void fetch(`jobs/${name}`, { method: "DELETE" });
      this.job = name;
      const begun = performance.now();
      for (;;) {
        const told = await ask("GET", `jobs/${name}`);
        if (this.mine !== mine) return;
        this.tell(told, performance.now() - begun);
        seen(told.found);
        if (told.state === "failed") throw Object.assign(new Error(told.problem), told);
        if (told.state === "stopped") throw new Error("Stopped.");
        if (told.state === "done") return told.found;
        await pause(250);
      }
    } catch (error) {
      if (this.mine === mine) this.problem(error.message);
    } finally {
      if (this.mine === mine) {
        this.job = null;
        this.busy(false);
      }
    }
  }

  busy(is) {
    one(".running", this.element).hidden = !is;
    if (this.go) this.go.disabled = is;
  }

  stage(text) {
    const stage = one(".stage", this.element);
    if (stage.textContent !== text) stage.textContent = text;
  }

  problem(text) {
    const place = one(".problem", this.element);
    place.textContent = text;
    place.hidden = !text;
  }

  tell(told, milliseconds) {
    const bar = one("progress", this.element);
    const whole = told.stages[0];
    const done = whole && whole.total ? Math.min(whole.done / whole.total, 1) : 0;
    if (done) bar.value = done;
    else bar.removeAttribute("value");
    if (told.state === "waiting") this.stage("Waiting for other work to end …");
    else if (!whole) this.stage("Working …");
    else this.stage([words(told.stages), left(done, milliseconds)].filter(Boolean).join("; "));
    const said = one(".said", this.element);
    told.notes.slice(said.childElementCount).forEach((text) => {
      const line = document.createElement("li");
      line.textContent = text;
      said.append(line);
    });
  }
}

/* The outermost stage says how far all is; the innermost, what is done now. */
function words(stages) {
  const now = stages[stages.length - 1].name;
  return STAGES[now] || (stages.length > 1 ? now[0].toUpperCase() + now.slice(1) : "Protecting");
}

function left(done, milliseconds) {
  if (done < 0.03 || milliseconds < 3000) return "";
  const seconds = ((milliseconds / 1000) * (1 - done)) / done;
  return seconds < 90 ? `about ${count(Math.max(1, Math.round(seconds)), "second")} left` : `about ${count(Math.round(seconds / 60), "minute")} left`;
}

/* What a choice means stands below it. */
for (const select of all("select[aria-describedby]")) {
  const says = () => (document.getElementById(select.getAttribute("aria-describedby")).textContent = select.selectedOptions[0].dataset.says);
  select.addEventListener("change", says);
  says();
}

function reveal(panel) {
  const result = one(".result", panel);
  result.hidden = false;
  result.focus({ preventScroll: true });
  result.scrollIntoView({ block: "start" });
}

/* Check */
{
  const panel = document.getElementById("panel-check");
  const work = new Work(panel);
  const frame = one("iframe", panel);
  const fit = () => (frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 4}px`);
  frame.addEventListener("load", () => {
    fit();
    new ResizeObserver(fit).observe(frame.contentDocument.body);
  });
  one("form", panel).addEventListener("submit", async (event) => {
    event.preventDefault();
    one(".result", panel).hidden = true;
    const found = await work.run("check", { edits: one("[name=edits]:checked", panel).value !== "" });
    if (!found) return;
    const address = `made/${found.report}`;
    one(".result", panel).hidden = false;
    frame.src = address;
    one(".open", panel).href = one(".save", panel).href = address;
    reveal(panel);
  });
}

/* Protect */
{
  const panel = document.getElementById("panel-protect");
  const work = new Work(panel);
  const rows = one("tbody", panel);
  const panes = all(".pane", panel);
  const pictures = panes.map((pane) => one("img", pane));

  one("form", panel).addEventListener("submit", async (event) => {
    event.preventDefault();
    one(".result", panel).hidden = true;
    const form = new FormData(event.target);
    const found = await work.run("protect", { protection: form.get("protection"), strength: form.get("strength") }, (found) => list(one(".problems", panel), found.left_out || []));
    if (!found) return;
    rows.replaceChildren(...found.photos.map(row));
    const zip = one(".all", panel);
    zip.hidden = !found.all;
    if (found.all) zip.href = `made/${found.all}`;
    look(found.photos[0], rows.firstElementChild);
    reveal(panel);
  });

  function list(place, lines) {
    place.replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  }

  function row(photo) {
    const element = document.createElement("tr");
    const name = Object.assign(document.createElement("th"), { scope: "row", textContent: photo.photo });
    const costs = Object.assign(document.createElement("td"), { textContent: [photo.costs, photo.notes].filter(Boolean).join("; ") });
    const doing = document.createElement("td");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Compare" });
    button.setAttribute("aria-label", `Compare ${photo.photo} with its protected file`);
    button.addEventListener("click", () => look(photo, element));
    const save = Object.assign(document.createElement("a"), { href: made(photo.after), download: photo.name, textContent: "Save" });
    save.setAttribute("aria-label", `Save the protected ${photo.name}`);
    doing.append(button, " ", save);
    element.append(name, costs, doing);
    return element;
  }

  function look(photo, element) {
    for (const other of rows.children) other.removeAttribute("aria-current");
    element.setAttribute("aria-current", "true");
    one(".zoom legend", panel).textContent = photo.photo;
    one(".compare", panel).hidden = false;
    pictures[0].src = made(photo.before);
    pictures[1].src = made(photo.after);
    Promise.all(pictures.map((picture) => picture.decode().catch(() => {}))).then(zoom);
  }

  function zoom() {
    const by = Number(one("[name=zoom]:checked", panel).value);
    const middle = panes.map((pane) => [(pane.scrollLeft + pane.clientWidth / 2) / pane.scrollWidth, (pane.scrollTop + pane.clientHeight / 2) / pane.scrollHeight]);
    panes.forEach((pane, at) => {
      pane.classList.toggle("whole", !by);
      pictures[at].style.width = by ? `${(pictures[at].naturalWidth * by) / devicePixelRatio}px` : "";
      pane.scrollTo(middle[at][0] * pane.scrollWidth - pane.clientWidth / 2, middle[at][1] * pane.scrollHeight - pane.clientHeight / 2);
    });
  }
  all("[name=zoom]", panel).forEach((input) => input.addEventListener("change", zoom));
  panes.forEach((pane, at) => {
    const other = panes[1 - at];
    pane.addEventListener("scroll", () => {
      if (other.scrollLeft !== pane.scrollLeft || other.scrollTop !== pane.scrollTop) other.scrollTo(pane.scrollLeft, pane.scrollTop);
    });
    pane.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse") return; // a finger scrolls by itself
      event.preventDefault();
      pane.focus();
      pane.setPointerCapture(event.pointerId);
    });
    pane.addEventListener("pointermove", (event) => {
      if (pane.hasPointerCapture(event.pointerId)) pane.scrollBy(-event.movementX, -event.movementY);
    });
  });
}

/* See it break */
const figure = { panel: document.getElementById("panel-figure"), drawn: false, timer: 0 };
figure.work = new Work(figure.panel);
figure.quality = document.getElementById("quality");

function quality() {
  const value = Number(figure.quality.value);
  return value === 100 ? null : value;
}

function sayQuality() {
  const text = quality() === null ? "none, a PNG" : String(quality());
  one("output", figure.panel).textContent = text;
  figure.quality.setAttribute("aria-valuetext", text);
}

async function draw() {
  figure.drawn = true;
  sayQuality();
  const form = new FormData(one("form", figure.panel));
  all(".look", figure.panel).forEach((place) => (place.textContent = form.get("look")));
  const pictures = all("[data-picture]", figure.panel);
  const [first] = pictures;
  first.onload = () => one(".four", figure.panel).style.setProperty("--shape", `${first.naturalWidth} / ${first.naturalHeight}`);
  pictures.forEach((picture) => picture.classList.add("old"));
  await figure.work.run("figure", {
    sample: form.get("sample"), look: form.get("look"), protection: form.get("protection"), strength: form.get("strength"), quality: quality(),
  }, (found) => {
    for (const picture of pictures) {
      const path = found[picture.dataset.picture];
      if (!path) continue;
      const address = new URL(made(path), location.href).href;
      if (picture.src !== address) picture.src = address;
      picture.classList.remove("old");
    }
  });
}

function drawSoon() {
  sayQuality();
  clearTimeout(figure.timer);
  figure.timer = setTimeout(draw, 200);
}
figure.quality.addEventListener("input", drawSoon);
one("form", figure.panel).addEventListener("submit", (event) => event.preventDefault());
one("form", figure.panel).addEventListener("change", (event) => {
  if (event.target.name) drawSoon();
});
trays.get("own photo").element.addEventListener("filled", () => {
  const [file] = trays.get("own photo").sent.values();
  const own = one(".own", figure.panel);
  own.hidden = !file;
  if (!file) return;
  one("img", own).src = URL.createObjectURL(file);
  one("input", own).checked = true;
  draw();
});
sayQuality();
const named = tabs.find((tab) => tab.id.replace("tab-", "#") === location.hash);
if (named) show(named);
