#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "flow/tcp_tracker.h"

namespace vipgate {

/// A slow and obvious TCP, to have real conversations with: handshake, sliding window with scaling, SACK, zero windows,
/// go-back-N with timers, FIN. It counts stream positions in 64 bits (its SYN is position 0, its first byte 1), so that
/// nothing wraps but on the wire.
class ModelEndpoint {
 public:
  struct Options {
    bool opens = false;       // sends the first SYN
    std::uint32_t first = 0;  // initial sequence number
    std::uint64_t bytes = 0;  // to send before the FIN
    std::uint32_t segment = 1460;
    std::uint64_t buffer = 65535;  // receive buffer
    std::optional<std::uint8_t> scale;
    bool sack = false;
    std::uint64_t delay = 0;  // before the FIN, after all was acknowledged
  };

  explicit ModelEndpoint(const Options& options) : options_(options) {}

  bool is_done() const { return fin_acknowledged() && received_fin(); }
  std::uint64_t received() const { return expected_; }

  /// What it sends at a tick, if anything.
  std::vector<TcpSegment> tick(std::uint64_t now, std::mt19937_64& random) {
    std::vector<TcpSegment> out;
    // The application reads, sometimes, so that the window closes and opens.
    if (unread_ > 0 && random() % 4 == 0) {
      const bool was_closed = offered() == 0;
      unread_ -= std::min<std::uint64_t>(unread_, random() % (options_.buffer + 1));
      if (was_closed && offered() > 0) answer_ = true;
    }
    if (!peer_syn_ && !options_.opens) return out;
    const bool timer = now >= retransmit_at_ && sent_ > acknowledged_;
    if (timer) sent_ = acknowledged_;  // go back
    if (acknowledged_ == 0) {
      if (sent_ == 0) {
        out.push_back(make(tcp::kSyn, 0, 0));
        sent_ = highest_ = 1;
        retransmit_at_ = now + 40;
      }
      return out;
    }
    if (acknowledged_ == 1 + options_.bytes && all_acknowledged_at_ == 0) all_acknowledged_at_ = now;
    const bool may_finish = all_acknowledged_at_ != 0 && now >= all_acknowledged_at_ + options_.delay;
    const std::uint64_t last = 1 + options_.bytes;
    for (int burst = 0; burst < 8; ++burst) {
      if (sent_ < last) {
        std::uint64_t length =
            std::min<std::uint64_t>({options_.segment, last - sent_, edge_ > sent_ ? edge_ - sent_ : 0});
        if (length == 0) {
          if (sent_ != acknowledged_ || now < probe_at_) break;
          length = 1;  // zero window probe
          probe_at_ = now + 30;
        }
        out.push_back(make(tcp::kPsh, sent_, static_cast<std::uint32_t>(length)));
        sent_ += length;
      } else if (sent_ == last && (may_finish || options_.delay == 0) && edge_ >= sent_) {
        out.push_back(make(tcp::kFin, sent_, 0));
        sent_ += 1;
      } else {
        break;
      }
      highest_ = std::max(highest_, sent_);
      retransmit_at_ = now + 40;
    }
    if (out.empty() && answer_) out.push_back(make(0, sent_, 0));
    answer_ = false;
    return out;
  }

  void receive(const TcpSegment& segment) {
    if (segment.has(tcp::kSyn)) {
      if (!peer_syn_) {
        peer_first_ = segment.sequence;
        peer_scale_ = segment.options.window_scale;
        peer_sack_ = segment.options.sack_permitted;
        expected_ = 1;
        peer_syn_ = true;
      } else if (acknowledged_ == 0) {
        sent_ = 0;  // its SYN once more: so our answer
      }
      answer_ = true;
    }
    if (!peer_syn_) return;
    if (segment.has(tcp::kAck)) take_acknowledgement(segment);
    if (acknowledged_ == 0) return;
    take_data(segment);
  }

 private:
  bool fin_acknowledged() const { return acknowledged_ == options_.bytes + 2; }
  bool received_fin() const { return peer_fin_ && expected_ == *peer_fin_ + 1; }
  bool scales() const { return options_.scale && (!peer_syn_ || peer_scale_); }

  std::uint64_t offered() const {
    std::uint64_t held = unread_;
    for (const auto& [from, to] : held_) held += to - from;
    return options_.buffer > held ? options_.buffer - held : 0;
  }

  TcpSegment make(std::uint8_t flags, std::uint64_t position, std::uint32_t length) {
    TcpSegment made;
    const bool syn = (flags & tcp::kSyn) != 0;
    made.flags = static_cast<std::uint8_t>(flags | (peer_syn_ ? tcp::kAck : 0));
    made.sequence = options_.first + static_cast<std::uint32_t>(position);
    made.acknowledgement = peer_syn_ ? peer_first_ + static_cast<std::uint32_t>(expected_) : 0;
    made.payload_length = length;
    const int shift = !syn && scales() ? *options_.scale : 0;
    made.window = static_cast<std::uint16_t>(std::min<std::uint64_t>(offered() >> shift, 65535));
    promised_ = std::max(promised_, expected_ + (std::uint64_t{made.window} << shift));
    if (syn) {
      if (scales()) made.options.window_scale = options_.scale;
      made.options.sack_permitted = options_.sack;
    } else if (peer_sack_ && options_.sack && !held_.empty()) {
      made.options.sack_high = peer_first_ + static_cast<std::uint32_t>(held_.rbegin()->second);
    }
    return made;
  }

  void take_acknowledgement(const TcpSegment& segment) {
    const std::uint64_t position = unwrap(segment.acknowledgement - options_.first, acknowledged_);
    if (position < acknowledged_ || position > std::max(highest_, sent_)) return;
    if (position > acknowledged_) probe_at_ = 0;
    acknowledged_ = position;
    sent_ = std::max(sent_, acknowledged_);
    highest_ = std::max(highest_, sent_);
    const int shift = !segment.has(tcp::kSyn) && scales() ? *peer_scale_ : 0;
    edge_ = std::max(edge_, acknowledged_ + (std::uint64_t{segment.window} << shift));
  }

  void take_data(const TcpSegment& segment) {
    std::uint64_t from = unwrap(segment.sequence - peer_first_, expected_);
    if (segment.has(tcp::kSyn)) from += 1;
    std::uint64_t to = from + segment.payload_length;
    if (segment.has(tcp::kFin) && !peer_fin_ && to <= promised_) peer_fin_ = to;
    if (segment.payload_length > 0 || segment.has(tcp::kFin) || from != expected_) answer_ = true;
    from = std::max(from, expected_);
    to = std::min(to, promised_);  // no room for more
    if (from < to) held_[from] = std::max(held_[from], to);
    while (!held_.empty() && held_.begin()->first <= expected_) {
      const auto [begin, end] = *held_.begin();
      if (end > expected_) unread_ += end - expected_;
      expected_ = std::max(expected_, end);
      held_.erase(held_.begin());
    }
    if (peer_fin_ && expected_ == *peer_fin_) expected_ += 1;
  }

  /// The position nearest to `near` whose lower 32 bits these are.
  static std::uint64_t unwrap(std::uint32_t low, std::uint64_t near) {
    const auto distance = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(near));
    const std::int64_t position = static_cast<std::int64_t>(near) + distance;
    return position < 0 ? 0 : static_cast<std::uint64_t>(position);
  }

  Options options_;
  // As sender.
  std::uint64_t acknowledged_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t highest_ = 0;
  std::uint64_t edge_ = 0;
  std::uint64_t retransmit_at_ = 0;
  std::uint64_t probe_at_ = 0;
  std::uint64_t all_acknowledged_at_ = 0;
  // As receiver.
  bool peer_syn_ = false;
  std::uint32_t peer_first_ = 0;
  std::optional<std::uint8_t> peer_scale_;
  bool peer_sack_ = false;
  std::uint64_t expected_ = 0;
  std::uint64_t promised_ = 0;
  std::optional<std::uint64_t> peer_fin_;
  std::map<std::uint64_t, std::uint64_t> held_;
  std::uint64_t unread_ = 0;
  bool answer_ = false;
};

}  // namespace vipgate
