"use strict";
// A board on a canvas. In: a map and what of it is to be seen, both as Python made them. Out: pixels. No rules are
// known here: cells are numbered row by row, and sets of cells are bits, the first in the lowest bit of the first byte.

const NAMES = [["A", "B", "C", "D"], ["a", "b", "c", "d"]];
const SIDES = ["red", "blue"];
const NOBODY = -1;

const bytesOf = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const has = (bits, cell) => ((bits[cell >> 3] >> (cell & 7)) & 1) === 1;

/** An element by its id. */
const el = (id) => document.getElementById(id);

/** A new element with properties and children; texts are never read as HTML. */
function made(name, properties = {}, ...children) {
  const one = Object.assign(document.createElement(name), properties);
  one.append(...children);
  return one;
}

/** The colours of the stylesheet, for light or dark. */
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["red", "blue", "on-side", "left-red", "left-blue", "grid", "mid", "tree", "tree-low", "fog", "veil", "jail",
    "pole", "halo", "accent", "ink", "muted", "line", "good", "bad", "none", "paper"];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
readColours();

/** Call this whenever colours or the width of the page have changed. */
function onLook(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
  let width = 0;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    redraw();
  }).observe(document.body);
}

/**
 * Draw a board.
 * ground: {width, height, left: the side whose land is at the left, jails: [cells of red's and of blue's prisoners]}.
 * scene: {trees: bits, flags: [[side, cell, carried]], pieces: [{side, number, x, y, carries, ghost, ago}],
 *   jailed: [[numbers of red], [numbers of blue]], fog: null or {seen, explored}, paths: [{side, cells, near}], chosen}.
 */
function paint(canvas, ground, scene) {
  const sharp = window.devicePixelRatio || 1;
  const scale = Math.max(6, Math.floor((canvas.clientWidth * sharp) / ground.width));
  if (canvas.width !== scale * ground.width || canvas.height !== scale * ground.height) {
    canvas.width = scale * ground.width;
    canvas.height = scale * ground.height;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  paintGround(pen, ground, scene, 1 / scale);
  for (const path of scene.paths || []) paintPath(pen, ground, path);
  for (const piece of scene.pieces) if (piece.ghost) paintPiece(pen, piece, false);
  for (const piece of scene.pieces) if (!piece.ghost) paintPiece(pen, piece, scene.chosen === piece);
  for (const [side, cell, carried] of scene.flags)
    paintFlag(pen, (cell % ground.width) + 0.5, Math.floor(cell / ground.width) + 0.5, side, carried);
}

function paintGround(pen, ground, scene, pixel) {
  const { width, height } = ground;
  const lands = ground.left === 0 ? ["left-red", "left-blue"] : ["left-blue", "left-red"];
  lands.forEach((land, half) => {
    pen.fillStyle = colours[land];
    pen.fillRect((half * width) / 2, 0, width / 2, height);
  });
  pen.fillStyle = colours.grid;
  for (let x = 1; x < width; x++) pen.fillRect(x, 0, pixel, height);
  for (let y = 1; y < height; y++) pen.fillRect(0, y, width, pixel);
  for (let cell = 0; cell < width * height; cell++) {
    const x = cell % width, y = Math.floor(cell / width);
    if (has(scene.trees, cell)) paintTree(pen, x + 0.5, y + 0.5);
    if (!scene.fog || has(scene.fog.seen, cell)) continue;
    pen.fillStyle = has(scene.fog.explored, cell) ? colours.veil : colours.fog;
    pen.fillRect(x, y, 1, 1);
  }
  pen.strokeStyle = colours.mid;
  pen.lineWidth = 0.05;
  pen.setLineDash([0.25, 0.2]);
  pen.beginPath();
  pen.moveTo(width / 2, 0);
  pen.lineTo(width / 2, height);
  pen.stroke();
  pen.setLineDash([]);
  ground.jails.forEach((cell, side) => paintJail(pen, cell % width, Math.floor(cell / width), side, scene.jailed[side]));
}

function disc(pen, x, y, radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function paintTree(pen, x, y) {
  disc(pen, x, y + 0.06, 0.41, colours["tree-low"]);
  disc(pen, x, y - 0.04, 0.36, colours.tree);
}

/** The jail of a side's players, with those who are in it. */
function paintJail(pen, x, y, side, jailed) {
  pen.strokeStyle = colours.jail;
  pen.lineWidth = 0.07;
  pen.strokeRect(x + 0.07, y + 0.07, 0.86, 0.86);
  for (const number of jailed)
    disc(pen, x + 0.3 + 0.4 * (number % 2), y + 0.3 + 0.4 * Math.floor(number / 2), 0.15, colours[SIDES[side]]);
  pen.beginPath();
  for (const bar of [0.285, 0.5, 0.715]) {
    pen.moveTo(x + bar, y + 0.07);
    pen.lineTo(x + bar, y + 0.93);
  }
  pen.lineWidth = 0.045;
  pen.stroke();
}

/** Red's players are round, blue's are square with round corners, so that nobody has to tell colours apart. */
function outline(pen, side, x, y, size) {
  pen.beginPath();
  if (side === 0) pen.arc(x, y, size, 0, 2 * Math.PI);
  else pen.roundRect(x - size * 0.92, y - size * 0.92, size * 1.84, size * 1.84, size * 0.45);
}

function paintPiece(pen, piece, chosen) {
  const x = piece.x + 0.5, y = piece.y + 0.5, colour = colours[SIDES[piece.side]];
  pen.globalAlpha = piece.ghost ? Math.max(0.35, 0.8 - (piece.ago || 0) / 200) : 1;
  outline(pen, piece.side, x, y, 0.4);
  if (piece.ghost) {
    pen.strokeStyle = colour;
    pen.lineWidth = 0.07;
    pen.setLineDash([0.14, 0.12]);
    pen.stroke();
    pen.setLineDash([]);
  } else {
    pen.fillStyle = colour;
    pen.fill();
    pen.strokeStyle = colours.halo;
    pen.lineWidth = 0.05;
    pen.stroke();
  }
  pen.fillStyle = piece.ghost ? colour : colours["on-side"];
  pen.font = "600 0.5px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  pen.fillText(NAMES[piece.side][piece.number], x, y + (piece.side === 0 ? 0.18 : 0.15));
  if (chosen) {
    outline(pen, piece.side, x, y, 0.5);
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 0.08;
    pen.stroke();
  }
  pen.globalAlpha = 1;
  if (piece.carries) paintFlag(pen, x + 0.28, y - 0.28, 1 - piece.side, false);
}

/** A pennant; one that was carried away leaves its outline. */
function paintFlag(pen, x, y, side, carried) {
  pen.lineWidth = 0.16;
  pen.lineJoin = "round";
  const cloth = new Path2D();
  cloth.moveTo(x - 0.2, y - 0.38);
  cloth.lineTo(x + 0.34, y - 0.17);
  cloth.lineTo(x - 0.2, y + 0.04);
  cloth.closePath();
  if (!carried) {
    pen.strokeStyle = colours.halo;
    pen.stroke(cloth);
    pen.fillStyle = colours[SIDES[side]];
    pen.fill(cloth);
  }
  pen.strokeStyle = carried ? colours[SIDES[side]] : colours.pole;
  pen.lineWidth = 0.06;
  if (carried) pen.stroke(cloth);
  pen.beginPath();
  pen.moveTo(x - 0.22, y - 0.42);
  pen.lineTo(x - 0.22, y + 0.42);
  pen.stroke();
}

/** Where somebody is going to go: the steps of this turn as a line, the rest of the way as dots. */
function paintPath(pen, ground, path) {
  const at = (cell) => [(cell % ground.width) + 0.5, Math.floor(cell / ground.width) + 0.5];
  pen.strokeStyle = colours[SIDES[path.side]];
  pen.lineWidth = 0.13;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  path.cells.slice(0, path.near + 1).forEach((cell) => pen.lineTo(...at(cell)));
  pen.stroke();
  path.cells.slice(path.near).forEach((cell, i, rest) => {
    const [x, y] = at(cell);
    if (i === rest.length - 1 || i > 0) disc(pen, x, y, i === 0 ? 0.17 : 0.1, colours[SIDES[path.side]]);
  });
  if (path.target === undefined || path.target === null) return;
  const [x, y] = at(path.target);
  pen.lineWidth = 0.07;
  pen.beginPath();
  pen.arc(x, y, 0.3, 0, 2 * Math.PI);
  pen.stroke();
}
