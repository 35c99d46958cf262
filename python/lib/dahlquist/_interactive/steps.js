// Trajectories with one step length, their distance, and what is proved of a step.
start((root, data, state) => {
  const now = data.states[state];
  root.dataset.stable = now.stable;
  root.querySelectorAll(".dq-path").forEach((path, i) => path.setAttribute("points", now.paths[i]));
  root.querySelector(".dq-distance").setAttribute("points", now.distance);
  for (const name of ["bound", "growth", "verdict"]) root.querySelector(`.dq-${name}`).textContent = now[name];
});
