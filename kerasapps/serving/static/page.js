// What the pages do better with a script; without one they do the same with links, buttons and a refresh.
"use strict";

// The page of a job looks how far it is.
const progress = document.getElementById("progress");
if (progress) {
  const told = document.getElementById("told"), bar = document.getElementById("bar");
  const preview = document.getElementById("preview"), below = document.getElementById("below");
  const spoken = document.getElementById("spoken"), STEPS = 10;
  let shown = 0, tenth = 0;
  // A screen reader speaks of a new state, and of every tenth step: not of each.
  const say = (text, aloud = true) => {
    if (told.textContent === text) return;
    told.textContent = text;
    if (aloud) spoken.textContent = text;
  };
  const look = async () => {
    try {
      const answer = await fetch(progress.dataset.state);
      if (!answer.ok) { location.reload(); return; }
      const job = await answer.json();
      if (job.state !== progress.dataset.now) { location.reload(); return; }
      if (job.state === "waiting") {
        say(job.position === 0 ? "Yours is next." : job.position === 1 ? "1 picture is before yours." : `${job.position} pictures are before yours.`);
      } else if (job.stop) {
        say("Stopping …");
      } else if (job.total) {
        const now = Math.floor(job.step / STEPS);
        say(`Step ${job.step} of ${job.total}, ${job.width} × ${job.height} pixels.`, now !== tenth);
        tenth = now;
        bar.max = job.total;
        bar.value = job.step;
      }
      if (job.picture !== shown && job.picture) {
        preview.src = progress.dataset.state.replace(/state$/, `picture.png?${job.picture}`);
        preview.hidden = false;
        below.textContent = "The painting so far";
        shown = job.picture;
      }
    } catch {
      say("The server cannot be reached just now; your picture is not lost.");
    }
    setTimeout(look, 1500);
  };
  look();
}

// Before and after on top of each other, with a handle.
for (const pair of document.querySelectorAll(".compare")) {
  pair.classList.add("slider");
  const slide = Object.assign(document.createElement("input"), { type: "range", className: "slide", min: 0, max: 100, value: 50 });
  slide.setAttribute("aria-label", "How much of the photo covers the painting, in percent");
  slide.addEventListener("input", () => pair.style.setProperty("--share", `${slide.value}%`));
  const ends = Object.assign(document.createElement("div"), { className: "ends" });
  for (const end of ["Photo", "Painting"]) ends.append(Object.assign(document.createElement("span"), { textContent: end }));
  const box = Object.assign(document.createElement("div"), { className: "compared" });
  pair.replaceWith(box);
  box.append(pair, slide, ends);
}

// The chosen file is shown, and one that is too large is named before it is sent.
for (const input of document.querySelectorAll("input[type=file]")) {
  const image = Object.assign(document.createElement("img"), { className: "chosen", hidden: true, alt: "" });
  const problem = Object.assign(document.createElement("p"), { className: "error", hidden: true });
  problem.setAttribute("role", "alert");
  input.after(image, problem);
  input.addEventListener("change", () => {
    const [file] = input.files, most = Number(input.dataset.mib);
    const tooLarge = file && file.size > most * 2 ** 20;
    problem.hidden = !tooLarge;
    problem.textContent = tooLarge ? `${file.name} has ${Math.ceil(file.size / 2 ** 20)} MiB. The limit is ${most} MiB.` : "";
    input.setCustomValidity(problem.textContent);
    image.hidden = true;
    if (file && !tooLarge) {
      const reader = new FileReader();  // not an object URL: the policy of the page allows data alone
      reader.onload = () => { image.src = reader.result; };
      image.onload = () => { image.hidden = false; };
      reader.readAsDataURL(file);
    }
  });
}

document.getElementById("answer")?.focus();
if (document.getElementById("opening")) setTimeout(() => location.reload(), 3000);
