// The picture: VIP, services, backends, and what runs between them.

const MANY_BACKENDS = 24;  // with more, services without trouble are folded
const MANY_LINKS = 80;     // with more, nothing moves along them
const unfolded = new Map();  // by key of a service: what its button was told
const WORST_FIRST = ["down", "held", "drained", "up"];

function stateOf(backend) {
  return backend.state === "up" && backend.health && backend.health.state === "held" ? "held" : backend.state;
}

/** Of a service: down when nobody serves it, else up, or what the worst of its backends is in when that is a warning. */
function stateOfService(service) {
  const states = service.backends.map(stateOf);
  if (states.every(state => state === "down")) return "down";
  if (states.some(state => state === "down")) return "held";
  return states.every(state => state === "drained") ? "drained" : "up";
}

function ratesOf(backend, key, rates) {
  const sum = what => backend.to_backend[what] + backend.from_backend[what];
  const bits = 8 * rates.of(key + " bytes", sum("bytes"));
  return {bits, opened: rates.of(key + " opened", backend.flows_opened), packets: rates.of(key + " packets", sum("packets")),
          history: rates.note(key, bits)};
}

/** The answer of the API, as the picture has it: every part with its key, state and rates. */
function surveyed(status, rates) {
  return status.vips.map((vip, i) => {
    const services = vip.services.map(service => {
      const key = i + "/" + vip.address + "/" + service.name;
      const backends = service.backends.map((backend, j) => {
        const own = key + "/" + j + "/" + backend.name;
        return {...backend, key: own, full: service.name + "/" + backend.name, state: stateOf(backend), service: service.name, ...ratesOf(backend, own, rates)};
      });
      const total = what => backends.reduce((sum, backend) => sum + backend[what], 0);
      const bits = total("bits");
      return {...service, key, backends, state: stateOfService(service), bits, opened: total("opened"), flows: total("flows"), history: rates.note(key, bits)};
    });
    const total = what => services.reduce((sum, service) => sum + service[what], 0);
    return {...vip, key: i + "/" + (vip.interface || vip.address), services, state: vip.served ? "up" : "down", bits: total("bits"), flows: total("flows")};
  });
}

function chosen(vips) {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(word => word);
  const fits = (vip, service) => {
    const text = [vip.address, service.name, ...service.protocol, ...service.port, ...service.backends.flatMap(one => [one.name, one.address, one.state])]
      .join(" ").toLowerCase();
    return words.every(word => text.includes(word)) && (!at("troubled").checked || service.backends.some(one => one.state !== "up"));
  };
  const shown = vips.map(vip => ({...vip, services: vip.services.filter(service => fits(vip, service))}));
  return words.length || at("troubled").checked ? shown.filter(vip => vip.services.length) : shown;
}

function setState(label, state, text) {
  kindOf(label, "state " + state);
  put(label, text || state);
}

function findButton(kind, wanted) {
  const button = make("button", "find " + kind);
  button.type = "button";
  button.addEventListener("click", () => find(wanted()));
  return button;
}

const checkOf = backend => !backend.health ? "not checked" :
  (backend.health.latency_seconds !== undefined ? (1000 * backend.health.latency_seconds).toFixed(1) + " ms: " : "") +
  (backend.health.result || "not checked yet");

const COLUMNS = [["condition", "state"], ["name", "backend"], ["curve", "3 min"], ["n bits", "bit/s"], ["n flows", "flows"], ["n new", "new/s"], ["check", "last check"]];

function createBackend(backend) {
  const tr = make("tr");
  const cells = COLUMNS.map(([kind]) => make("td", kind));
  tr.append(...cells);
  tr.parts = {state: make("span"), name: findButton("", () => ({service: tr.backend.service, backend: tr.backend.name})), spark: draw("svg", "spark"),
              bits: cells[3], flows: cells[4], opened: cells[5], check: cells[6]};
  tr.parts.spark.setAttribute("aria-hidden", "true");
  cells[0].append(tr.parts.state);
  cells[1].append(tr.parts.name);
  cells[2].append(tr.parts.spark);
  cells[6].classList.add("faint");
  return tr;
}

function updateBackend(tr, backend) {
  const {parts} = tr;
  tr.backend = backend;
  tr.dataset.backend = backend.full;
  tr.dataset.state = backend.state;
  setState(parts.state, backend.state);
  put(parts.name, backend.name);
  parts.name.title = "Find the flows of " + backend.full + (backend.weight === 1 ? "" : ", weight " + backend.weight);
  spark(parts.spark, backend.history);
  put(parts.bits, scaled(backend.bits));
  put(parts.flows, scaled(backend.flows));
  put(parts.opened, scaled(backend.opened));
  put(parts.check, checkOf(backend));
  parts.check.title = checkOf(backend);
}

function createTable(service) {
  const table = make("table");
  const columns = make("colgroup"), head = make("thead"), tr = make("tr");
  for (const [kind, text] of COLUMNS) {
    const last = kind.split(" ").pop();
    columns.append(make("col", kind.startsWith("n ") ? "c-n c-" + last : "c-" + last));
    const th = make("th", kind);
    th.append(make("span", "", text));
    th.scope = "col";
    tr.append(th);
  }
  head.append(tr);
  table.append(make("caption", "unseen", "Backends of " + service.name), columns, head, make("tbody"));
  return table;
}

function createService(service) {
  const li = make("li", "service");
  const node = make("div"), name = make("h4"), state = make("span"), ports = make("span", "faint"), rates = make("span", "rates");
  node.append(name, " ", ports, state, rates);
  const backends = make("div", "backends"), fold = make("button", "fold"), bar = make("div", "bar"), line = draw("svg", "spark");
  line.setAttribute("aria-hidden", "true");
  fold.type = "button";
  fold.addEventListener("click", () => { unfolded.set(li.key, li.table.hidden); redraw(); });
  li.table = createTable(service);
  bar.append(fold, line);
  backends.append(bar, li.table);
  li.append(node, backends);
  li.parts = {node, name, state, ports, rates, bar, fold, spark: line};
  return li;
}

function updateService(li, service, many) {
  const {parts} = li;
  const up = service.backends.filter(one => one.state === "up").length;
  kindOf(parts.node, "node is-" + service.state);
  put(parts.name, service.name);
  put(parts.ports, service.protocol.join("+") + " " + service.port.join(", "));
  put(parts.rates, bitsOf(service.bits) + (many ? "" : " · " + scaled(service.opened) + " new/s"));
  spark(parts.spark, service.history);
  setState(parts.state, service.state, up + (many ? "/" : " of ") + service.backends.length + " up");
  const told = unfolded.get(service.key);
  const open = !many || (told === undefined ? service.state !== "up" : told);
  parts.bar.hidden = !many;
  parts.fold.setAttribute("aria-expanded", String(open));
  put(parts.fold, (open ? "Fold " : "Show ") + service.backends.length + (service.backends.length === 1 ? " backend" : " backends"));
  parts.fold.setAttribute("aria-label", parts.fold.textContent + " of " + service.name);
  li.table.hidden = !open;
  if (open) keyed(li.table.tBodies[0], service.backends, one => one.key, createBackend, updateBackend);
}

function createVip(vip) {
  const article = make("article", "vip"), board = make("div", "board"), links = draw("svg", "links"), node = make("div");
  const title = make("h3"), state = make("span"), rates = make("span", "rates"), flows = make("span", "rates faint"), services = make("ol", "services");
  links.setAttribute("aria-hidden", "true");
  node.append(title, state, rates, flows);
  board.append(links, node, services);
  article.append(board);
  article.parts = {board, links, node, title, state, rates, flows, services};
  watched.observe(board);
  return article;
}

function updateVip(article, vip, many) {
  const {parts} = article;
  article.vip = vip;
  kindOf(parts.node, "node is-" + vip.state);
  kindOf(parts.board, "board" + (vip.services.length > 8 ? " long" : "") + (many ? " many" : ""));
  put(parts.title, vip.address || "no address yet");
  setState(parts.state, vip.state, (vip.served ? "served" : "not served") + (vip.interface ? ", of " + vip.interface : ""));
  put(parts.rates, bitsOf(vip.bits));
  put(parts.flows, scaled(vip.flows) + " flows, " + vip.services.length + (vip.services.length === 1 ? " service" : " services"));
  keyed(parts.services, vip.services, one => one.key, createService, (li, service) => updateService(li, service, many));
}

/** How broad a line is, in pixels, beside the one that carries most. Not in proportion: one with a thousandth can still be seen. */
const breadth = (bits, most) => bits <= 0 ? 1.5 : 1.5 + 11.5 * Math.pow(bits / most, 0.4);

/** One line of the picture; `from` and `to`: {x, y} within it. */
function updateLink(group, {from, to, bits, most, state, moves}) {
  const middle = (from.x + to.x) / 2;
  const course = `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
  const [line, pulse] = group.children;
  for (const path of [line, pulse]) path.setAttribute("d", course);
  line.setAttribute("stroke-width", breadth(bits, most).toFixed(1));
  kindOf(line, state !== "up" ? state : bits > 0 ? "busy" : "quiet");
  kindOf(pulse, bits > 0 && moves ? "pulse" : "unseen");
}

function createLink() {
  const group = draw("g");
  group.append(draw("path"), draw("path"));
  return group;
}

function drawLinks(article) {
  const {board, links, node, services} = article.parts;
  if (getComputedStyle(links).display === "none") return;
  const origin = board.getBoundingClientRect();
  const side = (one, right) => {
    const box = one.getBoundingClientRect();
    return {x: Math.round((right ? box.right : box.left) - origin.left), y: Math.round(box.top + box.height / 2 - origin.top)};
  };
  const found = [];
  for (const [i, li] of [...services.children].entries()) {
    const service = article.vip.services[i];
    found.push({key: service.key, from: side(node, true), to: side(li.parts.node, false), bits: service.bits, state: service.state === "down" ? "down" : "up"});
    const from = side(li.parts.node, true);
    if (li.table.hidden) found.push({key: service.key + " folded", from, to: side(li.parts.bar, false), bits: service.bits, state: "up"});
    else for (const tr of li.table.tBodies[0].rows) found.push({key: tr.key, from, to: side(tr, false), bits: tr.backend.bits, state: tr.backend.state});
  }
  const most = Math.max(1, ...found.map(link => link.bits));
  for (const link of found) {
    link.to.x -= 5;
    link.moves = found.length <= MANY_LINKS;
    link.most = most;
  }
  keyed(links, found, link => link.key, createLink, updateLink);
}

const watched = new ResizeObserver(entries => {
  for (const entry of entries) if (entry.target.parentNode && entry.target.parentNode.vip) drawLinks(entry.target.parentNode);
});

function showPicture(vips) {
  const shown = chosen(vips);
  const backends = vips.reduce((sum, vip) => sum + vip.services.reduce((of, service) => of + service.backends.length, 0), 0);
  const all = vips.reduce((sum, vip) => sum + vip.services.length, 0), left = shown.reduce((sum, vip) => sum + vip.services.length, 0);
  put(at("shown"), left === all ? "" : left + " of " + all + " services");
  keyed(at("vips"), shown, vip => vip.key, createVip, (article, vip) => updateVip(article, vip, backends > MANY_BACKENDS));
  for (const article of at("vips").children) drawLinks(article);
}
