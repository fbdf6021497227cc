// Looks, each second, and shows what there is.

const rates = new Rates();
let vips = [];
let paused = false;

function redraw() { showPicture(vips); }

function trouble(text) {
  put(at("trouble"), text);
  at("trouble").hidden = text === "";
}

function show(status) {
  rates.begin(performance.now() / 1000);
  vips = surveyed(status, rates);
  showTotals(status, rates);
  showSum(status, vips);
  showRefusals(status.counters, rates);
  redraw();
  rates.end();
  const stuck = status.workers.findIndex(worker => worker.stuck);
  trouble(stuck < 0 ? "" : "worker " + stuck + " is stuck");
}

/** Does it again and again, not while the page is paused or nobody sees it. */
async function repeat(every, act) {
  for (;;) {
    if (!paused && !document.hidden) await act();
    await new Promise(done => setTimeout(done, every));
  }
}

at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
});
at("filter").addEventListener("input", redraw);
at("troubled").addEventListener("change", redraw);
at("search").addEventListener("submit", async event => {
  event.preventDefault();
  try {
    put(at("found"), await search());
  } catch (error) {
    put(at("found"), error.message);
  }
});
at("search").addEventListener("reset", () => {
  at("found-box").hidden = true;
  at("found-rows").replaceChildren();
  put(at("found"), "All fields are optional.");
});

repeat(1000, async () => {
  try {
    show(await get("/v1/status"));
  } catch (error) {
    trouble("no answer from the gateway: " + error.message);
  }
});
repeat(5000, async () => {
  try {
    showClients(await get("/v1/flows?limit=" + LOOKED_AT));
  } catch (error) {
    put(at("clients-note"), "no answer");
  }
});
