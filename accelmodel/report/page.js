// The figures of a page: plotly.js unpacked, then drawn as wide and as dark as the screen is.
"use strict";

// as report/html.py packs: base 85, with what HTML reads as its own replaced
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;/=>?@^_`{|}~";

function bytes(text) {
  const value = new Uint8Array(128);
  for (let i = 0; i < 85; i++) value[DIGITS.charCodeAt(i)] = i;
  const short = (5 - (text.length % 5)) % 5;
  const digits = text + "~".repeat(short);
  const found = new Uint8Array((digits.length / 5) * 4);
  for (let i = 0, j = 0; i < digits.length; i += 5, j += 4) {
    let four = 0;
    for (let k = 0; k < 5; k++) four = four * 85 + value[digits.charCodeAt(i + k)];
    found[j] = four >>> 24;
    found[j + 1] = four >>> 16;
    found[j + 2] = four >>> 8;
    found[j + 3] = four;
  }
  return found.subarray(0, found.length - short);
}

async function unpacked(source) {
  const packed = bytes(source.textContent.trim());
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

// paper, ink and lines of figures → in the dark; what is written on a colour stays
const DARK = JSON.parse(document.getElementById("dark-colours").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 700px)");
const printed = matchMedia("print");

function shaded(text) {
  if (!dark.matches || printed.matches) return text;
  return text.replace(/"(#[0-9a-f]{6}|white)"/g, (whole, colour) => (colour in DARK ? `"${DARK[colour]}"` : whole));
}

function put(layout, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  let at = layout;
  for (const key of keys) at = at[key] ??= {};
  at[last] = value;
}

const figures = [];

function drawAll() {
  for (const { place, text } of figures) {
    const figure = JSON.parse(shaded(text));
    const small = figure.layout.meta?.narrow ?? {};
    if (narrow.matches) for (const [path, value] of Object.entries(small)) put(figure.layout, path, value);
    Plotly.newPlot(place, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }
}

async function begin() {
  const script = document.createElement("script");
  script.textContent = await unpacked(document.getElementById("plotly"));
  document.head.append(script);
  for (const source of document.querySelectorAll("script[data-figure]")) {
    figures.push({ place: source.dataset.figure, text: await unpacked(source) });
  }
  drawAll();
  for (const asked of [dark, narrow]) asked.addEventListener("change", drawAll);
  for (const button of document.querySelectorAll("button[data-format]")) {
    button.addEventListener("click", () => {
      const { format, of } = button.dataset;
      Plotly.downloadImage(of, { format, filename: of, scale: format === "png" ? 2 : 1 });
    });
  }
  document.documentElement.classList.add("drawn");
}

for (const button of document.querySelectorAll("button[data-file]")) {
  button.addEventListener("click", async () => {
    const link = document.createElement("a");
    const text = await unpacked(document.getElementById(button.dataset.file));
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = button.dataset.name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

if (document.querySelector("script[data-figure]")) begin();
