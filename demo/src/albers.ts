/** The map of the United States: three conic equal-area projections, as atlases print it, with Alaska and Hawaii moved. */

type Point = readonly [x: number, y: number]

const radians = Math.PI / 180

/** Albers' conic projection between two standard parallels, in units of the radius. */
function conic(parallels: Point, rotate: number): (longitude: number, latitude: number) => Point {
  const south = Math.sin(parallels[0] * radians)
  const n = (south + Math.sin(parallels[1] * radians)) / 2
  const c = 1 + south * (2 * n - south)
  const apex = Math.sqrt(c) / n
  return (longitude, latitude) => {
    const angle = (longitude + rotate) * radians * n
    const radius = Math.sqrt(c - 2 * n * Math.sin(latitude * radians)) / n
    return [radius * Math.sin(angle), apex - radius * Math.cos(angle)]
  }
}

function region(parallels: Point, rotate: number, center: Point, scale: number, at: Point) {
  const project = conic(parallels, rotate)
  const origin = project(center[0] - rotate, center[1])
  return (longitude: number, latitude: number): Point => {
    const [x, y] = project(longitude, latitude)
    return [at[0] + (x - origin[0]) * scale, at[1] - (y - origin[1]) * scale]
  }
}

const scale = 1070
const mainland = region([29.5, 45.5], 96, [-0.6, 38.7], scale, [480, 250])
const alaska = region([55, 65], 154, [-2, 58.5], scale * 0.35, [152, 465])
const hawaii = region([8, 18], 157, [-3, 19.9], scale, [261, 477])
const caribbean = region([8, 18], 66, [0, 18.2], scale, [880, 486])

export const viewBox = { x: 44, y: 4, width: 880, height: 528 }

/** Where a place is in the view box, or null if the map does not show it. */
export function project(longitude: number, latitude: number): Point | null {
  const west = longitude > 0 ? longitude - 360 : longitude
  if (latitude < 12 || west < -200) return null
  if (latitude > 50 && west < -129.9) return alaska(west, latitude)
  if (latitude < 24 && west < -150) return west < -161 ? null : hawaii(west, latitude)
  if (latitude < 20 && west > -70) return caribbean(west, latitude)
  return latitude < 24 || west > -65 || west < -128 ? null : mainland(west, latitude)
}
