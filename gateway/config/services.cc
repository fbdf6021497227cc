#include "config/services.h"

#include <algorithm>
#include <utility>

#include "config/announce.h"
#include "config/health.h"
#include "config/ports.h"
#include "config/reader.h"

namespace vipgate::config {
namespace {

constexpr std::size_t kMaxNameSize = 64;
constexpr IntegerRange kLimitRange{1, 0xFFFFFFFF};
/// From the default, which every host takes (RFC 9293 §3.7.1), to what fills an IPv4 packet: 65,535 less two headers.
constexpr IntegerRange kMssRange{536, 65535 - 20 - 20, "a segment size"};

template <typename T>
struct Setting {
  bool given = false;  // perhaps with a bad value, which was recorded
  std::optional<T> value;

  template <typename Read>
  void read(const ObjectReader& reader, std::string_view key, Read reader_of_value) {
    const JsonValue* found = reader.find(key);
    if (found == nullptr) return;
    given = true;
    value = reader_of_value(key, *found, reader.errors());
  }
};

/// What a service says itself, or the section "defaults" for all.
struct ServiceKeys {
  Setting<Placed<std::string>> name;
  Setting<std::vector<Protocol>> protocols;
  Setting<DraftPorts> ports;
  Setting<SourceMode> source;
  Setting<Placed<Ipv4Address>> masquerade;
  Setting<Duration> idle_timeout;
  Setting<Placed<Balance>> balance;
  Setting<Placed<Affinity>> affinity;
  Setting<Placed<OnBackendDown>> on_backend_down;
  Setting<Placed<Helper>> helper;
  Setting<Placed<std::uint16_t>> mss;
  Setting<std::vector<Ipv4Prefix>> allow;
  Setting<std::vector<Ipv4Prefix>> deny;
  Setting<Limits> limits;
  Setting<DraftHealth> health;
  Setting<std::vector<DraftBackend>> backends;
};

constexpr std::array kServiceKeys{
    Key{"name"},         Key{"protocol"}, Key{"port"},     Key{"source"},          Key{"masquerade"},
    Key{"idle_timeout"}, Key{"balance"},  Key{"affinity"}, Key{"on_backend_down"}, Key{"helper"},
    Key{"mss"},          Key{"allow"},    Key{"deny"},     Key{"limits"},          Key{"backends"},
    Key{"health"},
};

std::optional<Placed<std::string>> read_name(std::string_view key, const JsonValue& value, Errors& errors) {
  auto name = read_text(key, value, kMaxNameSize, errors);
  if (!name) return std::nullopt;
  return Placed<std::string>{*std::move(name), value.offset};
}

std::optional<std::vector<Protocol>> read_protocols(std::string_view key, const JsonValue& value, Errors& errors) {
  std::vector<Protocol> protocols;
  const auto add = [&](const JsonValue& item) {
    const auto protocol = read_choice<Protocol>(key, item, {{"tcp", Protocol::tcp}, {"udp", Protocol::udp}}, errors);
    if (!protocol) return;
    if (std::find(protocols.begin(), protocols.end(), *protocol) != protocols.end()) {
      errors.add(item.offset, quoted(key) + ": " + quoted(item.text) + " is in the list twice; name it once");
    }
    protocols.push_back(*protocol);
  };
  if (value.kind == JsonKind::array) {
    if (value.items.empty())
      errors.add(value.offset, quoted(key) + ": the list is empty; write \"tcp\", \"udp\" or both");
    for (const JsonValue& item : value.items) add(item);
  } else {
    add(value);
  }
  if (protocols.empty()) return std::nullopt;
  std::sort(protocols.begin(), protocols.end());
  return protocols;
}

std::optional<SourceMode> read_source(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_choice<SourceMode>(key, value,
                                 {{"masquerade", SourceMode::masquerade}, {"preserve", SourceMode::preserve}}, errors);
}

std::optional<Placed<Ipv4Address>> read_placed_address(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto address = read_address(key, value, errors);
  if (!address) return std::nullopt;
  return Placed<Ipv4Address>{*address, value.offset};
}

/// A word, and where it stands.
template <typename T>
std::optional<Placed<T>> read_placed_choice(std::string_view key, const JsonValue& value,
                                            std::initializer_list<Choice<T>> choices, Errors& errors) {
  const auto choice = read_choice<T>(key, value, choices, errors);
  if (!choice) return std::nullopt;
  return Placed<T>{*choice, value.offset};
}

std::optional<Placed<Balance>> read_balance(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_placed_choice<Balance>(key, value,
                                     {{"maglev", Balance::maglev},
                                      {"round_robin", Balance::round_robin},
                                      {"least_connections", Balance::least_connections}},
                                     errors);
}
std::optional<Placed<Affinity>> read_affinity(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_placed_choice<Affinity>(key, value, {{"none", Affinity::none}, {"client", Affinity::client}}, errors);
}
std::optional<Placed<OnBackendDown>> read_on_backend_down(std::string_view key, const JsonValue& value,
                                                          Errors& errors) {
  return read_placed_choice<OnBackendDown>(key, value, {{"keep", OnBackendDown::keep}, {"reset", OnBackendDown::reset}},
                                           errors);
}
std::optional<Placed<Helper>> read_helper(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_placed_choice<Helper>(key, value, {{"none", Helper::none}, {"ftp", Helper::ftp}}, errors);
}
std::optional<Placed<std::uint16_t>> read_mss(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto mss = read_integer(key, value, kMssRange, errors);
  if (!mss) return std::nullopt;
  return Placed<std::uint16_t>{static_cast<std::uint16_t>(*mss), value.offset};
}

std::optional<std::vector<Ipv4Prefix>> read_allow(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::array && value.items.empty()) {
    errors.add(value.offset, quoted(key) + ": the list is empty, so nobody could come; leave it out to let all come");
    return std::nullopt;
  }
  return read_prefixes(key, value, errors);
}

std::optional<Limits> read_limits(std::string_view key, const JsonValue& value, Errors& errors) {
  static constexpr std::array kKeys{Key{"flows"}, Key{"flows_per_client"}, Key{"new_per_second"}};
  const std::string what = quoted(key);
  const ObjectReader reader(what, value, kKeys, errors);
  Limits limits;
  const auto read = [](std::string_view name, const JsonValue& number, Errors& found) {
    const auto limit = read_integer(name, number, kLimitRange, found);
    return limit ? std::optional(static_cast<std::uint32_t>(*limit)) : std::nullopt;
  };
  reader.set(limits.flows, "flows", read);
  reader.set(limits.flows_per_client, "flows_per_client", read);
  reader.set(limits.new_per_second, "new_per_second", read);
  return limits;
}

std::optional<DraftBackend> read_backend(const JsonValue& value, Errors& errors) {
  static constexpr std::array kKeys{Key{"name"}, Key{"address"}, Key{"port"}, Key{"weight"}, Key{"backup"}};
  const ObjectReader reader("a backend", value, kKeys, errors);
  DraftBackend draft;
  Setting<Placed<std::string>> name;
  name.read(reader, "name", read_name);
  if (name.value) {
    draft.backend.name = std::move(name.value->value);
    draft.named_at = name.value->offset;
  }
  if (const JsonValue* port = reader.find("port")) {
    draft.port_offset = port->offset;
    if (const auto number = read_integer("port", *port, kPortRange, errors)) {
      draft.backend.port = static_cast<std::uint16_t>(*number);
    }
  }
  reader.set(draft.backend.weight, "weight", read_integer, IntegerRange{0, 65535});
  reader.set(draft.backend.backup, "backup", read_boolean);

  const JsonValue* address = reader.require("address", "the private address of a host, such as \"10.0.0.2\"");
  if (address == nullptr) return std::nullopt;
  const auto parsed = read_address("address", *address, errors);
  if (!parsed) return std::nullopt;
  draft.backend.address = *parsed;
  draft.offset = address->offset;
  return draft;
}

std::optional<std::vector<DraftBackend>> read_backends(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind != JsonKind::array) {
    add_mismatch(key, value, "a list of backends", errors);
    return std::nullopt;
  }
  if (value.items.empty()) errors.add(value.offset, quoted(key) + ": the list is empty; write at least one backend");
  std::vector<DraftBackend> backends;
  for (const JsonValue& item : value.items) {
    if (auto backend = read_backend(item, errors)) backends.push_back(*std::move(backend));
  }
  return backends;
}

ServiceKeys read_service_keys(const ObjectReader& reader) {
  ServiceKeys keys;
  keys.name.read(reader, "name", read_name);
  keys.protocols.read(reader, "protocol", read_protocols);
  keys.ports.read(reader, "port", read_ports);
  keys.source.read(reader, "source", read_source);
  keys.masquerade.read(reader, "masquerade", read_placed_address);
  keys.idle_timeout.read(reader, "idle_timeout", read_duration);
  keys.balance.read(reader, "balance", read_balance);
  keys.affinity.read(reader, "affinity", read_affinity);
  keys.on_backend_down.read(reader, "on_backend_down", read_on_backend_down);
  keys.helper.read(reader, "helper", read_helper);
  keys.mss.read(reader, "mss", read_mss);
  keys.allow.read(reader, "allow", read_allow);
  keys.deny.read(reader, "deny", read_prefixes);
  keys.limits.read(reader, "limits", read_limits);
  keys.health.read(reader, "health", read_health);
  keys.backends.read(reader, "backends", read_backends);
  return keys;
}

void add_affinity_conflict(const Placed<Balance>& balance, const Placed<Affinity>& affinity, Errors& errors) {
  errors.add(affinity.offset, "\"affinity\": only \"maglev\" can keep a client at one backend, and \"balance\" at " +
                                  errors.place(balance.offset) + " is another; leave one of the two out");
}

ServiceKeys read_defaults(const JsonValue* value, Errors& errors) {
  if (value == nullptr) return {};
  const ObjectReader reader("\"defaults\"", *value, kServiceKeys, errors);
  ServiceKeys keys = read_service_keys(reader);
  if (const JsonValue* name = reader.find("name")) {
    errors.add(name->offset, "\"name\": has no default, since names are unique; leave it out");
  }
  const auto& balance = keys.balance.value;
  const auto& affinity = keys.affinity.value;
  if (balance && affinity && balance->value != Balance::maglev && affinity->value == Affinity::client) {
    add_affinity_conflict(*balance, *affinity, errors);
  }
  return keys;
}

/// "tcp/203.0.113.10:80": unique, since services of one VIP and protocol share no port.
std::string default_name(const DraftService& service, const Vip& vip) {
  std::string name;
  for (const Protocol protocol : service.service.protocols) {
    name += (name.empty() ? "" : "+") + std::string(protocol == Protocol::tcp ? "tcp" : "udp");
  }
  name += "/" + name_of(vip) + ":";
  const auto& ranges = service.ports.ranges;
  if (service.ports.wildcard) return name + "*";
  if (!ranges.empty()) name += to_string(ranges.front().value);
  if (ranges.size() > 1) name += ",...";
  return name;
}

/// The service's own setting, else the default.
template <typename T>
std::optional<T> pick(Setting<T>& own, const Setting<T>& defaults) {
  return own.given ? std::move(own.value) : defaults.value;
}

template <typename T>
const T* to_pointer(const Setting<T>& setting) {
  return setting.value ? &*setting.value : nullptr;
}

/// What goes with TCP alone. Where it does not fit, a default is passed over, and the service's own is an error.
void pick_tcp_settings(ServiceKeys& own, const ServiceKeys& defaults, DraftService& draft, Errors& errors) {
  const auto& protocols = draft.service.protocols;
  const bool no_tcp =
      !protocols.empty() && std::find(protocols.begin(), protocols.end(), Protocol::tcp) == protocols.end();
  const std::string remedy = "; leave it out, or add \"tcp\" to the service's \"protocol\"";

  if (const auto mss = pick(own.mss, defaults.mss)) {
    if (!no_tcp) draft.service.mss = mss->value;
    if (no_tcp && own.mss.given)
      errors.add(mss->offset, "\"mss\": is an option of TCP, and the service has none" + remedy);
  }
  if (const auto on_backend_down = pick(own.on_backend_down, defaults.on_backend_down)) {
    if (!no_tcp) draft.service.on_backend_down = on_backend_down->value;
    if (no_tcp && own.on_backend_down.given) {
      errors.add(on_backend_down->offset,
                 "\"on_backend_down\": is about TCP connections, and the service has none" + remedy);
    }
  }
  const auto helper = pick(own.helper, defaults.helper);
  if (!helper || helper->value == Helper::none) return;
  if (!no_tcp && !draft.ports.wildcard) {
    draft.service.helper = helper->value;
    draft.helper_offset = helper->offset;
  } else if (own.helper.given && no_tcp) {
    errors.add(helper->offset, "\"helper\": FTP runs over TCP, and the service has none" + remedy);
  } else if (own.helper.given) {
    errors.add(helper->offset, "\"helper\": port \"*\" (" + errors.place(draft.ports.ranges.front().offset) +
                                   ") would take every connection for one of FTP; name the control port, such as 21");
  }
}

/// Affinity is what hashing by address gives. A default for one of the two yields to the service's own other one.
void pick_balance(ServiceKeys& own, const ServiceKeys& defaults, Service& service, Errors& errors) {
  const auto balance = pick(own.balance, defaults.balance);
  const auto affinity = pick(own.affinity, defaults.affinity);
  if (balance) service.balance = balance->value;
  if (affinity) service.affinity = affinity->value;
  if (service.affinity == Affinity::none || service.balance == Balance::maglev) return;
  if (own.affinity.given && !own.balance.given) {
    service.balance = Balance::maglev;
  } else if (own.balance.given && !own.affinity.given) {
    service.affinity = Affinity::none;
  } else if (own.balance.given) {
    add_affinity_conflict(*balance, *affinity, errors);
  }
}

/// Records that a setting is neither the service's nor a default.
void require(const ObjectReader& reader, std::string_view key, bool has_default, std::string_view noun) {
  if (!has_default) reader.require(key, noun);
}

DraftService read_service(const JsonValue& value, const Vip& vip, const ServiceKeys& defaults, Errors& errors) {
  const ObjectReader reader("a service", value, kServiceKeys, errors);
  ServiceKeys own = read_service_keys(reader);
  require(reader, "protocol", defaults.protocols.given, "\"tcp\", \"udp\" or a list of both");
  require(reader, "port", defaults.ports.given, "a port, a range, a list or \"*\"");
  require(reader, "backends", defaults.backends.given, "a list of backends");

  DraftService draft;
  draft.offset = value.offset;
  draft.service.protocols = pick(own.protocols, defaults.protocols).value_or(std::vector<Protocol>{});
  draft.service.source = pick(own.source, defaults.source).value_or(SourceMode::masquerade);
  draft.service.idle_timeout = pick(own.idle_timeout, defaults.idle_timeout);
  draft.masquerade = pick(own.masquerade, defaults.masquerade);
  const bool own_ports = own.ports.given;
  draft.ports = pick(own.ports, defaults.ports).value_or(DraftPorts{});
  if (!own_ports) {
    // Two services that take the same default clash where they stand, not where the default stands.
    for (Placed<PortRange>& range : draft.ports.ranges) range.offset = value.offset;
  }
  draft.service.wildcard = draft.ports.wildcard;
  draft.service.allow = pick(own.allow, defaults.allow).value_or(std::vector{Ipv4Prefix()});
  draft.service.deny = pick(own.deny, defaults.deny).value_or(std::vector<Ipv4Prefix>{});
  draft.service.limits = pick(own.limits, defaults.limits).value_or(Limits{});
  pick_balance(own, defaults, draft.service, errors);
  pick_tcp_settings(own, defaults, draft, errors);
  draft.backends = pick(own.backends, defaults.backends).value_or(std::vector<DraftBackend>{});
  for (DraftBackend& backend : draft.backends) {
    check_backend_port(draft.ports, backend, errors);
    Backend& named = backend.backend;
    if (backend.named_at) continue;
    named.name = named.port ? Endpoint{named.address, *named.port}.to_string() : named.address.to_string();
  }
  if (own.health.given == own.health.value.has_value()) {
    draft.health = pick_health(to_pointer(own.health), to_pointer(defaults.health), draft, errors);
  }
  if (own.name.value) draft.named_at = own.name.value->offset;
  draft.service.name = own.name.value ? std::move(own.name.value->value) : default_name(draft, vip);
  return draft;
}

std::optional<Ping> read_ping(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::boolean) return value.boolean ? Ping::always : Ping::never;
  if (value.kind == JsonKind::string && value.text == "healthy") return Ping::healthy;
  add_mismatch(key, value, "true, false or \"healthy\"", errors);
  return std::nullopt;
}

std::optional<Unmatched> read_unmatched(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_choice<Unmatched>(key, value, {{"reject", Unmatched::reject}, {"drop", Unmatched::drop}}, errors);
}

/// The host has a shared VIP, and answers at it, already: only ports of it can be taken.
void check_shared(const ObjectReader& reader, const DraftVip& draft, Errors& errors) {
  if (const JsonValue* announce = reader.find("announce")) {
    errors.add(
        announce->offset,
        "\"announce\": a shared VIP is this host's own address, which its neighbours know already; leave it out");
  }
  if (const JsonValue* ping = reader.find("ping"); ping != nullptr && draft.vip.ping != Ping::always) {
    errors.add(
        ping->offset,
        "\"ping\": this host itself answers at a shared VIP; leave it out, and forbid it in the host's firewall");
  }
  for (const DraftService& service : draft.services) {
    if (service.ports.wildcard) {
      errors.add(service.ports.ranges.front().offset,
                 "\"port\": \"*\" would take every port of this host's own address, and nobody could log in any more; "
                 "name the ports that a shared VIP serves");
    }
    if (service.service.helper != Helper::none) {
      errors.add(service.helper_offset,
                 "\"helper\": data connections need ports of the VIP, and those of the shared VIP " +
                     name_of(draft.vip) +
                     " are this host's; use a VIP that is not shared, or write \"helper\": \"none\" at its services");
    }
  }
}

/// An address, or {"interface": "ppp0"}: the one that an interface of this host has.
void read_vip_address(const JsonValue& value, DraftVip& draft, Errors& errors) {
  draft.offset = value.offset;
  if (value.kind == JsonKind::object) {
    static constexpr std::array kKeys{Key{"interface"}};
    const ObjectReader reader("\"address\"", value, kKeys, errors);
    reader.require("interface", "the name of an interface of this host, such as \"ppp0\"");
    reader.set(draft.vip.interface, "interface", read_interface_name);
  } else if (const auto address = read_address("address", value, errors)) {
    draft.has_address = true;
    draft.vip.address = *address;
  }
}

DraftVip read_vip(const JsonValue& value, const ServiceKeys& defaults, Errors& errors) {
  static constexpr std::array kKeys{Key{"address"}, Key{"ping"},     Key{"unmatched"},
                                    Key{"shared"},  Key{"services"}, Key{"announce"}};
  const ObjectReader reader("a VIP", value, kKeys, errors);
  DraftVip draft;
  draft.offset = value.offset;
  if (const JsonValue* address =
          reader.require("address", "an address of the tun's subnet, such as \"203.0.113.10\"")) {
    read_vip_address(*address, draft, errors);
  }
  reader.set(draft.vip.ping, "ping", read_ping);
  reader.set(draft.vip.unmatched, "unmatched", read_unmatched);
  reader.set(draft.announcement, "announce", read_announce);
  reader.set(draft.vip.shared, "shared", read_boolean);
  if (!draft.vip.interface.empty() && !draft.vip.shared) {
    errors.add(draft.offset,
               "\"address\": that of an interface is this host's own, whose other ports stay the host's; "
               "add \"shared\": true, or write an address of the tun's subnet");
  }

  const JsonValue* services = reader.require("services", "a list of services");
  if (services == nullptr) return draft;
  if (services->kind != JsonKind::array) {
    add_mismatch("services", *services, "a list of services", errors);
    return draft;
  }
  if (services->items.empty())
    errors.add(services->offset, "\"services\": the list is empty; write at least one service");
  for (const JsonValue& service : services->items) {
    draft.services.push_back(read_service(service, draft.vip, defaults, errors));
  }
  if (draft.vip.shared) check_shared(reader, draft, errors);
  return draft;
}

}  // namespace

std::vector<DraftVip> read_vips(const JsonValue* section, const JsonValue* defaults, Errors& errors) {
  const ServiceKeys keys = read_defaults(defaults, errors);
  std::vector<DraftVip> vips;
  if (section == nullptr) return vips;
  const JsonValue& value = *section;
  if (value.kind != JsonKind::array) {
    add_mismatch("vips", value, "a list of VIPs", errors);
    return vips;
  }
  if (value.items.empty()) errors.add(value.offset, "\"vips\": the list is empty; write at least one VIP");
  for (const JsonValue& item : value.items) vips.push_back(read_vip(item, keys, errors));
  return vips;
}

}  // namespace vipgate::config
