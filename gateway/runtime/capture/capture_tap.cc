#include "runtime/capture/capture_tap.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vipgate {
namespace {

constexpr std::size_t kProtocolAt = 9;  // RFC 791 §3.1

/// As many copies as a batch has packets, twice: each may have an answer.
constexpr std::size_t kCopies = 2 * Engine::kMaxBatch;

void count(std::atomic<std::uint64_t>& counter, bool one) {
  if (one) counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool goes_on(const Verdict& verdict) {
  return verdict.action == Action::forward || verdict.action == Action::pass;
}

}  // namespace

CaptureTap::CaptureTap(CaptureFilter filter, std::size_t snaplen, std::size_t room)
    : filter_(std::move(filter)),
      snaplen_(std::min(snaplen, kMaxPacketSize)),
      room_(kCopies * snaplen_),
      copies_(std::make_unique_for_overwrite<std::uint8_t[]>(room_)),
      ring_(room) {}

CapturedSide CaptureTap::side_of(const Packet& packet) const {
  const std::size_t size = packet.bytes.size();
  return {.captured = static_cast<std::uint32_t>(std::min(size, snaplen_)),
          .original = static_cast<std::uint32_t>(size),
          .virtio = packet.virtio,
          .fragment_size = packet.fragment_size};
}

std::span<const std::uint8_t> CaptureTap::keep(const Packet& packet, const CapturedSide& side) {
  const std::span<std::uint8_t> room = std::span(copies_.get() + used_, side.captured);
  std::memcpy(room.data(), packet.bytes.data(), room.size());
  used_ += room.size();
  return room;
}

void CaptureTap::before(std::span<const Packet> packets, bool handed_over, Time now) {
  handed_over_ = handed_over;
  now_ = now;
  used_ = 0;
  fragment_count_ = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    Seen& seen = seen_[i];
    seen = {};
    seen.wanted = !packets[i].bytes.empty() && filter_.may_match(packets[i].bytes);
    if (!seen.wanted) continue;
    seen.was_joined = packets[i].fragment_size != 0;
    seen.ends = endpoints_of(packets[i].bytes);
    if (seen.ends) seen.protocol = packets[i].bytes[kProtocolAt];
    if (seen.was_joined) continue;
    seen.in = side_of(packets[i]);
    seen.in_bytes = keep(packets[i], seen.in);
  }
}

void CaptureTap::answer(const Packet& packet, std::size_t answered) {
  Seen& seen = seen_[answered];
  const auto ends = endpoints_of(packet.bytes);
  const bool is_answer = seen.ends && ends && seen.ends->source.address == ends->destination.address;
  // A connection that ends is told to both of its ends, and a packet may be the occasion for another one to end.
  if (!is_answer || !seen.wanted) return own(packet, now_);
  const CapturedSide side = side_of(packet);
  const bool is_first = !seen.answer.is_there();
  if (!has_room(side) || (!is_first && fragment_count_ == fragments_.size())) return lose({.out = side});
  const auto bytes = keep(packet, side);
  if (is_first) {
    seen.answer = side;
    seen.answer_bytes = bytes;
  } else {
    fragments_[fragment_count_++] = {answered, side, bytes};
  }
}

void CaptureTap::own(const Packet& packet, Time now) {
  if (!filter_.may_match(packet.bytes)) return;
  CaptureHeader header{
      .time = now, .verdict = {.action = Action::reply}, .in = {}, .out = side_of(packet), .own = true};
  const CaptureFilter::Subject subject{.left = filter_.wants_ends() ? endpoints_of(packet.bytes) : std::nullopt,
                                       .verdict = header.verdict};
  if (filter_.matches(subject)) push(header, {}, {}, packet.bytes.first(header.out.captured));
}

/// The service that a packet was for, also where it got no backend: the one at its destination.
CaptureTap::Names CaptureTap::names_of(const Verdict& verdict, const Seen& seen, const Ruleset& ruleset) {
  if (verdict.service != Verdict::kNoService) {
    const Service& service = service_at(ruleset, verdict.service);
    return {service.name, service.backends[verdict.backend].name};
  }
  const auto protocol = static_cast<Protocol>(seen.protocol);
  const bool has_ports = protocol == Protocol::tcp || protocol == Protocol::udp;
  if (!has_ports || !seen.ends || seen.ends->destination.port == 0) return {};
  const auto service = find_service(ruleset, protocol, seen.ends->destination);
  return service ? Names{service_at(ruleset, *service).name, {}} : Names{};
}

void CaptureTap::after(std::span<const Packet> packets, std::span<const Verdict> verdicts, const Ruleset& ruleset) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Seen& seen = seen_[i];
    if (!seen.wanted) continue;
    const Verdict& verdict = verdicts[i];
    const bool joined = packets[i].fragment_size != 0 && !seen.was_joined;
    // The owner of its flow tells what becomes of it. One that was handed over and is still not ours is lost.
    if (verdict.action == Action::hand_off && !joined && (!handed_over_ || seen.was_joined)) continue;
    CaptureHeader header{.time = now_, .verdict = verdict, .in = seen.in, .out = seen.answer};
    std::span<const std::uint8_t> out = seen.answer_bytes;
    if (goes_on(verdict)) {
      header.out = side_of(packets[i]);
      out = packets[i].bytes.first(header.out.captured);
    }
    const Names names = names_of(verdict, seen, ruleset);
    const bool has_new_ends = goes_on(verdict) && filter_.wants_ends();
    const CaptureFilter::Subject subject{.came = seen.ends,
                                         .left = has_new_ends ? endpoints_of(packets[i].bytes) : std::nullopt,
                                         .verdict = verdict,
                                         .service = names.service,
                                         .backend = names.backend};
    if (!filter_.matches(subject)) continue;
    push(header, names, seen.in_bytes, out);
    for (const Fragment& fragment : std::span(fragments_).first(fragment_count_)) {
      if (fragment.answered != i) continue;
      push({.time = now_, .verdict = verdict, .in = {}, .out = fragment.side}, names, {}, fragment.bytes);
    }
  }
}

void CaptureTap::push(const CaptureHeader& header, const Names& names, std::span<const std::uint8_t> in,
                      std::span<const std::uint8_t> out) {
  if (!ring_.push(header, names.service, names.backend, in, out)) lose(header);
}

void CaptureTap::lose(const CaptureHeader& header) {
  count(lost_packets_, true);
  count(lost_in_, header.in.is_there());
  count(lost_out_, header.out.is_there());
}

CaptureTap::Lost CaptureTap::lost() const {
  return {lost_packets_.load(std::memory_order_relaxed), lost_in_.load(std::memory_order_relaxed),
          lost_out_.load(std::memory_order_relaxed)};
}

void CaptureTaps::add(std::shared_ptr<CaptureTap> tap) {
  if (taps_.size() == kMaxCaptures) return;
  tap->set_open();
  taps_.push_back(std::move(tap));
}

void CaptureTaps::remove(const CaptureTap* tap) {
  for (const auto& one : taps_) {
    if (one.get() == tap) one->set_closed();
  }
  std::erase_if(taps_, [tap](const auto& one) { return one.get() == tap; });
}

void CaptureTaps::before(const Engine& engine, std::span<const Packet> packets, bool handed_over, Time now) {
  engine_ = &engine;
  now_ = now;
  for (const auto& tap : taps_) tap->before(packets, handed_over, now);
}

void CaptureTaps::after(std::span<const Packet> packets, std::span<const Verdict> verdicts, const Ruleset& ruleset) {
  for (const auto& tap : taps_) tap->after(packets, verdicts, ruleset);
  engine_ = nullptr;
}

void CaptureTaps::before_run(Time now) {
  now_ = now;
}

PacketSink& CaptureTaps::over(PacketSink& sink) {
  sink_ = &sink;
  return any() ? *this : sink;
}

void CaptureTaps::send(const Packet& packet) {
  for (const auto& tap : taps_) engine_ == nullptr ? tap->own(packet, now_) : tap->answer(packet, engine_->deciding());
  sink_->send(packet);
}

}  // namespace vipgate
