"use strict";
/* Two comforts on top of a page that works without them: pictures at full size, and a slider. */
(function () {
  const id = (name) => document.getElementById(name);
  const viewer = id("viewer");
  const pictures = () => Array.from(document.querySelectorAll("a.picture, [data-open]"))
    .filter((one) => one.offsetParent !== null && one.querySelector("img"));
  const picture = (stage, name) => {
    const image = document.createElement("img");
    image.id = name;
    id(stage).prepend(image);
    return image;
  };
  const large = picture("viewer-stage", "viewer-picture");
  let current = null;

  /* A preview, or a picture that had no room in the page, becomes whole in its place: from where
     the page has it whole, else from the folder beside the page. Where there is no folder it stays. */
  const lacking = (one) => one.matches(".preview, .outside") && !one.matches(".alone");
  function complete(one, then) {
    const path = one.getAttribute("href");
    const twin = path && document.querySelector(
      "a.picture:not(.preview):not(.outside)[href='" + path + "'] img");
    const file = new Image();
    file.onload = () => {
      let image = one.querySelector("img");
      if (!image) {
        image = document.createElement("img");
        Object.assign(image, one.dataset);
        one.replaceChildren(image);
      }
      image.src = file.src;
      one.classList.remove("preview", "outside", "missing");
      then();
    };
    file.onerror = () => { one.classList.add("alone"); then(); };
    if (path) file.src = twin ? twin.src : path;
    else file.onerror();
  }
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      complete(entry.target, () => {});
    }
  }, { rootMargin: "400px" });
  for (const one of document.querySelectorAll(".outside, .card .preview")) near.observe(one);

  function show(one) {
    const image = one.querySelector("img");
    current = one;
    if (lacking(one)) complete(one, () => { if (current === one && viewer.open) show(one); });
    const width = Number(image.getAttribute("width"));
    const height = Number(image.getAttribute("height"));
    large.src = image.src;
    large.alt = image.alt;
    const side = Math.min(window.innerWidth * 0.94 / width, window.innerHeight * 0.78 / height);
    const times = side > 1 ? Math.min(Math.floor(side), 6) : side;
    large.width = width * times;
    large.classList.toggle("pixels", times >= 2 && !one.matches(".preview"));
    id("viewer-words").textContent = image.alt + " (" + width + " × " + height + " pixels" +
      (times === 1 ? "" : ", shown × " + (+times.toFixed(2))) + ")" + (!one.matches(".alone") ? "" :
      one.href ? ". This is a preview: the trial’s folder with the whole picture isn’t beside this file."
        : ". This is a preview: this file had no room for the whole picture.");
    id("viewer-file").hidden = !one.href || one.matches(".alone");
    if (one.href) id("viewer-file").href = one.href;
    if (!viewer.open) viewer.showModal();
  }

  function step(by) {
    const all = pictures();
    show(all[(all.indexOf(current) + by + all.length) % all.length]);
  }

  for (const one of document.querySelectorAll("[data-open]")) {
    one.tabIndex = 0;
    one.setAttribute("role", "button");
  }
  document.addEventListener("click", (event) => {
    const one = event.target.closest("a.picture, [data-open]");
    if (!one || !one.querySelector("img") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(one);
  });
  document.addEventListener("keydown", (event) => {
    if (viewer.open && event.key === "ArrowLeft") step(-1);
    else if (viewer.open && event.key === "ArrowRight") step(1);
    else if ((event.key === "Enter" || event.key === " ") && event.target.matches("[data-open]")) {
      event.preventDefault();
      show(event.target);
    }
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => current && current.focus({ preventScroll: true }));
  id("viewer-back").addEventListener("click", () => step(-1));
  id("viewer-next").addEventListener("click", () => step(1));

  const photos = Array.from(document.querySelectorAll("details.photo"));
  if (!photos.length) return;
  const choose = (name) => id("slider-" + name);
  const fill = (name, options) => choose(name).replaceChildren(
    ...options.map(([value, words]) => new Option(words, value)));
  const named = (selector, key) => Array.from(photos[0].querySelectorAll(selector))
    .map((one) => [one.dataset[key], one.dataset.name]);
  const arms = named(".block[data-transform='0'] .group", "arm");
  const edits = Array.from(photos[0].querySelectorAll(".block[data-transform='0'] .group:first-child [data-what]"))
    .map((one) => [one.dataset.what, (one.querySelector("figcaption span") || one).textContent]);
  fill("photo", photos.map((one) => [one.dataset.photo, one.dataset.name]));
  fill("transform", named(".block[data-transform]", "transform"));
  fill("what", [...edits, ["0", "the picture itself"]]);
  fill("left", arms);
  fill("right", arms);
  const protectedArm = photos[0].querySelector(".group.protection");
  if (protectedArm) choose("right").value = protectedArm.dataset.arm;

  picture("slider-stage", "slider-before");
  picture("slider-stage", "slider-after");

  function find(arm) {
    const photo = photos.find((one) => one.dataset.photo === choose("photo").value);
    let transform = choose("transform").value;
    const what = choose("what").value;
    if (what === "0" && transform === "0") {
      return photo.querySelectorAll(".strip .picture")[arm];
    }
    return photo.querySelector(".block[data-transform='" + transform + "'] .group[data-arm='" + arm +
      "'] [data-what='" + what + "'] .picture");
  }
  function draw() {
    const words = [];
    for (const [side, place] of [["left", "before"], ["right", "after"]]) {
      const found = find(choose(side).value);
      if (found && lacking(found)) complete(found, draw);
      const image = found && found.querySelector("img");
      const target = id("slider-" + place);
      target.hidden = !image;
      if (image) {
        target.src = image.src;
        target.alt = image.alt;
        target.width = image.getAttribute("width");
        target.height = image.getAttribute("height");
      }
      words.push(side + ": " + (image ? image.alt : "no picture"));
    }
    id("slider-words").textContent = words.join("; ");
  }
  const range = id("slider-range");
  const move = () => id("slider").style.setProperty("--at", range.value + "%");
  const stage = id("slider-stage");
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    range.value = 100 * (event.clientX - box.left) / box.width;
    move();
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  range.addEventListener("input", move);
  for (const name of ["photo", "transform", "what", "left", "right"]) {
    choose(name).addEventListener("change", draw);
  }
  id("slider").hidden = false;
  move();
  draw();
})();
