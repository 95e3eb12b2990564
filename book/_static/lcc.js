/* Draws each div.lcc-interactive from the JSON inside it; its image stays where that fails. */
(() => {
  "use strict";

  const LIBRARY = new URL("plotly/plotly-basic.min.js", document.currentScript.src).href;
  // A finger that drags moves the page, not the axes; its tap is no double click.
  const FINGER = matchMedia("(pointer: coarse)").matches;
  const CONFIG = { responsive: true, displaylogo: false, ...(FINGER && { doubleClick: false }) };
  // The JSON names this where a colour is that of the text around the figure.
  const TEXT = "currentColor";

  function load() {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = LIBRARY;
      script.onload = () => resolve(window.Plotly);
      script.onerror = reject;
      document.head.append(script);
    });
  }

  /* A copy of plain data in which each text `from` is `to`. */
  function replaced(data, from, to) {
    return JSON.parse(JSON.stringify(data), (_, value) => (value === from ? to : value));
  }

  /* The layout on this page, whose ground shows through. */
  function fitted(layout) {
    const ground = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
    return { ...layout, ...ground, ...(FINGER && { dragmode: false }) };
  }

  async function draw(Plotly, place) {
    const image = place.querySelector("img");
    const graph = document.createElement("div");
    try {
      const spec = JSON.parse(place.querySelector('script[type="application/json"]').textContent);
      let colour = getComputedStyle(place).color;
      const show = (from, { data, layout }) =>
        Plotly.react(
          graph,
          replaced(data, from, colour),
          fitted(replaced(layout, from, colour)),
          { ...spec.config, ...CONFIG },
        );
      place.prepend(graph);
      graph.style.width = "100%";
      await show(TEXT, spec);
      graph.setAttribute("role", "img");
      graph.setAttribute("aria-label", image.alt);
      image.style.display = "none";
      follow(() => {
        const before = colour;
        colour = getComputedStyle(place).color;
        // What the figure holds now, so that its zoom and its slider stay as the reader set them.
        return show(before, graph);
      });
    } catch (error) {
      graph.remove();
      console.warn("The figure stays an image:", error);
    }
  }

  function follow(change) {
    new MutationObserver(change).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  }

  async function start() {
    const places = [...document.querySelectorAll("div.lcc-interactive")];
    if (!places.length) return;
    try {
      const Plotly = await load();
      places.forEach((place) => draw(Plotly, place));
    } catch (error) {
      console.warn("The figures stay images:", error);
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
