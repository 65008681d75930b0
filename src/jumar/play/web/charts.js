// Drawings beside the game: ratings of generations, a network, painted weights, wins over ancestors. In: measured
// numbers, and a section of the page. Out: SVG or pixels at the width there is, drawn anew when that changes.

/** A new element of SVG; children may be texts. */
function drawn(name, attributes = {}, ...children) {
  const one = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  one.append(...children);
  return one;
}

/** An empty drawing as wide as there is room. */
function sheet(svg, height) {
  const width = Math.max(200, svg.parentNode.clientWidth);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  return width;
}

/** Round numbers between two others, about so many. */
function ticks(low, high, about) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((part) => part * power).find((part) => part >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.round(at * 1e6) / 1e6);
  return found;
}

/** An interval in words; an end that is the rating itself is open. */
function between(rating, low, high) {
  const [least, most] = [Math.round(low), Math.round(high)];
  if (low < rating && rating < high) return `between ${least} and ${most}`;
  return low < rating ? `${least} or more` : rating < high ? `${most} or less` : "not bounded";
}

/** Ratings with their intervals; returns a function that marks a generation. */
function drawElo(figure, points, anchors) {
  const svg = figure.querySelector("svg"), height = 190;
  const width = sheet(svg, height), left = 44, right = 12, top = 10, bottom = 30;
  const generations = points.map(([generation]) => generation);
  const ratings = [...points.flatMap(([, , low, high]) => [low, high]), ...anchors.map(([, rating]) => rating)];
  const first = Math.min(...generations), span = Math.max(...generations) - first || 1;
  const pad = (Math.max(...ratings) - Math.min(...ratings)) * 0.06 || 1;
  const low = Math.min(...ratings) - pad, high = Math.max(...ratings) + pad;
  const x = (generation) => left + ((generation - first) / span) * (width - left - right);
  const y = (rating) => height - bottom - ((rating - low) / (high - low)) * (height - top - bottom);
  for (const at of ticks(low, high, 4))
    svg.append(drawn("line", { x1: left, x2: width - right, y1: y(at), y2: y(at), stroke: "var(--line)" }),
      drawn("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, String(at)));
  for (const at of ticks(first, first + span, width < 400 ? 4 : 6).filter(Number.isInteger))
    svg.append(drawn("text", { x: x(at), y: height - 12, "text-anchor": "middle" }, String(at)));
  const upper = points.map(([generation, , , most]) => `${x(generation)},${y(most)}`);
  const lower = points.map(([generation, , least]) => `${x(generation)},${y(least)}`).reverse();
  svg.append(
    drawn("polygon", { points: [...upper, ...lower].join(" "), fill: "var(--accent)", opacity: 0.18 }),
    drawn("polyline", { points: points.map(([generation, rating]) => `${x(generation)},${y(rating)}`).join(" "), fill: "none", stroke: "var(--accent)", "stroke-width": 2 }),
  );
  for (const [name, rating] of anchors)
    svg.append(drawn("line", { x1: left, x2: width - right, y1: y(rating), y2: y(rating), stroke: "var(--muted)", "stroke-dasharray": "4 4" }),
      drawn("text", { x: width - right, y: y(rating) - 5, "text-anchor": "end", class: "over" }, name));
  const line = drawn("line", { y1: top, y2: height - bottom, stroke: "var(--ink)", "stroke-width": 1 });
  const dot = drawn("circle", { r: 4.5, fill: "var(--accent)", stroke: "var(--paper)", "stroke-width": 2 });
  svg.append(line, dot);
  return (generation) => {
    const here = points.find(([one]) => one === generation);
    const inside = generation !== null && generation >= first && generation <= first + span;
    line.style.display = inside ? "" : "none";
    dot.style.display = here ? "" : "none";
    if (inside) for (const end of ["x1", "x2"]) line.setAttribute(end, x(generation));
    if (here) { dot.setAttribute("cx", x(here[0])); dot.setAttribute("cy", y(here[1])); }
    figure.querySelector("figcaption").textContent = here
      ? `Generation ${here[0]}: Elo ${Math.round(here[1])}, ${between(...here.slice(1))}`
      : "Elo by generation, with its interval; where the band ends at the curve the games do not bound it";
  };
}

/** A network: nodes at their places, links as thick as their weights. */
function drawGraph(section, graph) {
  const svg = section.querySelector("svg"), height = 320;
  const width = sheet(svg, height), margin = 42;
  const scaled = (place, room) => {
    const values = graph.nodes.map((node) => node[place]);
    const low = Math.min(...values), span = Math.max(...values) - low;
    return (value) => (span ? margin + ((value - low) / span) * (room - 2 * margin) : room / 2);
  };
  const x = scaled(0, width), y = scaled(1, height);
  const most = Math.max(...graph.links.map(([, , weight]) => Math.abs(weight)), 1e-9);
  for (const [source, target, weight] of graph.links) {
    const [from, to] = [graph.nodes[source], graph.nodes[target]];
    svg.append(drawn("line", {
      x1: x(from[0]), y1: y(from[1]), x2: x(to[0]), y2: y(to[1]), stroke: weight > 0 ? "var(--blue)" : "var(--red)",
      "stroke-width": 0.6 + (3.4 * Math.abs(weight)) / most, opacity: 0.65,
    }, drawn("title", {}, weight.toFixed(2))));
  }
  const fed = new Set(graph.links.map(([, target]) => target));
  graph.nodes.forEach(([px, py, activation, label], i) => {
    svg.append(drawn("circle", { cx: x(px), cy: y(py), r: 9, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 1.5 }));
    // What feeds others only passes on what it is given: its activation is of no interest.
    if (fed.has(i)) svg.append(drawn("text", { x: x(px), y: y(py) + 24, "text-anchor": "middle", class: "over" }, activation));
    if (label) svg.append(drawn("text", { x: x(px), y: y(py) - 14, "text-anchor": "middle", class: "over strong" }, label));
  });
  section.querySelector("h2").textContent = graph.name;
  svg.setAttribute("aria-label", `A network of ${graph.nodes.length} nodes and ${graph.links.length} links`);
}

/** A colour between a side's and none. */
const tint = (share) => `color-mix(in srgb, var(--${share < 0 ? "red" : "blue"}) ${Math.round(100 * Math.abs(share))}%, var(--none))`;

/** Painted weights, a pixel each. */
function drawWeights(section, sheets) {
  const rgb = (colour) => {
    const one = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    one.fillStyle = colour;
    one.fillRect(0, 0, 1, 1);
    return [...one.getImageData(0, 0, 1, 1).data];
  };
  const [above, below, none] = [rgb(colours.blue), rgb(colours.red), rgb(colours.none)];
  section.querySelector(".sheets").replaceChildren(...sheets.map((one) => {
    const canvas = made("canvas", { width: one.columns, height: one.rows });
    canvas.style.aspectRatio = `${one.columns} / ${Math.max(one.rows, one.columns / 4)}`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Weights of ${one.label}, ${one.rows} by ${one.columns}`);
    const pen = canvas.getContext("2d"), image = pen.createImageData(one.columns, one.rows);
    new Int8Array(bytesOf(one.parts).buffer).forEach((part, i) => {
      const share = Math.sqrt(Math.abs(part) / 127), end = part > 0 ? above : below;
      for (let c = 0; c < 4; c++) image.data[4 * i + c] = none[c] + share * (end[c] - none[c]);
    });
    pen.putImageData(image, 0, 0);
    return made("figure", {}, canvas, made("figcaption", {}, `${one.label}; up to ±${one.most}`));
  }));
}

/** Wins of generations, in rows, over others, in columns. */
function drawAncestors(section, { generations, against, wins }) {
  const svg = section.querySelector("svg"), left = 34, bottom = 24;
  const width = sheet(svg, 320), height = 320 - bottom;
  const wide = (width - left - 8) / against.length, high = height / generations.length;
  const every = (count, room) => Math.max(1, Math.ceil(count / Math.max(1, Math.floor(room))));
  const rows = every(generations.length, height / 16), columns = every(against.length, (width - left) / 34);
  wins.forEach((row, i) => {
    if (i % rows === 0) svg.append(drawn("text", { x: left - 6, y: (i + 0.5) * high + 4, "text-anchor": "end" }, String(generations[i])));
    row.forEach((share, j) => {
      if (share === null) return;
      const cell = { x: left + j * wide, y: i * high, width: wide + 0.5, height: high + 0.5 };
      const said = `${generations[i]} against ${against[j]}: ${Math.round(100 * share)}%`;
      const box = drawn("rect", cell, drawn("title", {}, said));
      box.style.fill = tint(2 * share - 1);
      svg.append(box);
    });
  });
  against.forEach((generation, j) => {
    if (j % columns === 0) svg.append(drawn("text", { x: left + (j + 0.5) * wide, y: 320 - 6, "text-anchor": "middle" }, String(generation)));
  });
  svg.setAttribute("aria-label", `Wins of ${generations.length} generations against ${against.length}`);
}
