"use strict";
// A page that follows the store. What it shows is in its address: filters and pages by the server's links, and by this
// script what was zoomed (z.FIGURE), hidden (h.FIGURE), sorted (s.TABLE) and ticked (pick).
const live = (() => {
  const own = /^(z|h|s)\.|^(pick|show)$/;
  const state = () => new URLSearchParams(location.search);
  const kept = name => state().get(name);
  const keep = (name, value) => {
    const now = state();
    if (value === null || value === "") now.delete(name); else now.set(name, value);
    const query = now.toString();
    history.replaceState(null, "", (query ? "?" + query : location.pathname) + location.hash);
  };

  // -- figures ---------------------------------------------------------------------------------
  const axes = ["xaxis", "yaxis"];
  const short = value => typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
  const restore = (id, figure) => {
    figure.layout.uirevision = "kept";
    const zoom = (kept("z." + id) || "").split(",");
    axes.forEach((axis, i) => {
      const [from, to] = zoom.slice(2 * i, 2 * i + 2);
      if (!from || !to) return;
      const number = Number.isNaN(Number(from)) ? v => v : Number;
      figure.layout[axis] = {...figure.layout[axis], range: [number(from), number(to)], autorange: false};
    });
    const hidden = (kept("h." + id) || "").split(".").filter(Boolean).map(Number);
    hidden.forEach(i => { if (figure.data[i]) figure.data[i].visible = "legendonly"; });
    return figure;
  };
  const watch = holder => {
    holder.on("plotly_relayout", change => {
      const keys = Object.keys(change);
      if (!keys.some(k => /^[xy]axis\.(range|autorange)/.test(k))) return;
      const zoom = (kept("z." + holder.id) || ",,,").split(",");
      axes.forEach((axis, i) => {
        if (!keys.some(k => k.startsWith(axis + "."))) return;
        const range = change[axis + ".autorange"] ? ["", ""] : holder.layout[axis].range;
        zoom[2 * i] = short(range[0]);
        zoom[2 * i + 1] = short(range[1]);
      });
      keep("z." + holder.id, zoom.some(Boolean) ? zoom.join(",") : null);
    });
    holder.on("plotly_restyle", () => {
      const hidden = holder.data.map((t, i) => t.visible === "legendonly" ? i : -1).filter(i => i >= 0);
      keep("h." + holder.id, hidden.join(".") || null);
    });
  };

  // -- what was ticked -------------------------------------------------------------------------
  const picked = () => new Set((kept("pick") || "").split(",").filter(Boolean));
  const tick = () => {
    const chosen = picked(), bar = document.getElementById("picked");
    document.querySelectorAll("input[type=checkbox][id^=pick-]").forEach(box => { box.checked = chosen.has(box.value); });
    if (!bar) return;
    bar.hidden = !chosen.size;
    const link = document.createElement("a"), none = document.createElement("button");
    link.href = "compare?" + [...chosen].map(i => "run=" + encodeURIComponent(i)).join("&");
    link.textContent = `Compare ${chosen.size} chosen run${chosen.size === 1 ? "" : "s"}`;
    none.type = "button";
    none.textContent = "choose none";
    none.addEventListener("click", () => { keep("pick", null); tick(); });
    bar.replaceChildren(link, " ", none);
  };
  document.addEventListener("change", event => {
    if (!event.target.matches("input[type=checkbox][id^=pick-]")) return;
    const chosen = picked();
    if (event.target.checked) chosen.add(event.target.value); else chosen.delete(event.target.value);
    keep("pick", [...chosen].join(","));
    tick();
  });
  // Links and forms of the same page take along what this script keeps.
  const along = () => [...state()].filter(([name]) => own.test(name));
  document.addEventListener("click", event => {
    const link = event.target.closest("a[data-same]");
    if (!link) return;
    const to = new URL(link.href);
    along().forEach(([name, value]) => to.searchParams.set(name, value));
    link.href = to.href;
  });
  document.addEventListener("submit", event => {
    const form = event.target;
    form.querySelectorAll("input[data-along]").forEach(field => field.remove());
    along().forEach(([name, value]) => {
      const field = document.createElement("input");
      Object.assign(field, {type: "hidden", name, value});
      field.dataset.along = "yes";
      form.append(field);
    });
    form.querySelectorAll("input,select").forEach(field => { if (!field.value) field.disabled = true; });
    setTimeout(() => form.querySelectorAll(":disabled").forEach(field => { field.disabled = false; }), 0);
  });

  // -- updates ---------------------------------------------------------------------------------
  const dirty = new Set();
  const key = node => node.nodeType === 1 ? node.id || node.dataset.key || "" : "";
  // Make one tree like another, keeping the nodes, so that focus, scrolling and what was opened stay.
  const morph = (old, now) => {
    if (old.classList.contains("plot")) return;
    if (old.nodeName === "TH" && old.closest("table.sortable") && old.textContent === now.textContent) return;
    if (old.id === "picked") return;
    if (old.nodeName === "SCRIPT") {
      if (old.textContent !== now.textContent) { old.textContent = now.textContent; dirty.add(old.id.replace(/-data$/, "")); }
      return;
    }
    for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const {name} of [...old.attributes])
      if (!now.hasAttribute(name) && !["open", "aria-sort", "aria-pressed", "hidden"].includes(name)) old.removeAttribute(name);
    if (["INPUT", "SELECT", "TEXTAREA"].includes(old.nodeName)) return;
    const mine = new Map([...old.children].map(child => [key(child), child]).filter(([name]) => name));
    let at = old.firstChild;
    for (const child of [...now.childNodes]) {
      const name = key(child);
      const same = node => node && node.nodeName === child.nodeName;
      const match = name ? mine.get(name) : at && !key(at) ? at : null;
      if (same(match)) {
        if (match === at) at = at.nextSibling; else old.insertBefore(match, at);
        if (match.nodeType === 1) morph(match, child); else if (match.data !== child.data) match.data = child.data;
      } else old.insertBefore(document.importNode(child, true), at);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };
  const said = text => { const place = document.getElementById("status"); if (place.textContent !== text) place.textContent = text; };
  let busy = false, again = false;
  const update = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.pathname + location.search, {headers: {accept: "text/html"}});
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main");
      if (!main) throw new Error(`the server answered ${answer.status}`);
      const focus = document.activeElement;
      dirty.clear();
      morph(document.getElementById("main"), main);
      morph(document.querySelector("nav.contents"), page.querySelector("nav.contents"));
      if (focus && focus.isConnected && focus !== document.body && document.activeElement !== focus) focus.focus({preventScroll: true});
      tick();
      pages.again(dirty);
      said(page.getElementById("status").textContent);
      document.body.dataset.mark = page.body.dataset.mark;
      document.body.dataset.updates = String(Number(document.body.dataset.updates || 0) + 1);
    } catch (error) {
      said("not up to date: " + error.message);
    } finally {
      busy = false;
      if (again) { again = false; setTimeout(update, 200); }
    }
  };
  let source = null;
  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource("events?page=" + encodeURIComponent((location.pathname.split("/").pop() || "runs") + location.search));
    source.addEventListener("changed", event => {
      if (document.body.dataset.mark !== event.data) update();
    });
    source.onerror = () => said("not connected: the page is as it was; trying again");
  };
  const rest = () => { if (source) { source.close(); source = null; } };
  // A browser has few connections to a server: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => document.hidden ? rest() : listen());
  addEventListener("pagehide", rest);
  addEventListener("DOMContentLoaded", () => { tick(); listen(); });
  return {keep, kept, restore, watch};
})();
