"use strict";
// A page that follows a store has `live`, which keeps what a reader changed in the page's address.
const follows = typeof live === "undefined" ? null : live;
const pages = (() => {
  // Sortable tables: a click on a heading sorts by the cells' data-v (numbers), else by text; unknown values stay last.
  const order = (table, column, down) => {
    const heads = [...table.querySelectorAll("thead th")];
    if (!heads[column] || !table.tBodies[0]) return;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => { const cell = row.cells[column]; return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim(); };
    const rows = [...table.tBodies[0].rows];
    const sorted = [...rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const p = Number(x), q = Number(y);
      const found = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, undefined, {numeric: true}) : p - q || 0;
      return down ? -found : found;
    });
    if (sorted.some((row, i) => row !== rows[i])) table.tBodies[0].append(...sorted);
  };
  const sortable = () => document.querySelectorAll("table.sortable").forEach(table => {
    table.querySelectorAll("thead th").forEach((th, column) => {
      if (th.querySelector("button")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = th.textContent;
      th.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") === "ascending";
        order(table, column, down);
        if (follows && table.id) follows.keep("s." + table.id, `${column},${down ? 1 : 0}`);
      });
    });
    const kept = follows && table.id ? follows.kept("s." + table.id) : null;
    if (kept) { const [column, down] = kept.split(",").map(Number); order(table, column, down === 1); }
  });
  sortable();
  // Filters of the gallery.
  const filter = want => {
    document.querySelectorAll(".filters button[data-show]").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.show === want)));
    document.querySelectorAll(".card").forEach(card => { card.hidden = want !== "all" && card.dataset.status !== want; });
  };
  for (const button of document.querySelectorAll(".filters button[data-show]")) {
    button.addEventListener("click", () => {
      filter(button.dataset.show);
      if (follows) follows.keep("show", button.dataset.show === "all" ? null : button.dataset.show);
    });
  }
  const filtered = () => { if (follows && follows.kept("show")) filter(follows.kept("show")); };
  filtered();
  // Figures: drawn when they come near the screen, in the colours of the page; all of them before printing.
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = figure => {
    const found = {"font.color": css("--fg"), "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
      "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": css("--soft"), "modebar.activecolor": css("--fg"),
      "hoverlabel.bgcolor": css("--panel"), "hoverlabel.font.color": css("--fg"), "hoverlabel.bordercolor": css("--line")};
    Object.keys(figure.layout).filter(name => /^[xy]axis\d*$/.test(name)).forEach(name => { found[name + ".gridcolor"] = css("--line"); });
    return found;
  };
  const read = holder => {
    const figure = JSON.parse(document.getElementById(holder.id + "-data").textContent);
    if (holder.clientWidth < 620) figure.layout.legend = {orientation: "h", x: 0, y: -0.28, xanchor: "left", yanchor: "top"};
    return follows ? follows.restore(holder.id, figure) : figure;
  };
  const draw = holder => {
    if (holder.dataset.drawn || !window.Plotly) return;
    holder.dataset.drawn = "yes";
    const figure = read(holder);
    // Plotly's default bar has a button that sends the data to a server of its makers: not here.
    const options = {responsive: true, displayModeBar: holder.clientWidth < 620 ? false : "hover", displaylogo: false, showSendToCloud: false, plotlyServerURL: "", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]};
    Plotly.newPlot(holder, figure.data, figure.layout, options).then(() => Plotly.relayout(holder, colours(figure))).then(() => {
      if (follows) follows.watch(holder);
      holder.dataset.drawn = "done";
    });
  };
  const holders = () => [...document.querySelectorAll(".plot")];
  const near = window.IntersectionObserver ? new IntersectionObserver(entries => entries.forEach(e => { if (e.isIntersecting) { near.unobserve(e.target); draw(e.target); } }), {rootMargin: "800px"}) : null;
  const figures = () => holders().filter(h => !h.dataset.drawn).forEach(h => near ? near.observe(h) : draw(h));
  figures();
  const recolour = () => holders().filter(h => h.dataset.drawn).forEach(h => Plotly.relayout(h, colours(h)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  const paper = 660; // pixels across a printed page
  addEventListener("beforeprint", () => { holders().forEach(draw); recolour(); holders().forEach(h => Plotly.relayout(h, {width: paper})); });
  addEventListener("afterprint", () => { recolour(); holders().forEach(h => Plotly.relayout(h, {width: null, autosize: true})); });
  // After an update: new tables and figures are set up, and figures whose data changed are drawn again in place.
  const again = changed => {
    sortable();
    filtered();
    figures();
    holders().filter(h => h.dataset.drawn && changed.has(h.id)).forEach(h => {
      const figure = read(h);
      Plotly.react(h, figure.data, figure.layout).then(() => Plotly.relayout(h, colours(figure)));
    });
  };
  return {again};
})();
