// The page to watch games on. In: films, as Python made them. Out: the board at any tick, from above or as one side
// sees it: for that, bits of what is seen from every cell are joined, and nothing else is worked out here.

const data = JSON.parse(el("data").textContent);
const PLAYERS = 4;
const now = { game: 0, at: 0, view: "god", playing: false, then: 0 };
const reels = new Map();
let mark = () => {};

/** A flat list of changes as an array with a value for every tick. */
function spread(changes, ticks) {
  const values = new Int16Array(ticks + 1);
  for (let i = 0; i < changes.length; i += 2) values.fill(changes[i + 1], changes[i]);
  return values;
}

/** A game with all that changes spread out. */
function reel(index) {
  if (!reels.has(index)) {
    const game = data.games[index], map = data.maps[game.map], all = (lists) => lists.map((one) => spread(one, game.ticks));
    const cells = map.width * map.height;
    reels.set(index, {
      ...game, cells, step: Math.ceil(cells / 8), see: bytesOf(map.see), trees: bytesOf(map.trees),
      ground: { width: map.width, height: map.height, left: 0, jails: map.jails, flags: map.flags },
      tracks: all(game.tracks), carriers: all(game.carriers), sightings: game.sightings.map(all),
      captions: spread(game.captions, game.ticks),
    });
  }
  return reels.get(index);
}

/** What the free players of a side see at a tick, as bits. */
function sight(film, side, tick) {
  const seen = new Uint8Array(film.step);
  for (let player = 0; player < PLAYERS; player++) {
    const cell = film.tracks[side * PLAYERS + player][tick];
    if (cell >= 0) for (let i = 0; i < film.step; i++) seen[i] |= film.see[cell * film.step + i];
  }
  return seen;
}

/** What a side had seen by a tick, as bits. */
function explored(film, side, tick) {
  const bits = new Uint8Array(film.step);
  film.explored[side].forEach((first, cell) => { if (first >= 0 && first <= tick) bits[cell >> 3] |= 1 << (cell & 7); });
  return bits;
}

/** All that is to be drawn: of a tick, and how far the step after it has come. */
function scene(film, tick, view, part = 0) {
  const { width, flags } = film.ground, looks = SIDES.indexOf(view);
  const fog = looks < 0 ? null : { seen: sight(film, looks, tick), explored: explored(film, looks, tick) };
  const jailed = [[], []], pieces = [];
  const visible = (side, cell) => !fog || side === looks || has(fog.seen, cell);
  const place = (cell) => [cell % width, Math.floor(cell / width)];
  film.tracks.forEach((track, i) => {
    const side = Math.floor(i / PLAYERS), number = i % PLAYERS, cell = track[tick];
    if (cell < 0) { jailed[side].push(number); return; }
    if (visible(side, cell)) {
      const next = track[Math.min(tick + 1, film.ticks)], [x, y] = place(cell);
      const [dx, dy] = next < 0 ? [0, 0] : [(next % width) - x, Math.floor(next / width) - y];
      const moves = part > 0 && Math.abs(dx) + Math.abs(dy) === 1 && visible(side, next);
      const carries = film.carriers[side][tick] === number;
      pieces.push({ side, number, carries, x: x + (moves ? dx * part : 0), y: y + (moves ? dy * part : 0) });
    } else if (film.sightings[looks][number][tick] >= 0) {
      const [x, y] = place(film.sightings[looks][number][tick]);
      pieces.push({ side, number, x, y, ghost: true });
    }
  });
  const shown = flags.map((cell, side) => [side, cell, film.carriers[1 - side][tick] !== NOBODY])
    .filter(([side, cell]) => !fog || side === looks || has(fog.explored, cell));
  return { trees: film.trees, fog, jailed, pieces, flags: shown };
}

function clock(film, tick) {
  const turn = Math.min(Math.floor(tick / film.turn), Math.floor((film.ticks - 1) / film.turn));
  return `step ${tick} of ${film.ticks}, round ${Math.floor(turn / 2) + 1}`;
}

function list(film, tick) {
  const names = SIDES.map((side, s) => film.tracks.slice(s * PLAYERS, (s + 1) * PLAYERS)
    .flatMap((track, i) => (track[tick] < 0 ? [NAMES[s][i]] : [])).join(", "));
  const held = SIDES.flatMap((side, s) => (names[s] ? [made("span", { className: side }, `${side} ${names[s]}`), " "] : []));
  el("jail").replaceChildren(...(held.length ? held : ["nobody"]));
  const carried = SIDES.flatMap((side, s) => {
    const who = film.carriers[1 - s][tick], other = SIDES[1 - s];
    if (who === NOBODY) return [];
    if (now.view === side) return [made("span", { className: side }, `${side}’s`), " is carried away. "];
    return [made("span", { className: other }, `${other} ${NAMES[1 - s][who]}`), ` carries ${side}’s. `];
  });
  el("flags").replaceChildren(...(carried.length ? carried : ["both at home"]));
}

let told = "";
function draw() {
  const film = reel(now.game), tick = Math.floor(now.at);
  paint(el("board"), film.ground, scene(film, tick, now.view, now.playing && !calm.matches ? now.at - tick : 0));
  const tells = [now.game, tick, now.view].join();
  if (told === tells) return;
  told = tells;
  const caption = data.captions[film.captions[tick]];
  el("caption").textContent = caption;
  el("board").setAttribute("aria-label", caption);
  el("clock").textContent = clock(film, tick);
  el("time").value = tick;
  el("time").setAttribute("aria-valuetext", clock(film, tick));
  list(film, tick);
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function go(at) {
  const film = reel(now.game);
  now.at = Math.min(Math.max(at, 0), film.ticks);
  if (now.at >= film.ticks) pause();
  draw();
}

function pause() {
  now.playing = false;
  el("play").textContent = "Play";
}

function play() {
  if (now.playing) { pause(); draw(); return; }
  if (now.at >= reel(now.game).ticks) now.at = 0;
  now.playing = true;
  now.then = performance.now();
  el("play").textContent = "Pause";
  requestAnimationFrame(run);
}

function run(time) {
  if (!now.playing) return;
  const on = (Math.max(0, time - now.then) / 1000) * Number(el("speed").value);
  now.then = time;
  go(now.at + Math.min(on, 24));
  requestAnimationFrame(run);
}

/** Show another game, from its beginning. */
function show(index) {
  now.game = Math.min(Math.max(index, 0), data.games.length - 1);
  const film = reel(now.game);
  el("game").value = now.game;
  el("game").setAttribute("aria-valuetext", film.name);
  el("name").textContent = film.name;
  el("time").max = film.ticks;
  el("who").replaceChildren(made("span", { className: "red" }, film.red), " against ", made("span", { className: "blue" }, film.blue));
  for (const side of SIDES) el(side).replaceChildren(made("span", { className: side }, film[side]));
  el("result").textContent = film.result;
  el("events").replaceChildren(...film.events.map(([tick, kind, side, text]) => {
    const dot = made("i");
    dot.style.background = `var(--${SIDES[side]})`;
    const button = made("button", { onclick: () => { pause(); go(tick); } }, made("b", {}, String(tick)), dot, text);
    return made("li", {}, button);
  }));
  if (!film.events.length) el("events").append(made("li", { className: "muted" }, "Nobody is tagged, no flag is taken."));
  drawMarks(film);
  mark(film.generation);
  pause();
  go(0);
}

/** Events above the time bar: tags are discs, flags pennants, in the colour of whom they are about. */
function drawMarks(film) {
  const svg = el("marks"), width = svg.clientWidth || 300;
  svg.setAttribute("viewBox", `0 0 ${width} 16`);
  svg.replaceChildren(...film.events.map(([tick, kind, side, text]) => {
    const x = 8 + (tick / film.ticks) * (width - 16), fill = `var(--${SIDES[side]})`;
    const form = kind === "tag" || kind === "freed"
      ? drawn("circle", { cx: x, cy: 8, r: 4, fill: kind === "tag" ? fill : "none", stroke: fill, "stroke-width": 1.5 })
      : drawn("path", { d: `M${x - 3} 15V2L${x + 6} 6L${x - 3} 10`, fill: kind === "taken" ? fill : "none", stroke: fill });
    form.append(drawn("title", {}, text));
    return form;
  }));
}

function look(view) {
  now.view = view;
  for (const one of document.getElementsByName("view")) one.checked = one.value === view;
  draw();
}

function layOut() {
  if (data.elo.length) {
    el("elo").hidden = false;
    mark = drawElo(el("elo"), data.elo, data.anchors);
    mark(reel(now.game).generation);
  }
  for (const [id, drawing] of [["graph", drawGraph], ["ancestors", drawAncestors]])
    if (data[id]) { el(id).hidden = false; drawing(el(id), data[id]); }
  if (data.weights.length) { el("weights").hidden = false; drawWeights(el("weights"), data.weights); }
  drawMarks(reel(now.game));
  draw();
}

const KEYS = {
  " ": play,
  ArrowLeft: (event) => { pause(); go(Math.ceil(now.at) - (event.shiftKey ? reel(now.game).turn : 1)); },
  ArrowRight: (event) => { pause(); go(Math.floor(now.at) + (event.shiftKey ? reel(now.game).turn : 1)); },
  Home: () => { pause(); go(0); },
  End: () => { pause(); go(reel(now.game).ticks); },
  e: () => look("god"), r: () => look("red"), b: () => look("blue"),
  "[": () => show(now.game - 1), "]": () => show(now.game + 1),
};

document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, select, summary") || (event.key === " " && event.target.closest("button"));
  const done = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (busy || !done || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  done(event);
});
el("play").onclick = play;
el("begin").onclick = () => KEYS.Home();
el("end").onclick = () => KEYS.End();
el("back").onclick = (event) => KEYS.ArrowLeft(event);
el("on").onclick = (event) => KEYS.ArrowRight(event);
el("time").oninput = () => { pause(); go(Number(el("time").value)); };
el("game").oninput = () => show(Number(el("game").value));
el("views").onchange = (event) => look(event.target.value);
el("title").textContent = data.title;
el("game").max = data.games.length - 1;
el("game").hidden = data.games.length < 2;
show(data.games.length - 1);
onLook(layOut);
