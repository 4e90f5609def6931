// Draws the charts of a page. Each canvas names the element that holds its data as JSON.
(() => {
  "use strict";
  const COLOURS = [
    "#3b7dd8", "#e07b1a", "#2f9e62", "#d0455b", "#8a63d2", "#8c6248",
    "#d565b0", "#6f7782", "#9a9a1f", "#1d9fb3", "#5b5fc7", "#b0632d",
  ];
  const STEP = 0.15; // The share of the visible part that an arrow key moves.
  const MANY = 1000; // From this number of tests on, points are small.
  const LONGEST = { wide: 40, narrow: 24 }; // Characters in a line of a bar's name; a phone needs room for bars beside it.
  const NARROW = 600; // Pixels of a narrow chart.

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const isNarrow = (canvas) => canvas.parentElement.clientWidth < NARROW;

  /** Return the options that all charts share, in the colours of the page. */
  function options(axes) {
    const scales = {};
    for (const [name, axis] of Object.entries(axes)) {
      scales[name] = {
        ...axis,
        ticks: { color: style("--text"), ...axis.ticks },
        grid: { color: style("--line"), ...axis.grid },
        border: { color: style("--line"), ...axis.border },
        title: { display: Boolean(axis.label), text: axis.label, color: style("--text") },
      };
    }
    return {
      animation: false,
      maintainAspectRatio: false,
      scales,
      plugins: {
        legend: {
          position: "bottom",
          labels: { color: style("--text"), usePointStyle: true, boxWidth: 8, boxHeight: 8, padding: 14 },
        },
      },
    };
  }

  /** Return the ends of an axis on which all points lie, with a margin. */
  function ends(points, axis) {
    let [min, max] = [Infinity, -Infinity];
    for (const point of points) {
      min = Math.min(min, point[axis]);
      max = Math.max(max, point[axis]);
    }
    const margin = 0.03 * (max - min) || 1;
    return { min: min - margin, max: max + margin };
  }

  /** Return the chart of a suite: a point for each test, a colour for each cluster. */
  function suiteMap(data, canvas) {
    // The directions of the plane have no unit, so the map has no scale.
    const hidden = { ticks: { display: false }, grid: { display: false }, border: { display: false } };
    const points = data.clusters.flatMap((cluster) => cluster.points);
    const settings = options({ x: { ...hidden, ...ends(points, 0) }, y: { ...hidden, ...ends(points, 1) } });
    settings.plugins.tooltip = { callbacks: { label: (item) => item.raw.name } };
    settings.plugins.zoom = { zoom: { wheel: { enabled: true }, pinch: { enabled: true } }, pan: { enabled: true } };
    const radius = points.length < MANY ? 4 : isNarrow(canvas) ? 1.5 : 2;
    const datasets = data.clusters.map((cluster, i) => ({
      label: cluster.name,
      data: cluster.points.map(([x, y, name]) => ({ x, y, name })),
      backgroundColor: COLOURS[i % COLOURS.length],
      pointRadius: radius,
    }));
    return { type: "scatter", data: { datasets }, options: settings };
  }

  /** Return a chart of bars, a group for each label. */
  function bars(data, canvas) {
    const settings = options({ x: { label: data.unit, beginAtZero: true, suggestedMax: data.equal }, y: {} });
    settings.indexAxis = "y";
    settings.scales.y.ticks.autoSkip = false; // Every bar has its name.
    const longest = isNarrow(canvas) ? LONGEST.narrow : LONGEST.wide;
    const labels = data.labels.map(([name, size]) => [name, ...wrapped(size, longest)]);
    const most = Math.max(...labels.map((label) => label.length));
    canvas.parentElement.style.height = `${8 + most * labels.length}rem`;
    const datasets = data.series.map((series, i) => ({
      label: series.name, data: series.values, backgroundColor: COLOURS[i % COLOURS.length],
    }));
    const plugins = data.equal === undefined ? [] : [rule(data.equal)];
    return { type: "bar", data: { labels, datasets }, options: settings, plugins };
  }

  /** Return the words of a text in lines with a maximum number of characters. */
  function wrapped(text, longest) {
    const lines = [];
    for (const word of text.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`;
      if (lines.length && longer.length <= longest) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  }

  /** Return a plugin that draws a dashed line at a value of the horizontal axis. */
  function rule(value) {
    return {
      id: "rule",
      afterDatasetsDraw({ ctx, chartArea, scales }) {
        const x = scales.x.getPixelForValue(value);
        ctx.save();
        ctx.strokeStyle = style("--text");
        ctx.setLineDash([5, 4]);
        ctx.beginPath();
        ctx.moveTo(x, chartArea.top);
        ctx.lineTo(x, chartArea.bottom);
        ctx.stroke();
        ctx.restore();
      },
    };
  }

  /** Return a logarithmic axis with ticks at the values that a function picks from all ticks. */
  function logarithmic(label, pick) {
    return {
      type: "logarithmic",
      label,
      afterBuildTicks: (axis) => { axis.ticks = pick(axis.ticks.map((tick) => tick.value)).map((value) => ({ value })); },
      ticks: { maxRotation: 0, callback: (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 }) },
    };
  }

  /** Return the powers of ten among values; if there are few, also those times 2 and 5. */
  function roundNumbers(values) {
    const beginning = (...digits) => values.filter((value) => digits.includes(Number(value.toExponential(9).split("e")[0])));
    const tens = beginning(1);
    return tens.length > 2 ? tens : beginning(1, 2, 5);
  }

  /** Return a chart of lines over a logarithmic axis, with a tick at each measured place. */
  function lines(data) {
    const measured = [...new Set(data.series.flatMap((series) => series.points.map(([x]) => x)))].sort((a, b) => a - b);
    const x = { ...logarithmic(data.x, () => measured), min: measured[0], max: measured.at(-1) };
    const settings = options({ x, y: logarithmic(data.unit, roundNumbers) });
    const datasets = data.series.map((series, i) => ({
      label: series.name,
      data: series.points.map(([x, y]) => ({ x, y })),
      clip: 8, // Points at the ends of an axis are whole.
      borderColor: COLOURS[i % COLOURS.length],
      backgroundColor: COLOURS[i % COLOURS.length],
    }));
    return { type: "line", data: { datasets }, options: settings };
  }

  const KINDS = { map: suiteMap, bars, lines };

  /** Let keys and buttons zoom and move a chart, as the mouse does. */
  function control(canvas, chart) {
    const moved = () => ({ x: chart().chartArea.width * STEP, y: chart().chartArea.height * STEP });
    const does = {
      "+": () => chart().zoom(1.25),
      "-": () => chart().zoom(0.8),
      0: () => chart().resetZoom(),
      ArrowLeft: () => chart().pan({ x: moved().x }),
      ArrowRight: () => chart().pan({ x: -moved().x }),
      ArrowUp: () => chart().pan({ y: moved().y }),
      ArrowDown: () => chart().pan({ y: -moved().y }),
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || !Object.hasOwn(does, event.key)) return;
      event.preventDefault();
      does[event.key]();
    });
    for (const button of document.querySelectorAll(`[data-zooms="${canvas.id}"]`)) {
      button.addEventListener("click", () => does[button.dataset.key]());
    }
  }

  const drawn = [];
  for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
    const data = JSON.parse(document.getElementById(canvas.dataset.source).textContent);
    const draw = () => new Chart(canvas, KINDS[canvas.dataset.chart](data, canvas));
    const one = { draw, chart: draw() };
    drawn.push(one);
    if (canvas.dataset.chart === "map") control(canvas, () => one.chart);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const one of drawn) {
      one.chart.destroy();
      one.chart = one.draw();
    }
  });
})();
