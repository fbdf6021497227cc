#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "nat/ftp_lines.h"
#include "support/packet_builder.h"

namespace vipgate::test {

inline const FtpNames kNames{address("198.51.100.7"), address("203.0.113.10"), address("10.0.0.2")};
inline const Ipv4Address kMasquerade = address("203.0.113.14");

/// Grants a port that follows from the target alone; none to one target in eight. Keeps account.
class ModelExpecter : public DataExpecter {
 public:
  std::vector<std::pair<DataOpener, Endpoint>> asked;

  std::optional<Endpoint> expect(DataOpener opener, const Endpoint& target) override {
    asked.emplace_back(opener, target);
    return answer(opener, target);
  }
  static std::optional<Endpoint> answer(DataOpener opener, const Endpoint& target) {
    if (target.port % 8 == 3) return std::nullopt;
    const auto port = static_cast<std::uint16_t>(1024 + std::uint32_t{target.port} * 7919 % 64512);
    return Endpoint{opener == DataOpener::client ? kNames.vip : kMasquerade, port};
  }
};

/// A slow and obvious TCP after its handshake. It sends a text cut at random places, again when it likes and otherwise
/// when it must, and puts together what it receives. It counts positions in 64 bits, the first byte being 0.
class ModelPeer {
 public:
  struct Options {
    std::string text;           // to send before the FIN
    std::uint32_t first = 0;    // initial sequence number
    std::size_t segment = 100;  // most bytes of one
    std::size_t again = 100;    // most bytes of one that is sent again
    std::size_t window = 65535;
    bool waits = false;  // sends nothing while something is not acknowledged (Nagle)
    bool sack = false;
  };
  struct Segment {
    std::uint64_t position = 0;
    std::string payload;
    bool fin = false;
  };
  /// What the wire has of a segment.
  struct Wire {
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgement = 0;
    std::string payload;
    bool fin = false;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sack;
  };

  ModelPeer(Options options, std::uint32_t peer_first)
      : options_(std::move(options)), peer_first_(peer_first), reported_(options_.text.size()) {}

  const std::string& received() const { return received_; }
  bool is_done() const { return acknowledged_ == options_.text.size() + 1 && finished_; }
  std::string fault;  ///< what it was told that cannot be

  std::vector<Segment> tick(std::uint64_t now, std::mt19937_64& random) {
    std::vector<Segment> out;
    const auto below = [&](std::uint64_t limit) { return random() % limit; };
    const std::uint64_t end = options_.text.size();
    for (int burst = 0; burst < 4 && sent_ <= end && sent_ < acknowledged_ + peer_window; ++burst) {
      if (options_.waits && sent_ != acknowledged_) break;
      const std::uint64_t most = std::min<std::uint64_t>(options_.segment, acknowledged_ + peer_window - sent_);
      if (most == 0) break;
      add(out, sent_, 1 + below(most), below(2) == 0);
      if (below(4) == 0) break;
    }
    if (sent_ > acknowledged_ && now >= timer_) {
      std::uint64_t from = acknowledged_;
      for (std::uint64_t count = 1 + below(3); count > 0; --count) {
        while (from < std::min(sent_, end) && reported_[from]) ++from;
        std::uint64_t length = 0;
        while (length < options_.again && from + length < std::min(sent_, end) && !reported_[from + length]) ++length;
        if (length == 0 && from < end) break;
        add(out, from, length == 0 ? 1 : 1 + below(length), true);
        from = out.back().position + out.back().payload.size();
      }
      timer_ = now + 40;
    } else if (sent_ > 0 && below(16) == 0) {  // for no reason
      const std::uint64_t from = std::min(end, sent_ - 1 - below(std::min<std::uint64_t>(sent_, 200)));
      add(out, from, std::min<std::uint64_t>(1 + below(options_.again), std::min(sent_, end) - from), true);
    }
    if (out.empty() && answer_) out.push_back({sent_, "", false});
    answer_ = false;
    if (!out.empty() && timer_ < now) timer_ = now + 40;
    return out;
  }

  Wire wire(const Segment& segment) const {
    Wire wire{options_.first + 1 + static_cast<std::uint32_t>(segment.position),
              peer_first_ + 1 + static_cast<std::uint32_t>(expected()),
              segment.payload,
              segment.fin,
              {}};
    for (const auto& [from, bytes] : held_) {
      if (!options_.sack || wire.sack.size() == 3) break;
      wire.sack.emplace_back(on_wire(from), on_wire(from + bytes.size()));
    }
    return wire;
  }

  void receive(const Wire& wire, std::uint64_t now) {
    take_acknowledgement(wire, now);
    const auto distance = static_cast<std::int32_t>(wire.sequence - on_wire(expected()));
    const std::int64_t position = static_cast<std::int64_t>(expected()) + distance;
    // An empty segment in the window needs no answer, any other does (RFC 9293 §3.10.7.4).
    answer_ = answer_ || distance < 0 || !wire.payload.empty() || wire.fin;
    const std::int64_t end = position + static_cast<std::int64_t>(wire.payload.size());
    if (wire.fin && !fin_) fin_ = end;
    const std::int64_t from = std::max<std::int64_t>(position, static_cast<std::int64_t>(received_.size()));
    const std::int64_t to = std::min<std::int64_t>(end, static_cast<std::int64_t>(received_.size() + options_.window));
    for (std::int64_t at = from; at < to; ++at) {
      hold(static_cast<std::uint64_t>(at), wire.payload[static_cast<std::size_t>(at - position)]);
    }
    while (!held_.empty() && held_.begin()->first <= received_.size()) {
      const auto& [begin, bytes] = *held_.begin();
      const std::size_t known = received_.size() - begin;
      if (known < bytes.size()) received_ += bytes.substr(known);
      held_.erase(held_.begin());
    }
    if (fin_ && *fin_ == static_cast<std::int64_t>(received_.size())) finished_ = true;
  }

  std::size_t peer_window = 65535;

 private:
  std::uint64_t expected() const { return received_.size() + (finished_ ? 1 : 0); }
  std::uint32_t on_wire(std::uint64_t position) const { return peer_first_ + 1 + static_cast<std::uint32_t>(position); }

  void add(std::vector<Segment>& out, std::uint64_t from, std::uint64_t length, bool may_finish) {
    const std::uint64_t end = options_.text.size();
    Segment segment{from, options_.text.substr(from, length), false};
    const std::uint64_t to = from + segment.payload.size();
    segment.fin = to == end && (may_finish || segment.payload.empty()) && to < acknowledged_ + peer_window;
    if (segment.payload.empty() && !segment.fin) return;
    sent_ = std::max(sent_, to + (segment.fin ? 1 : 0));
    out.push_back(std::move(segment));
  }

  void take_acknowledgement(const Wire& wire, std::uint64_t now) {
    const auto position = [&](std::uint32_t number) {
      const auto distance =
          static_cast<std::int32_t>(number - (options_.first + 1 + static_cast<std::uint32_t>(acknowledged_)));
      return static_cast<std::int64_t>(acknowledged_) + distance;
    };
    const std::int64_t acknowledged = position(wire.acknowledgement);
    const auto sent = static_cast<std::int64_t>(sent_);
    if (acknowledged > sent) fault = "acknowledgement of what was not sent";
    if (acknowledged > static_cast<std::int64_t>(acknowledged_)) {
      acknowledged_ = static_cast<std::uint64_t>(acknowledged);
      timer_ = now + 40;
    }
    for (const auto& [left, right] : wire.sack) {
      if (left == right) continue;  // reports nothing
      if (position(left) > position(right)) fault = "SACK block that ends before it begins";
      if (position(right) > sent) fault = "SACK of what was not sent";
      for (std::int64_t at = std::max<std::int64_t>(0, position(left)); at < position(right); ++at) {
        if (static_cast<std::size_t>(at) < reported_.size()) reported_[static_cast<std::size_t>(at)] = true;
      }
    }
  }

  void hold(std::uint64_t at, char byte) {
    auto next = held_.upper_bound(at);
    if (next != held_.begin()) {
      auto& [from, bytes] = *std::prev(next);
      if (at < from + bytes.size()) return;
      if (at == from + bytes.size()) {
        bytes += byte;
        if (next != held_.end() && next->first == at + 1) {
          bytes += next->second;
          held_.erase(next);
        }
        return;
      }
    }
    std::string bytes(1, byte);
    if (next != held_.end() && next->first == at + 1) {
      bytes += next->second;
      held_.erase(next);
    }
    held_.emplace(at, std::move(bytes));
  }

  Options options_;
  std::uint32_t peer_first_;
  // As sender.
  std::uint64_t acknowledged_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t timer_ = 0;
  std::vector<bool> reported_;  ///< by SACK: never sent again
  // As receiver.
  std::string received_;
  std::map<std::uint64_t, std::string> held_;
  std::optional<std::int64_t> fin_;
  bool finished_ = false;
  bool answer_ = false;
};

}  // namespace vipgate::test
