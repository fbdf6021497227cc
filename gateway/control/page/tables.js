// What stands around the picture: the sum of it, totals, refusals, clients, what has changed, the search.

const MANY_NEWS = 8, MANY_FOUND = 200, MANY_REFUSALS = 12, MANY_CLIENTS = 10, LOOKED_AT = 5000;
const REASONS = JSON.parse(at("reasons").textContent);
const states = new Map();

function tell(text) {
  const li = make("li");
  li.append(make("span", "faint", new Date().toLocaleTimeString()), " " + text);
  at("news").prepend(li);
  while (at("news").children.length > MANY_NEWS) at("news").lastChild.remove();
  at("news-note").hidden = true;
}

function showSum(status, vips) {
  const backends = vips.flatMap(vip => vip.services.flatMap(service => service.backends));
  const of = state => backends.filter(backend => backend.state === state);
  const named = list => list.slice(0, 4).map(one => one.full).join(", ") + (list.length > 4 ? " and " + (list.length - 4) + " more" : "");
  const parts = ["down", "held", "drained"].filter(state => of(state).length).map(state => of(state).length + " " + state + ": " + named(of(state)));
  const unserved = vips.filter(vip => !vip.served).map(vip => vip.address || vip.interface);
  if (unserved.length) parts.unshift("Not served: " + unserved.join(", "));
  const worst = unserved.length ? "down" : WORST_FIRST.find(state => of(state).length) || "up";
  const text = (status.standby ? "Standing by; " : "") + of("up").length + " of " + backends.length + " backends up" + (parts.length ? ". " + parts.join(". ") : "");
  kindOf(at("sum"), "banner state " + worst);
  put(at("sum"), text);
  document.title = (parts.length ? "■ " + (backends.length - of("up").length) + " not up – " : "") + "vipgate";
  for (const backend of backends) {
    const before = states.get(backend.key);
    if (before !== undefined && before !== backend.state) tell(backend.full + " is " + backend.state + ", was " + before);
    states.set(backend.key, backend.state);
  }
  keyed(at("services"), [...new Set(vips.flatMap(vip => vip.services.map(service => service.name)))], name => name, () => make("option"),
        (option, name) => { option.value = name; });
}

function showTotals(status, rates) {
  const {counters} = status;
  put(at("about"), "version " + status.version + " · up " + lasting(status.uptime_seconds) + " · generation " + status.generation);
  put(at("flows"), scaled(status.flows.now));
  put(at("most"), scaled(status.flows.max));
  at("fill").style.width = (100 * status.flows.now / status.flows.max).toFixed(1) + "%";
  const refused = Object.values(counters.reasons).reduce((sum, count) => sum + count, 0);
  for (const [id, value] of [["opened", rates.of("opened", counters.flows_opened)], ["packets", rates.of("packets", counters.packets_read)],
                             ["bits", 8 * rates.of("bytes", counters.bytes_read)], ["refused", rates.of("refused", refused)]]) {
    put(at(id), scaled(value));
    spark(at(id + "-spark"), rates.note(id, value));
  }
  const workers = status.workers.map((worker, i) => ({...worker, i, rate: rates.of("worker " + i, worker.packets_read)}));
  const most = Math.max(1, ...workers.map(worker => worker.rate));
  keyed(at("workers"), workers, worker => worker.i, () => {
    const li = make("li"), bar = make("span", "bar");
    bar.append(make("span"));
    li.append(make("span"), bar);
    return li;
  }, (li, worker) => {
    put(li.firstChild, worker.stuck ? "■ stuck" : worker.i + ": " + scaled(worker.rate));
    li.lastChild.firstChild.style.width = (100 * worker.rate / most).toFixed(0) + "%";
  });
}

function textCell(kind) {
  return make("td", kind);
}

function showRefusals(counters, rates) {
  const all = Object.entries(counters.reasons).map(([name, count]) => ({name, count, rate: rates.of("reason " + name, count)}));
  all.sort((a, b) => b.count - a.count);
  keyed(at("refusals"), all.slice(0, MANY_REFUSALS), reason => reason.name, reason => {
    const tr = make("tr"), td = textCell();
    td.append(make("b", "", reason.name), make("span", "why", REASONS[reason.name] || ""));
    tr.append(td, textCell("n"), textCell("n"));
    return tr;
  }, (tr, reason) => {
    put(tr.cells[1], scaled(reason.rate));
    put(tr.cells[2], scaled(reason.count));
  });
  put(at("refusals-note"), all.length === 0 ? "None so far." : all.length > MANY_REFUSALS ? "And " + (all.length - MANY_REFUSALS) + " rarer ones." : "");
}

function showClients(page) {
  const clients = new Map();
  for (const flow of page.flows) {
    const address = flow.source.split(":")[0];
    const client = clients.get(address) || {address, flows: 0, services: new Set()};
    ++client.flows;
    client.services.add(flow.service || flow.origin);
    clients.set(address, client);
  }
  const most = [...clients.values()].sort((a, b) => b.flows - a.flows).slice(0, MANY_CLIENTS);
  keyed(at("clients"), most, client => client.address, client => {
    const tr = make("tr"), td = textCell(), button = findButton("", () => ({address: client.address}));
    button.textContent = client.address;
    button.title = "Find its flows";
    td.append(button);
    const count = textCell("n");
    count.append(make("span"), make("span", "share"));
    tr.append(td, textCell("faint"), count);
    return tr;
  }, (tr, client) => {
    put(tr.cells[1], [...client.services].join(", "));
    put(tr.cells[2].firstChild, scaled(client.flows));
    tr.cells[2].lastChild.style.width = (100 * client.flows / most[0].flows).toFixed(0) + "%";
  });
  put(at("clients-note"), page.flows.length === 0 ? "No flows." : page.next ? "Of the first " + page.flows.length + " flows." : "");
}

/** Fills the search form and submits it. */
function find(wanted) {
  at("search").reset();
  for (const [name, value] of Object.entries(wanted)) at("search").elements[name].value = value;
  at("search").requestSubmit();
  at("search-title").focus();
}

async function search() {
  const wanted = new URLSearchParams([...new FormData(at("search"))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  wanted.set("limit", String(MANY_FOUND));
  const flows = [];
  let next = "0.0";
  while (next && flows.length < MANY_FOUND) {
    wanted.set("from", next);
    const page = await get("/v1/flows?" + wanted);
    flows.push(...page.flows);
    next = page.next;
  }
  at("found-box").hidden = flows.length === 0;
  at("found-rows").replaceChildren(...flows.slice(0, MANY_FOUND).map(flow => {
    const tr = make("tr");
    for (const text of [flow.protocol, flow.state, flow.source, flow.destination, flow.service || flow.origin, flow.backend || flow.translated_destination,
                        flow.translated_source]) tr.append(make("td", "", text));
    tr.append(make("td", "n", flow.idle_seconds.toFixed(1)));
    return tr;
  }));
  return flows.length === 0 ? "no such flow" : flows.length > MANY_FOUND || next ? "the first " + MANY_FOUND + " flows" :
    flows.length + (flows.length === 1 ? " flow" : " flows");
}
