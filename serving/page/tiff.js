// The size of a GeoTIFF, read from its head before it is sent; null for whatever does not look like one.

const [WIDTH, HEIGHT] = [256, 257];
const LONGEST = 4096;

export async function sizeOf(file) {
  try {
    const head = new DataView(await file.slice(0, 16).arrayBuffer());
    const order = { 0x4949: true, 0x4d4d: false }[head.getUint16(0)];
    if (order === undefined) return null;
    const big = head.getUint16(2, order) === 43;
    if (!big && head.getUint16(2, order) !== 42) return null;
    const first = big ? Number(head.getBigUint64(8, order)) : head.getUint32(4, order);
    return await directory(file, first, order, big);
  } catch {
    return null;
  }
}

async function directory(file, first, order, big) {
  const view = new DataView(await file.slice(first, first + LONGEST).arrayBuffer());
  const [start, edge] = big ? [8, 20] : [2, 12];
  const many = big ? Number(view.getBigUint64(0, order)) : view.getUint16(0, order);
  const found = {};
  for (let position = start; position + edge <= view.byteLength && position < start + many * edge; position += edge) {
    const [tag, kind] = [view.getUint16(position, order), view.getUint16(position + 2, order)];
    if (tag !== WIDTH && tag !== HEIGHT) continue;
    const where = position + (big ? 12 : 8);
    found[tag] = kind === 3 ? view.getUint16(where, order) : kind === 16 ? Number(view.getBigUint64(where, order)) : view.getUint32(where, order);
  }
  return found[WIDTH] && found[HEIGHT] ? { width: found[WIDTH], height: found[HEIGHT] } : null;
}
