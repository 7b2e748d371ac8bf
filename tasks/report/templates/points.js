// The points of the map: all words at once by WebGL, or on a plain canvas where a browser has none.

const VERTEX_SHADER = `#version 300 es
  in vec2 place;
  in vec4 color;
  in float size;
  uniform vec2 scale, offset;
  uniform float growth;
  out vec4 shade;
  void main() {
    gl_Position = vec4(place * scale + offset, 0.0, 1.0);
    gl_PointSize = size * growth;
    shade = color;
  }`;
const FRAGMENT_SHADER = `#version 300 es
  precision mediump float;
  in vec4 shade;
  uniform float alpha;
  out vec4 pixel;
  void main() {
    float reach = length(gl_PointCoord - 0.5) * 2.0;
    float cover = alpha * (1.0 - smoothstep(0.8, 1.0, reach));
    pixel = vec4(shade.rgb * cover, cover);
  }`;

// sizes: diameter of each point in CSS pixels, at no zoom.
// The result paints `frame`: width and height in CSS pixels, ratio of device pixels, x, y and k of the view, half the
// length in pixels of a map's unit, growth of the points, alpha.
async function createPoints(canvas, sizes) {
  const options = { alpha: true, antialias: false, premultipliedAlpha: true };
  const gl = canvas.getContext("webgl2", options);
  await pause();
  return gl ? pointsByWebGl(canvas, gl, sizes) : pointsByCanvas(canvas, canvas.getContext("2d"), sizes);
}

// The most frequent words are painted last, above the others.
function reversed(values, width) {
  const turned = new values.constructor(values.length);
  for (let from = 0, to = values.length - width; to >= 0; from += width, to -= width) {
    for (let part = 0; part < width; part++) turned[to + part] = values[from + part];
  }
  return turned;
}

function pointsByWebGl(canvas, gl, sizes) {
  let program, buffers;
  let positions = new Float32Array(2 * sizes.length), colors = new Uint8Array(4 * sizes.length);

  function prepare() {
    program = twgl.createProgramInfo(gl, [VERTEX_SHADER, FRAGMENT_SHADER]);
    buffers = twgl.createBufferInfoFromArrays(gl, {
      place: { numComponents: 2, data: positions },
      color: { numComponents: 4, data: colors, normalize: true },
      size: { numComponents: 1, data: reversed(sizes, 1) },
    });
  }

  prepare();
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", prepare);
  return {
    kind: "webgl",
    place(spots) {
      positions = reversed(spots, 2);
      twgl.setAttribInfoBufferFromArray(gl, buffers.attribs.place, positions);
    },
    color(buckets, palette) {
      // The four bytes of a color as one number.
      const shades = palette.map((color) => new Uint32Array(readColor(color).buffer)[0]);
      colors = new Uint8Array(reversed(Uint32Array.from(buckets, (bucket) => shades[bucket]), 1).buffer);
      twgl.setAttribInfoBufferFromArray(gl, buffers.attribs.color, colors);
    },
    paint({ width, height, ratio, x, y, k, half, growth, alpha }) {
      const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== wide) canvas.width = wide;
      if (canvas.height !== high) canvas.height = high;
      gl.viewport(0, 0, wide, high);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      gl.useProgram(program.program);
      twgl.setBuffersAndAttributes(gl, program, buffers);
      twgl.setUniforms(program, {
        scale: [2 * k * half / width, -2 * k * half / height],
        offset: [2 * (x + k * width / 2) / width - 1, 1 - 2 * (y + k * height / 2) / height],
        growth: growth * ratio,
        alpha,
      });
      twgl.drawBufferInfo(gl, buffers, gl.POINTS);
    },
  };
}

function pointsByCanvas(canvas, context, sizes) {
  let positions = new Float32Array(2 * sizes.length), buckets = new Uint8Array(sizes.length), palette = ["#888"];
  return {
    kind: "canvas",
    place(spots) { positions = spots; },
    color(chosen, shades) { [buckets, palette] = [chosen, shades]; },
    paint({ width, height, ratio, x, y, k, half, growth, alpha }) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.globalAlpha = alpha;
      const paths = palette.map(() => new Path2D());
      for (let row = sizes.length - 1; row >= 0; row--) {
        const left = x + k * (width / 2 + positions[2 * row] * half), top = y + k * (height / 2 + positions[2 * row + 1] * half);
        if (left < -20 || left > width + 20 || top < -20 || top > height + 20) continue;
        const radius = sizes[row] * growth / 2, path = paths[buckets[row]];
        // Of a small point nobody sees the corners.
        if (radius < 1.5) path.rect(left - radius, top - radius, 2 * radius, 2 * radius);
        else {
          path.moveTo(left + radius, top);
          path.arc(left, top, radius, 0, 2 * Math.PI);
        }
      }
      paths.forEach((path, bucket) => {
        context.fillStyle = palette[bucket];
        context.fill(path);
      });
    },
  };
}

// Red, green, blue and 255 of a CSS colour in any notation.
const onePixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function readColor(color) {
  onePixel.fillStyle = color;
  onePixel.fillRect(0, 0, 1, 1);
  return onePixel.getImageData(0, 0, 1, 1).data;
}
