#include "fuzz/gateway.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

#include "fuzz/require.h"
#include "support/packet_builder.h"
#include "vipgate/inspect.h"

namespace vipgate::fuzz {
namespace {

constexpr std::size_t kCapacity = std::size_t{kShards} * 8;
constexpr std::uint64_t kSeed = 1;

/// From worker to worker: to the one that gathers fragments, to the one that owns the flow.
constexpr int kMaxHandOffs = 2;

/// Calls of run() in which the engines must come to rest.
constexpr int kMaxRuns = 64;

auto key_of(const Datagram& datagram) {
  const VirtioHeader& virtio = datagram.virtio;
  return std::tie(datagram.bytes, virtio.flags, virtio.gso_type, virtio.header_length, virtio.gso_size,
                  virtio.checksum_start, virtio.checksum_offset);
}

std::size_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_fragment(std::span<const std::uint8_t> packet) {
  return (get16(packet, 6) & 0x3fff) != 0;
}

void require_whole(std::span<const std::uint8_t> packet) {
  require(packet.size() >= 20 && packet[0] >> 4 == 4, "what is sent is an IPv4 packet",
          [&] { return describe(packet); });
  const std::size_t header = std::size_t{4} * (packet[0] & 15U);
  require(header >= 20 && header <= packet.size(), "the header's length is right", [&] { return describe(packet); });
  require(get16(packet, 2) == packet.size(), "the total length is that of the bytes sent",
          [&] { return describe(packet); });
}

/// Collects what is sent. What the engine makes itself has right checksums always.
class Collector final : public PacketSink {
 public:
  enum class Source { engine, forwarded };

  Collector(std::vector<Datagram>& out, Source source) : out_(out), source_(source) {}

  void send(const Packet& packet) override {
    require_whole(packet.bytes);
    require(packet.fragment_size == 0, "what is sent is no datagram in want of cutting");
    if (source_ == Source::engine && !is_fragment(packet.bytes)) {
      const std::string fault = test::checksum_fault(packet);
      require(fault.empty(), fault, [&] { return describe(packet.bytes); });
    }
    out_.push_back({{packet.bytes.begin(), packet.bytes.end()}, packet.virtio});
  }

 private:
  std::vector<Datagram>& out_;
  Source source_;
};

/// Holds fragments against the datagram that they were cut from.
void require_pieces_of(const Packet& whole, std::span<const Datagram> pieces) {
  std::vector<std::uint8_t> payload;
  for (const Datagram& piece : pieces) {
    const std::size_t header = std::size_t{4} * (piece.bytes[0] & 15U);
    const bool last = &piece == &pieces.back();
    require((get16(piece.bytes, 6) & 0x1fff) * 8 == payload.size(), "fragments are in order", piece);
    require(((get16(piece.bytes, 6) & 0x2000) != 0) == !last, "the last fragment, and it alone, says so", piece);
    require(piece.bytes.size() <= whole.fragment_size, "no fragment is larger than those that came", piece);
    require(test::naive_sum(std::span(piece.bytes).first(header)) == 0xffff, "a fragment's header checksum is right",
            piece);
    payload.insert(payload.end(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(header), piece.bytes.end());
  }
  const std::size_t header = std::size_t{4} * (whole.bytes[0] & 15U);
  const auto expected = whole.bytes.subspan(header);
  require(std::equal(payload.begin(), payload.end(), expected.begin(), expected.end()),
          "fragments carry the datagram that was forwarded", [&] { return describe(whole.bytes); });
}

/// A packet in memory of its own.
class Held {
 public:
  Held(std::span<const std::uint8_t> bytes, const VirtioHeader& virtio, std::uint16_t fragment_size, std::size_t room)
      : memory_(std::make_unique<std::uint8_t[]>(bytes.size() + room)),
        size_(bytes.size() + room),
        packet_{.bytes = {memory_.get(), bytes.size()}, .virtio = virtio, .fragment_size = fragment_size} {
    std::copy(bytes.begin(), bytes.end(), memory_.get());
  }
  Packet& packet() { return packet_; }

  /// Whether the packet still lies in this memory and its room.
  bool holds_packet() const {
    const std::uint8_t* begin = packet_.bytes.data();
    return begin >= memory_.get() && begin + packet_.bytes.size() <= memory_.get() + size_;
  }

 private:
  std::unique_ptr<std::uint8_t[]> memory_;
  std::size_t size_;
  Packet packet_;
};

bool checksums_were_right(Datagram in) {
  return checksums_are_right({.bytes = in.bytes, .virtio = in.virtio});
}

void require_unchanged(const Datagram& in, const Packet& packet) {
  const auto first = std::span(in.bytes).first(std::min(in.bytes.size(), packet.bytes.size()));
  require(packet.bytes.size() <= in.bytes.size() && std::equal(first.begin(), first.end(), packet.bytes.begin()),
          "what is not ours stays as it was", in);
}

/// Holds a packet and its verdict against what went in, and sends what is to be sent.
void finish(const Datagram& in, const Verdict& verdict, const Packet& packet, std::vector<Datagram>& out) {
  require(verdict.action != Action::drop || verdict.reason != Reason::none, "a drop has a reason", in);
  require(verdict.shard < kShards, "a shard is one of 64", in);
  if (verdict.action == Action::pass && packet.fragment_size == 0) require_unchanged(in, packet);
  if (verdict.action != Action::forward && verdict.action != Action::pass) return;

  require_whole(packet.bytes);
  if (verdict.action == Action::forward) {
    const bool unverified = in.virtio.flags != 0;
    const bool was_right = packet.fragment_size != 0 || checksums_were_right(in);
    require(was_right || unverified, "what has wrong checksums is not forwarded", in);
    const std::string fault = was_right ? test::checksum_fault(packet) : "";
    require(fault.empty(), fault, [&] { return in.text() + "\n" + describe(packet.bytes); });
    require(packet.bytes[1] == in.bytes[1], "the DS field stays", in);
    require(packet.bytes[8] == in.bytes[8] || packet.fragment_size != 0, "the TTL stays", in);
  }
  std::vector<Datagram> pieces;
  Collector collector(pieces, Collector::Source::forwarded);
  send_as_it_came(packet, collector);
  require(!pieces.empty(), "what goes on is sent", in);
  if (packet.fragment_size != 0) {
    require_pieces_of(packet, pieces);
  } else {
    require(pieces.size() == 1 &&
                std::equal(packet.bytes.begin(), packet.bytes.end(), pieces[0].bytes.begin(), pieces[0].bytes.end()),
            "a packet that came whole goes whole", in);
  }
  out.insert(out.end(), std::make_move_iterator(pieces.begin()), std::make_move_iterator(pieces.end()));
}

}  // namespace

std::string Datagram::text() const {
  return describe(bytes);
}

bool operator==(const Datagram& a, const Datagram& b) {
  return key_of(a) == key_of(b);
}
bool operator<(const Datagram& a, const Datagram& b) {
  return key_of(a) < key_of(b);
}

void Gateway::FreeAligned::operator()(std::byte* bytes) const {
  std::free(bytes);  // NOLINT: aligned_alloc's
}

Gateway::Aligned Gateway::allocate(std::size_t size) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, (size + 63) / 64 * 64));
  std::memset(memory, 0, size);
  return Aligned(memory);
}

Gateway::Gateway(const Rules& rules, std::uint32_t workers, std::size_t room)
    : room_(room),
      records_(allocate(flow_record_bytes(kCapacity))),
      index_(allocate(flow_index_bytes(kCapacity))),
      helpers_(allocate(helper_record_bytes(kCapacity))) {
  const FlowMemory memory{.records = {records_.get(), flow_record_bytes(kCapacity)},
                          .index = {index_.get(), flow_index_bytes(kCapacity)},
                          .helpers = {helpers_.get(), helper_record_bytes(kCapacity)},
                          .capacity = kCapacity};
  ruleset_ = compile(rules, generation_);
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    engines_.push_back(std::make_unique<Engine>(
        EngineOptions{.worker = worker, .workers = workers, .seed = kSeed, .memory = memory}, ruleset_));
  }
}

/// One count a verdict; what is dropped opens nothing.
void Gateway::check_counted(const Counters& before, std::span<const Verdict> verdicts, std::size_t flows_before) const {
  const Counters after = counters();
  Counters expected = before;
  bool may_open = false;
  for (const Verdict& verdict : verdicts) {
    ++expected.actions[static_cast<std::size_t>(verdict.action)];
    if (verdict.reason != Reason::none) ++expected.reasons[static_cast<std::size_t>(verdict.reason)];
    may_open = may_open || verdict.action == Action::forward;
  }
  require(after.actions == expected.actions, "each packet is counted once, by its verdict");
  require(after.reasons == expected.reasons, "each reason is counted once");
  require(may_open || after.flows_opened == before.flows_opened, "only what is forwarded opens a flow");
  require(may_open || flows() <= flows_before, "only what is forwarded leaves a flow behind");
}

Fate Gateway::process(const Datagram& in, Time now, std::uint32_t worker) {
  Fate fate;
  Collector collector(fate.out, Collector::Source::engine);
  auto held = std::make_unique<Held>(in.bytes, in.virtio, std::uint16_t{0}, room_);
  for (int hand_offs = 0;; ++hand_offs) {
    const Counters before = counters();
    const std::size_t flows_before = flows();
    Packet& packet = held->packet();
    fate.verdict = engines_[worker]->process(packet, now, collector);
    check_counted(before, {&fate.verdict, 1}, flows_before);
    require(packet.fragment_size != 0 || held->holds_packet(), "a packet stays in its memory and the room behind it",
            in);
    if (fate.verdict.action != Action::hand_off) {
      fate.understood = fate.out;
      const bool goes_on = fate.verdict.action == Action::forward || fate.verdict.action == Action::pass;
      if (goes_on) fate.understood.push_back({{packet.bytes.begin(), packet.bytes.end()}, packet.virtio});
      finish(in, fate.verdict, packet, fate.out);
      return fate;
    }
    if (packet.fragment_size == 0) require_unchanged(in, packet);
    const auto owner = static_cast<std::uint32_t>(fate.verdict.shard % engines_.size());
    require(owner != worker, "no packet is handed off to the worker that has it", in);
    require(hand_offs < kMaxHandOffs, "a packet comes to its owner", in);
    worker = owner;
    held = std::make_unique<Held>(packet.bytes, packet.virtio, packet.fragment_size, room_);
  }
}

std::vector<Verdict> Gateway::process_batch(std::span<const Datagram> in, Time now, std::vector<Datagram>& out) {
  std::vector<std::unique_ptr<Held>> held;
  std::vector<Packet> packets;
  for (const Datagram& datagram : in) {
    held.push_back(std::make_unique<Held>(datagram.bytes, datagram.virtio, std::uint16_t{0}, room_));
    packets.push_back(held.back()->packet());
  }
  std::vector<Verdict> verdicts(in.size());
  const Counters before = counters();
  Collector collector(out, Collector::Source::engine);
  engines_.front()->process(packets, verdicts, now, collector);
  check_counted(before, verdicts, flows());
  for (std::size_t i = 0; i < in.size(); ++i) {
    require(verdicts[i].action != Action::hand_off, "a single worker hands nothing off", in[i]);
    finish(in[i], verdicts[i], packets[i], out);
  }
  return verdicts;
}

void Gateway::run(Time now, std::vector<Datagram>& out) {
  Collector collector(out, Collector::Source::engine);
  next_run_ = Time::max();
  for (const auto& engine : engines_) {
    Time next = now;
    for (int runs = 0; next <= now; ++runs) {
      require(runs < kMaxRuns, "an engine comes to rest");
      next = engine->run(now, collector);
    }
    next_run_ = std::min(next_run_, next);
  }
}

void Gateway::reload(const Rules& rules) {
  ruleset_ = compile(rules, ++generation_, ruleset_.get());
  for (const auto& engine : engines_) engine->set_ruleset(ruleset_);
}

std::size_t Gateway::flows() const {
  std::size_t sum = 0;
  for (const auto& engine : engines_) sum += engine->flow_count();
  return sum;
}

Counters Gateway::counters() const {
  Counters sum;
  for (const auto& engine : engines_) sum.add(engine->counters());
  return sum;
}

}  // namespace vipgate::fuzz
