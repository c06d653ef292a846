"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const config = {
  displaylogo: false,
  displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false, // it would cover legends all the time
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = (own) => ({
    gridcolor: color("--line"), linecolor: color("--line"), zerolinecolor: color("--line"),
    ...own, tickfont: { color: color("--muted"), ...own.tickfont },
    title: { ...own.title, font: { size: 13, color: color("--muted") } },
  });
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: style.getPropertyValue("--font"), size: 13, color: color("--ink") },
    hoverlabel: {
      bgcolor: color("--surface"), bordercolor: color("--line"), align: "left",
      font: { family: style.getPropertyValue("--font"), size: 13, color: color("--ink") },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--muted"), activecolor: color("--ink") },
    xaxis: axis(layout.xaxis),
    yaxis: axis(layout.yaxis),
  };
}

function draw() {
  for (const [name, figure] of Object.entries(figures)) {
    const place = document.getElementById(name);
    const layout = { ...themed(figure.layout), width: place.clientWidth }; // Plotly keeps its width when a window is resized
    if (place.closest(".square")) {
      layout.height = Math.min(layout.height, place.clientWidth + 60);
    }
    const bar = place.closest(".slim") ? { displayModeBar: false } : {};
    Plotly.react(place, figure.data, layout, { ...config, ...bar });
  }
}

draw();
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
window.addEventListener("resize", () => requestAnimationFrame(draw));
