// The page on which a person commands a side. In: frames of what that side knows, from the server, which holds the
// game. Out: three steps for each of four players. The page plans ways through cells that are known to be open; what a
// step leads to only the server knows.

const offers = JSON.parse(el("data").textContent);
const PLAYERS = 4, STEPS = 3;
const KEYS = { ArrowUp: 1, ArrowRight: 2, ArrowDown: 3, ArrowLeft: 4, w: 1, d: 2, s: 3, a: 4 };
const ARROWS = ["·", "↑", "→", "↓", "←"];
let game = null, frame = null, chosen = 0, busy = false, orders = [], past = [], plans = [], showing = 0;

const nothing = () => ({ steps: [], target: null });
const mySide = () => SIDES.indexOf(game.side);
const width = () => game.size[0];
const cells = () => game.size[0] * game.size[1];
const sets = (one) => ({ ...one, ...Object.fromEntries(["seen", "explored", "trees", "open"].map((key) => [key, bytesOf(one[key])])) });

/** The cell to which an action leads, or null if that is off the field. */
function next(cell, action) {
  const x = (cell % width()) + [0, 0, 1, 0, -1][action], y = Math.floor(cell / width()) + [0, -1, 0, 1, 0][action];
  return x < 0 || x >= width() || y < 0 || y >= game.size[1] ? null : y * width() + x;
}

const walked = (from, steps) => steps.reduce((way, action) => [...way, next(way[way.length - 1], action)], [from]);
const last = (way) => way[way.length - 1];

/** The shortest way through cells known to be open to the target, or to what is nearest to it of all that is reached. */
function route(from, target, taken) {
  const apart = (cell) => Math.abs((cell % width()) - (target % width())) + Math.abs(Math.floor(cell / width()) - Math.floor(target / width()));
  const ways = new Map([[from, []]]), waiting = [from];
  let best = from;
  for (const cell of waiting) {
    if (apart(cell) < apart(best)) best = cell;
    for (let action = 1; action <= PLAYERS; action++) {
      const there = next(cell, action);
      if (there === null || ways.has(there) || taken.has(there) || !has(frame.open, there)) continue;
      ways.set(there, [...ways.get(cell), action]);
      waiting.push(there);
    }
  }
  return ways.get(best);
}

/** Plans from orders, one player after the other, round where mates are going to stand. */
function plan() {
  plans = orders.map(() => []);
  const ends = frame.at.slice();
  orders.forEach((order, player) => {
    if (!frame.free[player]) return;
    const taken = new Set(ends.filter((_, mate) => mate !== player && frame.free[mate]));
    plans[player] = order.target === null ? order.steps : route(frame.at[player], order.target, taken);
    ends[player] = last(walked(frame.at[player], plans[player].slice(0, STEPS)));
  });
  draw();
}

/** Change the order of the player that is chosen; what was before can be had again. */
function command(order) {
  if (busy || !game || game.over || !frame.free[chosen]) return;
  past.push({ orders: orders.slice(), chosen });
  orders[chosen] = order;
  plan();
}

function choose(player) {
  chosen = player;
  draw();
}

function pointAt(cell) {
  if (!game || game.over || busy) return;
  const mine = frame.at.findIndex((at, player) => at === cell && frame.free[player]);
  if (mine >= 0) choose(mine);
  else command({ steps: [], target: cell });
}

function stepOn(action) {
  if (busy || !game || game.over || !frame.free[chosen]) return;
  const steps = orders[chosen].target === null ? orders[chosen].steps : [];
  const there = next(last(walked(frame.at[chosen], steps)), action);
  if (steps.length >= STEPS) say("Three steps are a turn.");
  else if (there === null || (has(frame.explored, there) && !has(frame.open, there))) say("Nobody can stand there.");
  else command({ steps: [...steps, action], target: null });
}

function undo() {
  if (busy || !past.length) return;
  ({ orders, chosen } = past.pop());
  plan();
}

/** Ask the server; a refusal is told to the person, and undefined is returned. */
async function ask(path, body) {
  el("wrong").hidden = true;
  let told = "The server cannot be reached.";
  try {
    const posted = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, { cache: "no-store", ...posted });
    const content = await answer.json();
    if (answer.ok) return content;
    told = `${content.what}. ${content.remedy}`;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
  }
  el("wrong").textContent = told;
  el("wrong").hidden = false;
  return undefined;
}

async function endTurn() {
  if (busy || !game || game.over) return;
  busy = true;
  draw();
  const steps = [0, 1, 2].map((sweep) => plans.map((one) => one[sweep] ?? 0));
  const answer = await ask(`games/${game.token}/turn`, { steps });
  if (answer) await receive(answer);
  busy = false;
  if (answer) plan(); else draw();
}

/** Show what came back, frame by frame; then orders to be kept are kept. */
async function receive(answer) {
  const mine = ++showing;
  past = [];
  plans = [];
  el("events").replaceChildren();
  game = { ...answer, over: null };
  for (const one of answer.frames) {
    if (mine !== showing) return;
    frame = sets(one);
    for (const [, side, text] of one.events) {
      const dot = made("i");
      dot.style.background = `var(--${SIDES[side]})`;
      el("events").append(made("li", { className: "line" }, dot, text));
    }
    draw();
    const pace = Number(el("pace").value);
    if (pace && answer.frames.length > 1) await new Promise((done) => setTimeout(done, pace));
  }
  if (!el("events").children.length) el("events").append(made("li", { className: "muted" }, "Nothing to tell of this turn."));
  game = answer;
  orders = orders.map(({ target }, player) => (!frame.free[player] || target === frame.at[player] ? nothing() : { steps: [], target }));
  if (!frame.free[chosen]) chosen = Math.max(0, frame.free.indexOf(true));
  if (game.over) finish();
}

function tellWho({ side, opponent, seed, rounds }) {
  const other = SIDES[1 - SIDES.indexOf(side)], map = seed === null ? "" : `, map ${seed}`;
  el("who").replaceChildren(made("span", { className: side }, "you"), " against ", made("span", { className: other }, opponent),
    `${map}, ${rounds} rounds`);
}

function finish() {
  tellWho(game);
  const won = game.over.winner === game.side;
  el("winner").textContent = `${won ? "You win" : game.over.winner === "draw" ? "Nobody wins" : "You lose"}: ${game.over.text}.`;
  el("watch").href = `games/${game.token}/watch`;
  el("download").href = `games/${game.token}/replay`;
  el("over").hidden = false;
}

/** A game that has begun, or one that was open before the page was loaded again. */
async function open(answer) {
  orders = Array.from({ length: PLAYERS }, nothing);
  chosen = 0;
  busy = true;
  for (const id of ["game", "players", "happened"]) el(id).hidden = false;
  el("over").hidden = true;
  history.replaceState(null, "", `#${answer.token}`);
  tellWho(answer);
  await receive(answer);
  busy = false;
  plan();
  el("board").focus({ preventScroll: true });
}

function scene() {
  const side = mySide(), place = (cell) => ({ x: cell % width(), y: Math.floor(cell / width()) });
  const pieces = frame.at.flatMap((cell, number) => (frame.free[number]
    ? [{ side, number, ...place(cell), carries: frame.carrier === number }] : []));
  const mine = pieces.find((piece) => piece.number === chosen);
  for (let number = 0; number < PLAYERS; number++) {
    const seen = frame.foes[number], was = frame.ghosts[number];
    if (seen !== NOBODY) pieces.push({ side: 1 - side, number, ...place(seen), carries: frame.thief === number });
    else if (was !== NOBODY) pieces.push({ side: 1 - side, number, ...place(was), ghost: true, ago: frame.ages[number] });
  }
  const away = (flags) => flags.map((held, number) => (held ? number : NOBODY)).filter((number) => number !== NOBODY);
  const jailed = [away(frame.free.map((free) => !free)), away(frame.held)];
  const flags = [[side, game.flag, frame.lost]];
  if (frame.goal !== NOBODY) flags.push([1 - side, frame.goal, frame.carrier !== NOBODY]);
  const paths = plans.flatMap((steps, player) => (steps.length || orders[player].target !== null
    ? [{ side, cells: walked(frame.at[player], steps), near: Math.min(STEPS, steps.length), target: orders[player].target }] : []));
  return { trees: frame.trees, fog: frame, pieces, flags, paths, chosen: busy || game.over ? null : mine, jailed: side === 0 ? jailed : jailed.reverse() };
}

function draw() {
  if (!frame) return;
  const side = mySide(), jails = side === 0 ? game.jails : game.jails.slice().reverse();
  paint(el("board"), { width: width(), height: game.size[1], left: side, jails }, scene());
  el("caption").textContent = frame.caption;
  el("board").setAttribute("aria-label", `${frame.caption}. ${where()}`);
  el("phase").textContent = game.over ? "The game has ended." : busy ? "…" : "Your turn";
  el("hint").textContent = "";
  for (const id of ["end", "undo", "cancel"]) el(id).disabled = busy || Boolean(game.over);
  el("undo").disabled ||= !past.length;
  el("team").replaceChildren(...frame.free.map(memberOf));
  el("flags").textContent = `${frame.carrier === NOBODY ? "Theirs is " + (frame.goal === NOBODY ? "not found yet" : "at its place") : `${NAMES[side][frame.carrier]} carries theirs`}; yours is ${frame.lost ? "carried away" : "at its place"}`;
  const count = (flags) => flags.filter(Boolean).length;
  el("jail").textContent = `${PLAYERS - count(frame.free)} of yours, ${count(frame.held)} of theirs`;
}

/** A player's button: its name, and what it is going to do. */
function memberOf(free, player) {
  const steps = (plans[player] || []).slice(0, STEPS), order = orders[player];
  const does = !free ? "in jail" : order.target !== null ? (steps.length ? `goes ${steps.map((one) => ARROWS[one]).join("")}` : "waits")
    : steps.length ? steps.map((one) => ARROWS[one]).join("") : "stays";
  const button = made("button", { onclick: () => choose(player), disabled: !free },
    made("span", { className: game.side }, `${NAMES[mySide()][player]}${frame.carrier === player ? " ⚑" : ""}`), made("small", {}, does));
  button.setAttribute("aria-pressed", String(player === chosen && free && !game.over));
  return button;
}

/** Where everybody is, in words, by column and row. */
function where() {
  const place = (cell) => `column ${(cell % width()) + 1} row ${Math.floor(cell / width()) + 1}`;
  const mine = frame.at.map((cell, i) => `${NAMES[mySide()][i]} ${frame.free[i] ? place(cell) : "in jail"}`);
  const seen = frame.foes.flatMap((cell, i) => (cell === NOBODY ? [] : [`enemy ${NAMES[1 - mySide()][i]} ${place(cell)}`]));
  return [...mine, ...seen].join(", ");
}

function say(text) { el("hint").textContent = text; }

/** Tab goes from player to player, and after the last one on through the page. */
function tab(back) {
  const free = frame.free.flatMap((one, player) => (one ? [player] : []));
  const at = free.indexOf(chosen) + (back ? -1 : 1);
  if (at < 0 || at >= free.length) return false;
  choose(free[at]);
  return true;
}

document.addEventListener("keydown", (event) => {
  const onBoard = event.target === el("board") || event.target === document.body;
  if (!onBoard || !game || game.over || event.metaKey || event.altKey || (event.ctrlKey && event.key !== "z")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "Tab" && (event.target !== el("board") || busy || !tab(event.shiftKey))) return;
  else if (key in KEYS) stepOn(KEYS[key]);
  else if (key >= "1" && key <= "4" && frame.free[Number(key) - 1]) choose(Number(key) - 1);
  else if (key === "u" || key === "z" || key === "Backspace") undo();
  else if (key === "x" || key === "Delete" || key === "Escape") command(nothing());
  else if (key === " " || key === "Enter") { if (!event.repeat) endTurn(); }
  else if (key !== "Tab") return;
  event.preventDefault();
});
el("board").addEventListener("click", (event) => {
  const box = el("board").getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * width());
  const y = Math.floor(((event.clientY - box.top) / box.height) * game.size[1]);
  pointAt(Math.min(Math.max(y, 0), game.size[1] - 1) * width() + Math.min(Math.max(x, 0), width() - 1));
});
el("end").onclick = endTurn;
el("undo").onclick = undo;
el("cancel").onclick = () => command(nothing());
el("again").onclick = () => { el("new").scrollIntoView({ block: "center" }); el("start").focus(); };
el("new").onsubmit = async (event) => {
  event.preventDefault();
  const size = offers.sizes[Number(el("size").value)], seed = el("seed").value === "" ? null : Number(el("seed").value);
  el("start").disabled = true;
  const answer = await ask("games", { opponent: el("opponent").value, side: el("side").value, size, seed, rounds: Number(el("rounds").value) });
  el("start").disabled = false;
  if (answer) await open(answer);
};
for (const name of offers.opponents) el("opponent").append(made("option", { value: name }, name));
offers.sizes.forEach(([columns, rows], i) => el("size").append(made("option", { value: i }, `${columns} × ${rows}`)));
el("rounds").value = el("rounds").max = offers.rounds;
el("seed").max = offers.most_seed;
if (matchMedia("(prefers-reduced-motion: reduce)").matches) el("pace").value = "0";
onLook(draw);
if (/^#[\w-]+$/.test(location.hash)) ask(`games/${location.hash.slice(1)}`).then((answer) => answer && open(answer));
