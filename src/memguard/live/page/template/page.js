"use strict";
// Shows the cameras and their events, and refreshes them. All text is set as text, never as HTML.
const REFRESH = 2000;
const TIMELINE_REFRESH = 60000;

const byId = (id) => document.getElementById(id);
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const whole = new Intl.NumberFormat("en-GB");

const cameras = new Map(); // by name: its card, status and timeline
const events = new Map(); // by id: its card, and the JSON that it shows
let open = []; // the events that last

const KINDS = { anomaly: "Anomaly", standing: "Standing still", outage: "Outage", condition: "Condition" };
const scored = (event) => ["anomaly", "standing"].includes(event.kind);

async function get(address) {
  const answer = await fetch(address, { signal: AbortSignal.timeout(10000) });
  if (answer.status === 401) location.reload(); // to the login form
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);
const rounded = (value, digits) => value.toFixed(digits).replace(/^-(?=[0.]+$)/, "").replace("-", "−");
const number = (value, digits) => (value === null ? "–" : rounded(value, digits));
const day = () => byId("day").value; // empty: the last 24 hours
const question = (words) => new URLSearchParams(Object.entries(words).filter(([, value]) => value));
const counted = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;

function moment(text) {
  const when = new Date(text);
  const today = when.toDateString() === new Date().toDateString();
  return today ? time.format(when) : `${date.format(when)} ${time.format(when)}`;
}

function duration(seconds) {
  if (seconds < 120) return `${Math.max(Math.round(seconds), 1)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Number((seconds / 3600).toFixed(1))} h`;
}

function set(card, place, text) {
  const element = card.querySelector(place);
  if (element.textContent !== text) element.textContent = text;
}

function showCameras(statuses) {
  const names = new Set(statuses.map((status) => status.name));
  for (const [name, camera] of cameras) {
    if (names.has(name)) continue;
    camera.card.remove();
    camera.option.remove();
    cameras.delete(name);
  }
  for (const status of statuses) showCamera(status);
  const watching = statuses.filter((status) => status.state === "watching").length;
  const alarms = new Set(open.filter(scored).map((event) => event.camera)).size;
  const parts = [`${watching} of ${statuses.length} watching`];
  if (alarms) parts.push(`${alarms} with an alarm now`);
  byId("summary").textContent = parts.join(", ");
  document.title = alarms ? `(${alarms}) memguard` : "memguard";
}

function showCamera(status) {
  if (!cameras.has(status.name)) cameras.set(status.name, addCamera(status.name));
  const camera = cameras.get(status.name);
  const card = camera.card;
  camera.status = status;
  const lasting = open.filter((event) => event.camera === status.name && scored(event));
  const alarm = lasting.length > 0;
  card.className = `card camera ${status.state.replace(" ", "-")}${alarm ? " alarm" : ""}`;
  set(card, ".state", alarm ? lasting[0].kind : status.state);
  set(card, ".since", `${status.state} since ${moment(status.since)}`);
  card.querySelector(".advice").hidden = !status.recalibrate;
  set(card, ".advice", "Recalibrate: the scores are no longer those of the calibration.");
  set(card, ".score", number(status.score, 1));
  set(card, ".level", `alarm above ${number(status.level, 1)}`);
  set(card, ".fps", number(status.fps, 1));
  set(card, ".lag", status.lag === null ? "–" : `${status.lag.toFixed(1)} s`);
  set(card, ".counts", counts(status));
  const share = status.score === null ? 0 : status.score / (1.5 * status.level);
  card.querySelector(".value").style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  card.querySelector(".meter").classList.toggle("above", status.score > status.level);
}

function counts(status) {
  const parts = [counted(status.events, "event"), `${counted(status.frames, "frame")} scored`];
  if (status.dropped) parts.push(`${whole.format(status.dropped)} dropped`);
  if (status.torn) parts.push(`${whole.format(status.torn)} damaged`);
  if (status.held_back) parts.push(`${counted(status.held_back, "notification")} held back`);
  if (status.drift !== null) parts.push(`median score of the last hour ${number(status.drift, 1)}`);
  return parts.join(" · ");
}

function addCamera(name) {
  const card = clone("camera");
  card.querySelector(".name").textContent = name;
  byId("cameras").append(card);
  const option = new Option(name, name);
  byId("only").append(option);
  const camera = { card, option, status: null, timeline: null };
  const plot = card.querySelector(".timeline");
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    point(camera, (event.clientX - box.left) / box.width);
  });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(camera, (camera.pointed ?? 1) + step / 96);
  });
  for (const leaving of ["pointerleave", "blur"]) plot.addEventListener(leaving, () => point(camera, null));
  refreshTimeline(name, camera);
  return camera;
}

function point(camera, share) {
  const cursor = camera.card.querySelector(".cursor");
  const rows = camera.timeline?.minutes ?? [];
  camera.pointed = share === null ? null : Math.min(Math.max(share, 0), 1);
  cursor.style.visibility = share === null ? "hidden" : "visible";
  if (share === null) return set(camera.card, ".pointed", "");
  cursor.setAttribute("x1", 1440 * camera.pointed);
  cursor.setAttribute("x2", 1440 * camera.pointed);
  const { since, until } = span(camera.timeline);
  const at = since + (until - since) * camera.pointed;
  const row = rows.findLast(([start]) => start <= at && at - start < 120);
  const scores = row ? `highest ${number(row[1], 1)}, median ${number(row[2], 1)}` : "no score";
  return set(camera.card, ".pointed", `${minute.format(new Date(1000 * at))} ${scores}`);
}

// The beginning and the end of a timeline, seconds.
const span = (timeline) => ({
  since: Date.parse(timeline?.since) / 1000,
  until: Date.parse(timeline?.until) / 1000,
});

async function refreshTimeline(name, camera) {
  const chosen = day();
  try {
    const timeline = await get(`/api/timeline?${question({ camera: name, day: chosen })}`);
    if (chosen !== day()) return; // another day has been chosen meanwhile
    camera.timeline = timeline;
    draw(camera);
  } catch (error) {
    console.debug(error); // refreshing the cameras reports it
  }
}

function draw({ card, status, timeline }) {
  const { since, until } = span(timeline);
  const x = (seconds) => Math.min(Math.max((1440 * (seconds - since)) / (until - since), 0), 1440);
  set(card, ".from", day() ? minute.format(1000 * since) : `${duration(until - since)} ago`);
  set(card, ".to", day() ? minute.format(1000 * until) : "now");
  const level = Math.max(status.level, 0.1);
  const scores = timeline.minutes.map((row) => row[1]);
  const bottom = Math.min(0, ...scores);
  const top = Math.min(Math.max(1.4 * level, ...scores), 4 * level); // higher ones touch the edge
  const y = (score) => 100 - (100 * (Math.min(score, top) - bottom)) / (top - bottom);
  let path = "";
  let last = -Infinity;
  for (const [start, highest] of timeline.minutes) {
    path += `${start - last > 150 ? "M" : "L"}${x(start).toFixed(1)} ${y(highest).toFixed(1)}`;
    path += `H${x(start + 60).toFixed(1)}`; // the whole minute
    last = start;
  }
  card.querySelector(".line").setAttribute("d", path);
  const line = card.querySelector("line.alarm");
  line.setAttribute("y1", y(status.level));
  line.setAttribute("y2", y(status.level));
  card.querySelector(".spans").replaceChildren(...timeline.events.map((span) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const from = x(Date.parse(span.start) / 1000);
    const to = span.end ? x(Date.parse(span.end) / 1000) : 1440;
    const width = Math.max(to - from, 6);
    rect.setAttribute("class", span.kind);
    rect.setAttribute("x", Math.min(from, 1440 - width));
    rect.setAttribute("width", width);
    rect.setAttribute("height", 100);
    return rect;
  }));
}

function showEvents(latest) {
  const list = byId("events");
  const ids = new Set(latest.map((event) => event.id));
  for (const [id, { card }] of events) {
    if (ids.has(id)) continue;
    card.remove();
    events.delete(id);
  }
  latest.forEach((event, place) => {
    if (!events.has(event.id)) events.set(event.id, { card: clone("event"), shown: "" });
    const known = events.get(event.id);
    const json = JSON.stringify(event);
    if (known.shown !== json) describe(known.card, event);
    known.shown = json;
    // Moving a card would stop its clip.
    if (list.children[place] !== known.card) list.insertBefore(known.card, list.children[place] ?? null);
  });
  byId("no-events").hidden = latest.length > 0;
  byId("no-events").textContent = day() ? "No event on this day." : "No event so far.";
}

function describe(card, event) {
  card.className = `card event ${event.kind}`;
  set(card, ".kind", KINDS[event.kind]);
  set(card, ".where", event.camera);
  const begin = event.start_time ? moment(event.start_time) : `${event.start_seconds.toFixed(1)} s of the video`;
  const lasting = duration(event.end_seconds - event.start_seconds);
  set(card, ".when", event.state === "end" ? `${begin} for ${lasting}` : `since ${begin}, not ended`);
  set(card, ".what", details(event));
  const figure = card.querySelector("figure");
  const image = figure.querySelector("img");
  const play = card.querySelector(".play");
  const clips = [event.clip, ...event.more_clips].filter(Boolean);
  figure.hidden = !event.snapshot && !clips.length;
  if (event.snapshot) image.src = `${event.snapshot}?frame=${event.peak_frame}`;
  image.hidden = !event.snapshot;
  image.alt = `${event.camera} at the highest score`;
  play.hidden = !clips.length || figure.querySelector("video") !== null;
  play.onclick = () => {
    const video = document.createElement("video");
    Object.assign(video, { controls: true, autoplay: true, muted: true, src: clips[0] });
    video.onended = () => {
      const next = clips[clips.indexOf(video.getAttribute("src")) + 1];
      if (next) video.src = next;
    };
    image.hidden = play.hidden = true;
    figure.append(video);
  };
}

function details(event) {
  const parts = [];
  if (event.reason) parts.push(event.reason);
  if (event.peak_score !== null) parts.push(`highest score ${event.peak_score.toFixed(1)}`);
  if (event.normal_per_hour !== null) {
    parts.push(`expected ${Number(event.normal_per_hour.toPrecision(2))} times an hour in normal video`);
  }
  if (!event.notified) parts.push("no notification sent");
  return parts.join(" · ");
}

let answered = new Date();

async function refresh() {
  const only = byId("only").value;
  try {
    const [statuses, all] = await Promise.all([get("/api/cameras"), get("/api/events")]);
    const chosen = question({ camera: only, day: day() });
    const shown = chosen.size ? await get(`/api/events?${chosen}`) : all;
    open = all.filter((event) => event.state !== "end");
    showCameras(statuses);
    showEvents(shown);
    answered = new Date();
  } catch (error) {
    console.debug(error);
  }
  const silent = new Date() - answered > 3 * REFRESH;
  document.body.classList.toggle("stale", silent);
  byId("no-answer").hidden = !silent;
  byId("no-answer").textContent = `memguard has not answered since ${time.format(answered)}.`;
}

async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, REFRESH);
}

function choose() {
  byId("latest").hidden = !day();
  cameras.forEach((camera, name) => refreshTimeline(name, camera));
  refresh();
}

byId("only").addEventListener("change", refresh);
byId("day").addEventListener("change", choose);
byId("latest").addEventListener("click", () => {
  byId("day").value = "";
  choose();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => {
  if (!document.hidden) cameras.forEach((camera, name) => refreshTimeline(name, camera));
}, TIMELINE_REFRESH);
keepFresh();
