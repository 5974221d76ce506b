"use strict";
// Shows the frame under the pointer; the rest of the page works without this script.
const videos = JSON.parse(document.getElementById("videos-data").textContent);
const popup = document.getElementById("frame");

const within = (runs, frame) => runs.some(([start, length]) => start <= frame && frame < start + length);

function nearestPicture(pictures, frame) {
  const numbers = Object.keys(pictures).map(Number);
  if (!numbers.length) return null;
  const number = numbers.reduce((a, b) => (Math.abs(b - frame) < Math.abs(a - frame) ? b : a));
  return { number, url: pictures[number] };
}

function describe(video, frame, shown) {
  const parts = [`frame ${frame}`];
  if (video.fps) parts.push(`${(frame / video.fps).toFixed(1)} s`);
  parts.push(`score ${video.scores[frame - video.first]}`);
  if (video.truth) parts.push(within(video.truth, frame) ? "anomalous" : "normal");
  if (within(video.updates, frame)) parts.push("memory update");
  if (shown && shown.number !== frame) parts.push(`picture of frame ${shown.number}`);
  return parts.join(" · ");
}

for (const chart of document.querySelectorAll(".chart")) {
  const video = videos[chart.dataset.video];
  const plot = chart.querySelector("svg");
  const cursor = chart.querySelector(".cursor");
  const last = video.first + video.scores.length - 1;
  let frame = Math.round((video.first + last) / 2);

  function show(number) {
    frame = Math.min(Math.max(number, video.first), last);
    const shown = nearestPicture(video.pictures, frame);
    cursor.setAttribute("x1", frame);
    cursor.setAttribute("x2", frame);
    cursor.style.visibility = "visible";
    const image = popup.querySelector("img");
    image.hidden = !shown;
    if (shown) image.src = shown.url;
    popup.querySelector("p").textContent = describe(video, frame, shown);
    popup.hidden = false;
    place();
  }

  // Centred on the cursor, below the chart if there is room, else above it.
  function place() {
    const box = plot.getBoundingClientRect();
    const at = box.left + (box.width * (frame - video.first + 0.5)) / video.scores.length;
    const left = Math.min(Math.max(at - popup.offsetWidth / 2, 8), innerWidth - popup.offsetWidth - 8);
    const below = box.bottom + 24 + popup.offsetHeight < innerHeight;
    popup.style.left = `${left}px`;
    popup.style.top = `${below ? box.bottom + 16 : Math.max(box.top - popup.offsetHeight - 28, 8)}px`;
  }

  function hide() {
    cursor.style.visibility = "hidden";
    popup.hidden = true;
  }

  function point(event) {
    const box = plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    show(video.first + Math.floor(share * video.scores.length));
  }

  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -25, PageDown: 25 }[event.key];
    if (step) {
      event.preventDefault();
      show(frame + step);
    }
  });
}

// Pointing at an item highlights its queries on the plane.
const onPlane = document.querySelectorAll(".plane [data-item]");
for (const item of document.querySelectorAll(".items li, .plane [data-item]")) {
  const only = (number) =>
    onPlane.forEach((mark) => mark.classList.toggle("faded", number !== null && mark.dataset.item !== number));
  item.addEventListener("pointerenter", () => only(item.dataset.item));
  item.addEventListener("pointerleave", () => only(null));
}
