"use strict";
// Sortable tables: a click on a heading sorts by the cells' data-v (numbers), else by text; unknown values stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((th, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    th.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = th.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => { const cell = row.cells[column]; return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim(); };
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const p = Number(x), q = Number(y);
        const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, undefined, {numeric: true}) : p - q || 0;
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
// Filters of the gallery.
for (const button of document.querySelectorAll(".filters button")) {
  button.addEventListener("click", () => {
    document.querySelectorAll(".filters button").forEach(other => other.setAttribute("aria-pressed", String(other === button)));
    const want = button.dataset.show;
    document.querySelectorAll(".card").forEach(card => { card.hidden = want !== "all" && card.dataset.status !== want; });
  });
}
// Figures: drawn when they come near the screen, in the colours of the page; all of them before printing.
if (window.Plotly) {
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = () => ({"font.color": css("--fg"), "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
    "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": css("--line"), "modebar.activecolor": css("--soft"),
    "hoverlabel.bgcolor": css("--panel"), "hoverlabel.font.color": css("--fg"), "hoverlabel.bordercolor": css("--line")});
  const draw = holder => {
    if (holder.dataset.drawn) return;
    holder.dataset.drawn = "yes";
    const figure = JSON.parse(document.getElementById(holder.id + "-data").textContent);
    const narrow = holder.clientWidth < 620;
    if (narrow) figure.layout.legend = {orientation: "h", x: 0, y: -0.28, xanchor: "left", yanchor: "top"};
    Plotly.newPlot(holder, figure.data, figure.layout,
      // Plotly's default bar has a button that sends the data to a server of its makers: not here.
      {responsive: true, displayModeBar: narrow ? false : "hover", displaylogo: false, showSendToCloud: false, plotlyServerURL: "", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]}).then(() => Plotly.relayout(holder, colours()));
  };
  const holders = [...document.querySelectorAll(".plot")];
  if (window.IntersectionObserver) {
    const watch = new IntersectionObserver(entries => entries.forEach(e => { if (e.isIntersecting) { watch.unobserve(e.target); draw(e.target); } }),
      {rootMargin: "800px"});
    holders.forEach(h => watch.observe(h));
  } else holders.forEach(draw);
  const recolour = () => holders.filter(h => h.dataset.drawn).forEach(h => Plotly.relayout(h, colours()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  const paper = 660; // pixels across a printed page
  addEventListener("beforeprint", () => { holders.forEach(draw); recolour(); holders.forEach(h => Plotly.relayout(h, {width: paper})); });
  addEventListener("afterprint", () => { recolour(); holders.forEach(h => Plotly.relayout(h, {width: null, autosize: true})); });
}
