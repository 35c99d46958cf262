// What all drawings do: find the drawing, read its data, and show a state whenever the slider moves.
const drawings = [...document.querySelectorAll(`[data-dq="${NAME}"]:not([data-ready])`)];
const start = (show) => drawings.forEach((root) => {
  root.dataset.ready = "";
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const slider = root.querySelector('input[type="range"]');
  const output = root.querySelector("output");
  const update = () => {
    const state = Number(slider.value);
    slider.setAttribute("aria-valuetext", data.texts[state]);
    output.textContent = data.texts[state];
    show(root, data, state);
  };
  slider.addEventListener("input", update);
  // A browser may keep a slider where it was when the page is opened again.
  update();
});
