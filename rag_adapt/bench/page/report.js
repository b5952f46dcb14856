// Draws the charts of the page and saves them. It asks nobody for anything.
(() => {
  "use strict";
  const config = JSON.parse(document.getElementById("chart-config").textContent);
  const options = {
    mode: "vega-lite",
    ast: true, // expressions are interpreted: the page forbids eval
    renderer: "svg",
    actions: false,
    defaultStyle: false,
    tooltip: { theme: "page", disableDefaultStyle: true },
    config,
  };

  async function draw(figure) {
    if (figure.dataset.drawn) return;
    figure.dataset.drawn = "started";
    const place = figure.querySelector(".chart");
    try {
      const spec = JSON.parse(figure.querySelector("script.spec").textContent);
      await vegaEmbed(place, spec, options);
      figure.dataset.drawn = "yes";
      figure.querySelectorAll("button.save").forEach((button) => (button.hidden = false));
    } catch (error) {
      figure.dataset.drawn = "failed";
      place.textContent = "This chart could not be drawn; its data can be downloaded below.";
      throw error;
    }
  }

  // A closed part has no width to draw in: its charts wait until it is opened.
  const visible = (figure) => !figure.closest("details:not([open])");

  async function drawAll(root) {
    for (const figure of root.querySelectorAll("figure")) {
      if (visible(figure)) await draw(figure);
    }
  }

  function drawing(figure) {
    const svg = figure.querySelector("svg").cloneNode(true);
    const style = getComputedStyle(document.documentElement);
    svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    paper.setAttribute("width", "100%");
    paper.setAttribute("height", "100%");
    paper.setAttribute("fill", "var(--card)");
    svg.prepend(paper);
    const text = new XMLSerializer().serializeToString(svg);
    return text.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function savePng(figure, text) {
    const image = new Image();
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width * 2;
    canvas.height = image.height * 2;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(blob, figure.dataset.file + ".png"), "image/png");
  }

  document.addEventListener("toggle", (event) => drawAll(event.target), true);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.save");
    if (!button) return;
    const figure = button.closest("figure");
    const text = drawing(figure);
    if (button.dataset.format === "png") savePng(figure, text);
    else save(new Blob([text], { type: "image/svg+xml" }), figure.dataset.file + ".svg");
  });
  drawAll(document).then(() => (document.documentElement.dataset.ready = "yes"));
})();
