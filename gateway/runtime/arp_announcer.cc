#include "runtime/arp_announcer.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// RFC 5227 §1.1; the shorter ones: see ArpAnnouncer.
constexpr int kProbes = 3;                              // PROBE_NUM
constexpr Duration kProbeInterval = milliseconds(200);  // in place of PROBE_MIN, PROBE_MAX and ANNOUNCE_WAIT
constexpr int kAnnouncements = 2;                       // ANNOUNCE_NUM
constexpr Duration kAnnounceInterval = seconds(2);      // ANNOUNCE_INTERVAL
constexpr Duration kDefendInterval = seconds(10);       // DEFEND_INTERVAL
// RFC 5227 §2.1.1: after MAX_CONFLICTS (10) in a row an address is asked for once in RATE_LIMIT_INTERVAL. Here the
// pauses double, and so reach that after six: who has the address may be a gateway that is just giving it up.
constexpr Duration kConflictPause = seconds(1);
constexpr Duration kConflictInterval = seconds(60);  // RATE_LIMIT_INTERVAL

}  // namespace

void ArpAnnouncer::begin(Entry& entry, Phase phase) {
  entry.phase = phase;
  entry.sent = 0;
  entry.next = arp_.now();
}

void ArpAnnouncer::want(const std::vector<Wanted>& wanted) {
  std::map<Key, Entry> entries;
  std::set<std::string> devices;
  for (const Wanted& one : wanted) {
    devices.insert(one.device);
    const Key key(one.device, one.address);
    const auto known = entries_.find(key);
    if (known != entries_.end() && known->second.wanted.index == one.index) {
      known->second.wanted = one;
      entries.insert(entries_.extract(known));
      continue;
    }
    Entry entry;
    entry.wanted = one;
    begin(entry, one.held ? Phase::announcing : Phase::asking);
    entries.emplace(key, entry);
  }
  entries_ = std::move(entries);
  arp_.keep_only(devices);
}

void ArpAnnouncer::step(Lines& lines) {
  if (entries_.empty()) return;
  for (const ArpClaim& claim : arp_.claims()) take(claim, lines);
  const Time now = arp_.now();
  for (auto& [key, entry] : entries_) {
    if (entry.phase == Phase::settled || now < entry.next) continue;
    if (entry.phase == Phase::conflict) begin(entry, Phase::asking);  // perhaps it has gone
    if (entry.phase == Phase::asking && entry.sent == kProbes) begin(entry, Phase::announcing);
    send(entry, lines);
  }
}

void ArpAnnouncer::send(Entry& entry, Lines& lines) {
  const Wanted& wanted = entry.wanted;
  const bool asking = entry.phase == Phase::asking;
  const absl::Status status =
      asking ? arp_.ask(wanted.device, wanted.address, wanted.own) : arp_.announce(wanted.device, wanted.address);
  if (!status.ok()) {  // what lasts is said once
    if (entry.trouble != status.message()) lines.push_back(std::string(status.message()));
    entry.trouble = std::string(status.message());
    entry.next = arp_.now() + kAnnounceInterval;
    return;
  }
  entry.trouble.clear();
  entry.next = arp_.now() + (asking ? kProbeInterval : kAnnounceInterval);
  ++entry.sent;
  if (asking) return;
  entry.pause = Duration::zero();
  if (entry.sent == 1) {
    lines.push_back(absl::StrCat("ARP ", wanted.address.to_string(), " announced on ", wanted.device,
                                 " — neighbours reach it here"));
  }
  if (entry.sent == kAnnouncements) entry.phase = Phase::settled;
}

void ArpAnnouncer::take(const ArpClaim& claim, Lines& lines) {
  const auto found = entries_.find({claim.device, claim.address});
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.phase == Phase::asking) {
    const bool is_told = entry.pause > Duration::zero() && entry.other == claim.mac;
    entry.phase = Phase::conflict;
    entry.other = claim.mac;
    entry.pause = std::clamp(2 * entry.pause, kConflictPause, kConflictInterval);
    entry.next = arp_.now() + entry.pause;
    if (!is_told) lines.push_back(conflict_line(entry));
    return;
  }
  if (entry.phase == Phase::conflict) return;
  // RFC 5227 §2.4 (b): the address is defended, but two that defend it must not go on for ever.
  const Time now = arp_.now();
  if (entry.defended && now - *entry.defended < kDefendInterval) return;
  entry.defended = now;
  (void)arp_.announce(claim.device, claim.address);
  lines.push_back(absl::StrCat(claim.probe ? "somebody wants " : "somebody else uses ", claim.address.to_string(),
                               " on ", claim.device, " (", to_string(claim.mac),
                               "), which is announced here — defended; the address must have one owner alone"));
}

bool ArpAnnouncer::is_free(const std::string& device, Ipv4Address address) const {
  const auto found = entries_.find({device, address});
  return found != entries_.end() && (found->second.phase == Phase::announcing || found->second.phase == Phase::settled);
}

std::optional<Duration> ArpAnnouncer::due() const {
  std::optional<Duration> soonest;
  const Time now = arp_.now();
  for (const auto& [key, entry] : entries_) {
    if (entry.phase == Phase::settled) continue;
    const Duration left = std::max(Duration::zero(), entry.next - now);
    if (!soonest || left < *soonest) soonest = left;
  }
  return soonest;
}

bool ArpAnnouncer::is_asking() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return entry.second.phase == Phase::asking; });
}

ArpAnnouncer::Lines ArpAnnouncer::failures() const {
  Lines lines;
  for (const auto& [key, entry] : entries_) {
    if (entry.phase == Phase::conflict) lines.push_back(conflict_line(entry));
    if (!entry.trouble.empty()) lines.push_back(entry.trouble);
  }
  return lines;
}

std::string ArpAnnouncer::conflict_line(const Entry& entry) const {
  return absl::StrCat(entry.wanted.address.to_string(), " is used by another host on ", entry.wanted.device, " (",
                      to_string(entry.other),
                      "): it is not announced there. Remedy: take it from that host, or choose another address");
}

}  // namespace vipgate
