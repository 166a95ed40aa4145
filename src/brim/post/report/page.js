"use strict";
(function () {
  const data = JSON.parse(document.getElementById("draws").textContent);
  const menu = document.getElementById("parameter");
  if (!menu) return;
  const colours = ["#0b5fa5", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const W = 460, H = 230, left = 44, right = 10, top = 10, bottom = 28;

  function quantile(sorted, p) {
    const at = p * (sorted.length - 1), low = Math.floor(at), high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
  }
  function spread(values) {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return Math.sqrt(values.reduce((a, b) => a + (b - mean) * (b - mean), 0) / Math.max(values.length - 1, 1));
  }
  function density(values, grid) {
    const sorted = values.slice().sort((a, b) => a - b);
    const iqr = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.34, sd = spread(values);
    const width = 0.9 * Math.min(sd, iqr || sd) * Math.pow(values.length, -0.2) || 1e-9;
    const scale = 1 / (values.length * width * Math.sqrt(2 * Math.PI));
    return grid.map(x => scale * values.reduce((a, v) => a + Math.exp(-0.5 * ((x - v) / width) ** 2), 0));
  }
  function ticks(low, high, count) {
    const raw = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw) || raw, out = [];
    for (let t = Math.ceil(low / step) * step; t <= high + 1e-12; t += step) out.push(Math.abs(t) < step / 1e6 ? 0 : t);
    return out;
  }
  const label = x => Number(x.toPrecision(4)).toString();
  function axes(x, y, xName) {
    const px = v => left + (v - x[0]) / (x[1] - x[0]) * (W - left - right);
    const py = v => H - bottom - (v - y[0]) / (y[1] - y[0]) * (H - top - bottom);
    let out = ticks(x[0], x[1], 5).map(t => `<line x1="${px(t)}" x2="${px(t)}" y1="${top}" y2="${H - bottom}" stroke="#e6e9ed"/>` +
      `<text x="${px(t)}" y="${H - 10}" font-size="11" fill="#14263d" text-anchor="middle">${label(t)}</text>`).join("");
    return { px, py, out };
  }
  function line(points, colour, width) {
    return `<polyline fill="none" stroke="${colour}" stroke-width="${width}" points="${points.map(p => p.join(",")).join(" ")}"/>`;
  }
  function draw() {
    const one = data[menu.value], flat = [].concat(...one.chains), sorted = flat.slice().sort((a, b) => a - b);
    const sd = spread(flat) || Math.abs(flat[0]) || 1;
    const x = [sorted[0] - 0.3 * sd, sorted[sorted.length - 1] + 0.3 * sd];
    const grid = Array.from({ length: 160 }, (_, i) => x[0] + (x[1] - x[0]) * i / 159);
    const posterior = density(flat, grid);
    const prior = one.prior ? density(one.prior, grid) : null;
    const most = 1.08 * Math.max(...posterior, ...(prior || [0]));
    const a = axes(x, [0, most]);
    const area = grid.map((v, i) => [a.px(v).toFixed(1), a.py(posterior[i]).toFixed(1)]);
    const low = quantile(sorted, 0.025), middle = quantile(sorted, 0.5), high = quantile(sorted, 0.975);
    let svg = a.out + `<polygon fill="#0b5fa5" fill-opacity=".18" points="${a.px(x[0])},${a.py(0)} ${area.map(p => p.join(",")).join(" ")} ${a.px(x[1])},${a.py(0)}"/>` + line(area, "#0b5fa5", 1.6);
    if (prior) svg += line(grid.map((v, i) => [a.px(v).toFixed(1), a.py(prior[i]).toFixed(1)]), "#7a828c", 1.4);
    svg += `<line x1="${a.px(low)}" x2="${a.px(high)}" y1="${a.py(0)}" y2="${a.py(0)}" stroke="#14263d" stroke-width="4"/><circle cx="${a.px(middle)}" cy="${a.py(0)}" r="4.5" fill="#14263d" stroke="#fff"/>`;
    document.getElementById("density").innerHTML = `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="density of ${menu.value}">${svg}</svg>`;
    const n = one.chains[0].length, t = axes([1, n], x);
    let trace = ticks(x[0], x[1], 4).map(v => `<line x1="${left}" x2="${W - right}" y1="${t.py(v)}" y2="${t.py(v)}" stroke="#e6e9ed"/><text x="${left - 5}" y="${t.py(v) + 4}" font-size="11" fill="#14263d" text-anchor="end">${label(v)}</text>`).join("");
    one.chains.forEach((chain, k) => { trace += line(chain.map((v, i) => [t.px(i + 1).toFixed(1), t.py(v).toFixed(1)]), colours[k % colours.length], 0.7); });
    document.getElementById("trace").innerHTML = `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="trace of ${menu.value}">${trace}</svg>`;
    document.getElementById("numbers").textContent = `median ${label(middle)}, 95 % interval ${label(low)} to ${label(high)}` +
      (one.prior ? "; grey: prior" : "") + (one.every === 1 ? "." : `. The trace shows one draw in ${one.every}.`);
  }
  menu.addEventListener("change", draw);
  draw();
})();
