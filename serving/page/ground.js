// Degrees to eastings and northings of a UTM zone, to read under the pointer; the service answers for everything else.
// Krüger's series as in Karney (2011), "Transverse Mercator with an accuracy of a few nanometers", eq. 35; WGS 84.

const A = 6378137, F = 1 / 298.257223563, N = F / (2 - F), E = Math.sqrt(F * (2 - F));
const RADIUS = (A / (1 + N)) * (1 + N ** 2 / 4 + N ** 4 / 64);
const ALPHA = [
  N / 2 - (2 * N ** 2) / 3 + (5 * N ** 3) / 16,
  (13 * N ** 2) / 48 - (3 * N ** 3) / 5,
  (61 * N ** 3) / 240,
];

/** Returns [easting, northing], or null where the CRS is no UTM zone or the point is far from it. */
export function utm(crs, lon, lat) {
  const zone = /^EPSG:32([67])([0-6]\d)$/.exec(crs);
  if (!zone) return null;
  const away = (((lon - (6 * Number(zone[2]) - 183)) % 360) + 540) % 360 - 180;
  if (Math.abs(away) > 12 || Math.abs(lat) > 85) return null;
  const [turned, raised] = [away * Math.PI / 180, Math.sin(lat * Math.PI / 180)];
  const t = Math.sinh(Math.atanh(raised) - E * Math.atanh(E * raised));
  const xi = Math.atan2(t, Math.cos(turned));
  const eta = Math.asinh(Math.sin(turned) / Math.hypot(t, Math.cos(turned)));
  let [east, north] = [eta, xi];
  ALPHA.forEach((a, position) => {
    const n = 2 * (position + 1);
    east += a * Math.cos(n * xi) * Math.sinh(n * eta);
    north += a * Math.sin(n * xi) * Math.cosh(n * eta);
  });
  return [500000 + 0.9996 * RADIUS * east, 0.9996 * RADIUS * north + (zone[1] === "7" ? 1e7 : 0)];
}
