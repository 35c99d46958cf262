// The certified accuracy at a distance, and what is known of each image there.
const MARKS = { certified: "✓", unknown: "?", broken: "✗" };
const stateOf = (image, eps) =>
  image.radius > eps ? "certified" : image.distance !== null && image.distance <= eps ? "broken" : "unknown";
const percent = (x) => (x === null ? "–" : `${(100 * x).toFixed(1)} %`);

start((root, data, state) => {
  const eps = data.eps[state];
  root.querySelector(".dq-cursor").setAttribute("transform", `translate(${data.x[state]} 0)`);
  data.networks.forEach((network, i) => {
    const row = root.querySelector(`tr[data-network="${i}"]`);
    row.querySelector(".dq-certified").textContent = percent(network.certified[state]);
    row.querySelector(".dq-attacked").textContent = percent(network.attacked[state]);
    const dot = root.querySelector(`circle[data-network="${i}"]`);
    dot.setAttribute("cx", data.x[state]);
    dot.setAttribute("cy", network.y[state]);
    root.querySelectorAll(`.dq-images[data-network="${i}"] .dq-image`).forEach((cell, k) => {
      const image = network.images[k];
      const now = stateOf(image, eps);
      cell.dataset.state = now;
      const found = now === "broken" && image.found_png;
      cell.querySelector("img").src = found ? image.found_png : data.pngs[k];
      cell.querySelector("span").textContent = `${MARKS[now]} ${now === "broken" ? image.found : image.prediction}`;
      cell.title = data.words[now];
      cell.querySelector("img").alt = `sample ${k}, of class ${data.labels[k]}: ${data.words[now]}`;
    });
  });
});
