// Tile layers of one prediction. Tiles are fetched, not linked, so that a key can travel with the question.

import { askForKey, credentials, refused } from "./service.js";

const { L } = window;
const EDGE = 256;

const Fetched = L.GridLayer.extend({
  options: { tileSize: EDGE, keepBuffer: 1, updateWhenZooming: false },

  initialize(id, layer, options) {
    L.setOptions(this, options);
    this.address = (place) => `/tiles/${place.z}/${place.x}/${place.y}${devicePixelRatio > 1.25 ? "@2x" : ""}.png?prediction=${id}&layer=${layer}`;
    this.on("tileunload", ({ tile }) => tile.given?.abort());
  },

  createTile(place, done) {
    const tile = this.blank();
    tile.given = new AbortController();
    this.fetched(place, tile).then(() => done(null, tile), (error) => done(error, tile));
    return tile;
  },

  async fetched(place, tile) {
    const answer = await fetch(this.address(place), { headers: credentials(), signal: tile.given.signal });
    if (answer.status === 401) askForKey(() => this.redraw());
    if (!answer.ok) throw await refused(answer);
    await this.paint(tile, await answer.blob());
  },
});

/** Pixels as they are: edges of map pixels stay sharp at any zoom. */
export const Pictured = Fetched.extend({
  blank() {
    const image = document.createElement("img");
    image.alt = "";
    image.className = this.options.sharp ? "sharp" : "";
    return image;
  },

  async paint(image, blob) {
    const url = URL.createObjectURL(blob);
    image.src = url;
    try {
      await image.decode();
    } finally {
      URL.revokeObjectURL(url);
    }
  },
});

/** Stripes wherever the tile is opaque; they keep their width on the screen and meet at the edges of tiles. */
export const Hatched = Fetched.extend({
  blank() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = EDGE * (devicePixelRatio > 1.25 ? 2 : 1);
    return canvas;
  },

  async paint(canvas, blob) {
    const mask = await createImageBitmap(blob);
    const brush = canvas.getContext("2d");
    brush.imageSmoothingEnabled = false;
    brush.drawImage(mask, 0, 0, canvas.width, canvas.height);
    brush.globalCompositeOperation = "source-in";
    brush.fillStyle = brush.createPattern(stripes(canvas.width / EDGE), "repeat");
    brush.fillRect(0, 0, canvas.width, canvas.height);
    mask.close();
  },
});

// A square that repeats without a seam: its edge divides that of a tile.
function stripes(scale) {
  const edge = 8 * scale;
  const square = document.createElement("canvas");
  square.width = square.height = edge;
  const brush = square.getContext("2d");
  brush.fillStyle = "rgba(255, 244, 238, .42)";
  brush.fillRect(0, 0, edge, edge);
  brush.strokeStyle = "#3b0410";
  brush.lineWidth = 2 * scale;
  for (const shift of [-edge, 0, edge]) {
    brush.beginPath();
    brush.moveTo(shift - edge / 2, edge * 1.5);
    brush.lineTo(shift + edge * 1.5, -edge / 2);
    brush.stroke();
  }
  return square;
}
