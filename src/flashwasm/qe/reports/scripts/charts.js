// Draws the charts of a page. Each canvas names the element that holds its data as JSON.
(() => {
  "use strict";
  const COLOURS = [
    "#3b7dd8", "#e07b1a", "#2f9e62", "#d0455b", "#8a63d2", "#8c6248",
    "#d565b0", "#6f7782", "#9a9a1f", "#1d9fb3", "#5b5fc7", "#b0632d",
  ];
  const STEP = 0.15; // The share of the visible part that an arrow key moves.

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Return the options that all charts share, in the colours of the page. */
  function options(axes) {
    const scales = {};
    for (const [name, axis] of Object.entries(axes)) {
      scales[name] = {
        ...axis,
        ticks: { color: style("--text"), display: axis.ticks !== false },
        grid: { color: style("--line") },
        title: { display: Boolean(axis.label), text: axis.label, color: style("--text") },
      };
    }
    return {
      animation: false,
      maintainAspectRatio: false,
      scales,
      plugins: { legend: { position: "bottom", labels: { color: style("--text"), usePointStyle: true } } },
    };
  }

  /** Return the chart of a suite: a point for each test, a colour for each cluster. */
  function suiteMap(data) {
    const settings = options({ x: { ticks: false }, y: { ticks: false } });
    settings.plugins.tooltip = { callbacks: { label: (item) => item.raw.name } };
    settings.plugins.zoom = { zoom: { wheel: { enabled: true }, pinch: { enabled: true } }, pan: { enabled: true } };
    const datasets = data.clusters.map((cluster, i) => ({
      label: cluster.name,
      data: cluster.points.map(([x, y, name]) => ({ x, y, name })),
      backgroundColor: COLOURS[i % COLOURS.length],
      pointRadius: 4,
    }));
    return { type: "scatter", data: { datasets }, options: settings };
  }

  /** Return a chart of bars, a group for each label. */
  function bars(data) {
    const settings = options({ x: { label: data.unit, beginAtZero: true }, y: {} });
    settings.indexAxis = "y";
    settings.scales.y.ticks.autoSkip = false; // Every bar has its name.
    // A name takes two lines, so that a phone has room for bars beside it.
    const labels = data.labels.map((label) => label.split(/ (.*)/, 2));
    const datasets = data.series.map((series, i) => ({
      label: series.name, data: series.values, backgroundColor: COLOURS[i % COLOURS.length],
    }));
    return { type: "bar", data: { labels, datasets }, options: settings };
  }

  /** Return a chart of lines over a logarithmic axis. */
  function lines(data) {
    const axis = (label) => ({ type: "logarithmic", label });
    const settings = options({ x: axis(data.x), y: axis(data.unit) });
    const datasets = data.series.map((series, i) => ({
      label: series.name,
      data: series.points.map(([x, y]) => ({ x, y })),
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
    const draw = () => new Chart(canvas, KINDS[canvas.dataset.chart](data));
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
