#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The host's packet filter, as far as it matters to vipgate: of nftables and of both kinds of iptables in one form.
namespace vipgate::doctor {

/// What of a packet a condition looks at.
enum class Field : std::uint8_t {
  other,  ///< something that is not understood here: it may hold or not
  incoming,
  outgoing,
  source,
  destination,
  protocol,
  source_port,
  destination_port,
  state,             ///< of connection tracking: "new", "established", "untracked" ...
  destination_type,  ///< "local": an address of this host
};

/// Numbers `first` to `last`, both included: addresses, ports or protocols.
struct Interval {
  std::uint32_t first = 0;
  std::uint32_t last = UINT32_MAX;

  bool operator==(const Interval&) const = default;
};

struct Condition {
  Field field = Field::other;
  bool negated = false;
  std::vector<Interval> numbers{};   ///< any of these
  std::vector<std::string> words{};  ///< any of these; of devices, "eth*" stands for all that begin so
};

enum class Action : std::uint8_t {
  none,       ///< the next rule follows (counters, logs, marks)
  other,      ///< not understood here: it may end the packet's way, or not
  accept,     ///< ends this base chain
  drop,       ///< or reject
  jump,       ///< to another chain, and back
  go_to,      ///< likewise, and back to where this chain was called
  back,       ///< return
  translate,  ///< the destination: DNAT, redirect, TPROXY
  disguise,   ///< the source: SNAT, masquerade
  untrack,    ///< connection tracking leaves the packet alone; the next rule follows
};

struct Rule {
  std::vector<Condition> conditions{};  ///< all of these
  Action action = Action::none;
  std::string target{};   ///< the chain, of jump and go_to
  bool tracks = false;    ///< makes the kernel track connections in this namespace
  std::string name{};     ///< for people: how the tool that made it names it
  std::string removal{};  ///< the command that removes it
};

struct Chain {
  std::string name{};
  std::string hook{};  ///< "prerouting", "input", "forward", "output", "postrouting"; empty: only jumped to
  std::string type{};  ///< of those with a hook: "filter", "nat", "route"
  int priority = 0;
  bool drops = false;  ///< the policy
  std::vector<Rule> rules{};
};

struct Table {
  std::string tool{};    ///< "nft", "iptables" or "iptables-legacy"
  std::string family{};  ///< "ip" or "inet"
  std::string name{};
  std::map<std::string, Chain> chains{};

  /// "table inet filter, chain forward"
  std::string place(const Chain& chain) const;
};

struct Firewall {
  std::vector<Table> tables{};
  std::vector<std::string> unseen{};  ///< what could not be read, and why

  bool tracks() const;  ///< some rule needs connection tracking
};

/// From what `nft --json list ruleset` prints: tables that IPv4 packets pass. Nullopt: it is no such text.
std::optional<std::vector<Table>> parse_nft(std::string_view json);

/// From what iptables-save prints; `tool` is the command that changes these tables.
std::vector<Table> parse_iptables(std::string_view text, const std::string& tool);

/// Asks the programs of this host. iptables' tables are read with its own program, where that is there: nft knows too
/// little of its extensions.
Firewall read_firewall();

}  // namespace vipgate::doctor
