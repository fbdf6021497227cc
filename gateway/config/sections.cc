#include "config/sections.h"

#include <grp.h>

#include <cerrno>

#include "config/reader.h"

namespace vipgate::config {
namespace {

constexpr std::size_t kMaxSocketPath = 107;  // sun_path of sockaddr_un, less the zero at its end
constexpr std::string_view kSocketName = "/control.sock";
constexpr std::size_t kShards = 64;  // the flow space is cut into as many equal parts

/// A number, or 0 for "auto".
std::optional<std::int64_t> read_auto(std::string_view key, const JsonValue& value, IntegerRange range,
                                      Errors& errors) {
  if (value.kind == JsonKind::string && value.text == "auto") return 0;
  if (value.kind == JsonKind::integer) return read_integer(key, value, range, errors);
  add_mismatch(key, value,
               "\"auto\" or a whole number (" + std::to_string(range.first) + " to " + std::to_string(range.last) + ")",
               errors);
  return std::nullopt;
}

std::optional<std::string> read_path(std::string_view key, const JsonValue& value, std::size_t max_size,
                                     std::string_view example, Errors& errors) {
  std::optional<std::string> path = read_text(key, value, max_size, errors);
  if (!path || path->starts_with('/')) return path;
  add_mismatch(key, value, "an absolute path, such as " + quoted(example), errors);
  return std::nullopt;
}

/// A prefix of addresses that hosts can have.
std::optional<Ipv4Prefix> read_subnet(std::string_view key, const JsonValue& value, std::string_view whose,
                                      Errors& errors) {
  static const std::array kRefused{Ipv4Prefix(Ipv4Address(0x7F000000), 8), Ipv4Prefix(Ipv4Address(0xE0000000), 4)};
  const auto prefix = read_prefix(key, value, errors);
  if (!prefix) return std::nullopt;
  for (const Ipv4Prefix& refused : kRefused) {
    if (!refused.contains(*prefix) && !prefix->contains(refused)) continue;
    errors.add(value.offset, quoted(key) + ": " + prefix->to_string() + " overlaps " + refused.to_string() + ", " +
                                 std::string(special_use(refused.address())) + " network; write the prefix of your " +
                                 std::string(whose));
    return std::nullopt;
  }
  return prefix;
}

void read_subnets(const JsonValue& value, DraftList<Ipv4Prefix>& subnets, Errors& errors) {
  const auto add = [&](const JsonValue& item) {
    const auto prefix = read_subnet("subnet", item, "VIPs", errors);
    if (prefix) subnets.entries.push_back({*prefix, item.offset});
    if (!prefix) subnets.whole = false;
  };
  subnets.given = true;
  if (value.kind != JsonKind::array) return add(value);
  for (const JsonValue& item : value.items) add(item);
  if (!value.items.empty()) return;
  errors.add(value.offset, R"("subnet": the list is empty; write the prefix of your VIPs, such as "203.0.113.8/29")");
  subnets.whole = false;
}

/// The private networks of RFC 1918 §3: from one to another, hosts need no public address.
std::vector<Ipv4Prefix> default_except() {
  return {Ipv4Prefix(Ipv4Address(0x0A000000), 8), Ipv4Prefix(Ipv4Address(0xAC100000), 12),
          Ipv4Prefix(Ipv4Address(0xC0A80000), 16)};
}

std::optional<DraftEgress> read_egress_entry(const JsonValue& value, Errors& errors) {
  static constexpr std::array kKeys{Key{"from"}, Key{"as"}, Key{"except"}};
  const ObjectReader reader("an egress entry", value, kKeys, errors);
  DraftEgress draft;
  draft.except = default_except();
  reader.set(draft.except, "except", read_prefixes);
  const JsonValue* from = reader.require("from", "the prefix of private hosts, such as \"10.0.0.0/24\"");
  const JsonValue* as = reader.require("as", "the VIP that their flows leave with");
  const auto prefix = from == nullptr ? std::nullopt : read_subnet("from", *from, "private hosts", errors);
  const auto address = as == nullptr ? std::nullopt : read_own_address("as", *as, errors);
  if (!prefix || !address) return std::nullopt;
  draft.from = {*prefix, from->offset};
  draft.as = {*address, as->offset};
  return draft;
}

struct TimeoutKey {
  std::string_view name;
  Duration Timeouts::*target;
};
constexpr std::array kTimeoutKeys{
    TimeoutKey{"syn_sent", &Timeouts::syn_sent},
    TimeoutKey{"syn_recv", &Timeouts::syn_recv},
    TimeoutKey{"established", &Timeouts::established},
    TimeoutKey{"fin_wait", &Timeouts::fin_wait},
    TimeoutKey{"close_wait", &Timeouts::close_wait},
    TimeoutKey{"last_ack", &Timeouts::last_ack},
    TimeoutKey{"time_wait", &Timeouts::time_wait},
    TimeoutKey{"close", &Timeouts::close},
    TimeoutKey{"picked_up", &Timeouts::picked_up},
    TimeoutKey{"udp_one_way", &Timeouts::udp_one_way},
    TimeoutKey{"udp", &Timeouts::udp},
    TimeoutKey{"icmp_query", &Timeouts::icmp_query},
};

std::optional<Scheduling> read_scheduling(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_choice<Scheduling>(
      key, value, {{"auto", Scheduling::automatic}, {"realtime", Scheduling::realtime}, {"normal", Scheduling::normal}},
      errors);
}

std::optional<Timeouts> read_profile(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_choice<Timeouts>(key, value, {{"rfc", Timeouts{}}, {"linux", Timeouts::linux_profile()}}, errors);
}

}  // namespace

void read_tun(const JsonValue& value, bool needs_subnet, Config::Tun& tun, DraftList<Ipv4Prefix>& subnets,
              Errors& errors) {
  static constexpr std::array kKeys{Key{"name"},    Key{"subnet"},  Key{"mtu"},
                                    Key{"workers"}, Key{"offload"}, Key{"scheduling"}};
  const ObjectReader reader("\"tun\"", value, kKeys, errors);
  reader.set(tun.name, "name", read_interface_name);
  const JsonValue* subnet = needs_subnet
                                ? reader.require("subnet", "the prefix of the VIPs, such as \"203.0.113.8/29\"")
                                : reader.find("subnet");
  if (subnet != nullptr) read_subnets(*subnet, subnets, errors);
  reader.set(tun.mtu, "mtu", read_integer, IntegerRange{576, 65535});
  reader.set(tun.workers, "workers", read_auto, IntegerRange{1, 64});
  reader.set(tun.offload, "offload", read_boolean);
  reader.set(tun.scheduling, "scheduling", read_scheduling);
}

void read_egress(const JsonValue& value, std::vector<DraftEgress>& egress, Errors& errors) {
  if (value.kind != JsonKind::array)
    return add_mismatch("egress", value, "a list of { } with \"from\" and \"as\"", errors);
  for (const JsonValue& item : value.items) {
    if (auto entry = read_egress_entry(item, errors)) egress.push_back(*std::move(entry));
  }
}

void read_flows(const JsonValue& value, Config::Flows& flows, Errors& errors) {
  static constexpr std::array kKeys{Key{"max"}, Key{"state_dir"}};
  const ObjectReader reader("\"flows\"", value, kKeys, errors);
  reader.set(flows.max, "max", read_auto, IntegerRange{1024, 16777216});
  flows.max = (flows.max + kShards - 1) / kShards * kShards;
  // With room for the names of sockets in it.
  reader.set(flows.state_dir, "state_dir", read_path, kMaxSocketPath - kSocketName.size(), "/run/vipgate");
}

void read_timeouts(const JsonValue& value, Timeouts& timeouts, Errors& errors) {
  static constexpr std::array kKeys = [] {
    std::array<Key, kTimeoutKeys.size() + 1> keys{Key{"profile"}};
    for (std::size_t i = 0; i < kTimeoutKeys.size(); ++i) keys[i + 1].name = kTimeoutKeys[i].name;
    return keys;
  }();
  const ObjectReader reader("\"timeouts\"", value, kKeys, errors);
  reader.set(timeouts, "profile", read_profile);  // first: single values lie over it, wherever they stand
  for (const TimeoutKey& key : kTimeoutKeys) reader.set(timeouts.*key.target, key.name, read_duration);
}

void read_kernel(const JsonValue& value, Config::Kernel& kernel, Errors& errors) {
  static constexpr std::array kKeys{Key{"rule_priority"}, Key{"table"}, Key{"protocol"}, Key{"guard"}};
  const ObjectReader reader("\"kernel\"", value, kKeys, errors);
  reader.set(kernel.rule_priority, "rule_priority", read_integer, IntegerRange{1, 32000});
  reader.set(kernel.table, "table", read_table);
  // 0 to 4 are the kernel's own: unspec, redirect, kernel, boot, static (linux/rtnetlink.h).
  reader.set(kernel.protocol, "protocol", read_integer, IntegerRange{5, 255});
  reader.set(kernel.guard, "guard", read_boolean);
}

std::optional<Endpoint> read_listener(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto endpoint = value.kind == JsonKind::string ? Endpoint::parse(value.text) : std::nullopt;
  if (endpoint && endpoint->port != 0) return endpoint;
  add_mismatch(key, value, "an address of this host and a port, such as \"127.0.0.1:9860\"", errors);
  return std::nullopt;
}

/// The number of a group of this host.
std::optional<std::uint32_t> read_group(std::string_view key, const JsonValue& value, Errors& errors) {
  constexpr std::size_t kMaxName = 64;
  constexpr std::int64_t kLastGroup = 0xFFFFFFFE;  // the one behind it means "none" to the kernel
  if (value.kind == JsonKind::integer) {
    const auto number = read_integer(key, value, IntegerRange{0, kLastGroup}, errors);
    return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
  }
  if (value.kind != JsonKind::string) {
    add_mismatch(key, value, "the name or the number of a group, such as \"vipgate\"", errors);
    return std::nullopt;
  }
  const auto name = read_text(key, value, kMaxName, errors);
  if (!name) return std::nullopt;
  group entry{};
  group* found = nullptr;
  std::vector<char> room(1024);
  while (::getgrnam_r(name->c_str(), &entry, room.data(), room.size(), &found) == ERANGE) room.resize(2 * room.size());
  if (found != nullptr) return found->gr_gid;
  errors.add(value.offset, quoted(key) + ": no group is called " + quoted(*name) +
                               " here; make it with groupadd, or name one that there is");
  return std::nullopt;
}

void read_control(const JsonValue* value, const std::string& state_dir, Config::Control& control, Errors& errors) {
  static constexpr std::array kKeys{Key{"socket"}, Key{"group"}, Key{"http"}};
  control.socket = state_dir + std::string(kSocketName);
  if (value == nullptr) return;
  const ObjectReader reader("\"control\"", *value, kKeys, errors);
  reader.set(control.socket, "socket", read_path, kMaxSocketPath, "/run/vipgate/control.sock");
  reader.set(control.group, "group", read_group);
  reader.set(control.http, "http", read_listener);
}

}  // namespace vipgate::config
