#include "nat/ftp.h"

#include <algorithm>
#include <span>

#include "flow/tcp_window.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vipgate {
namespace {

using sequence::after;
using sequence::before;

constexpr std::uint8_t begun(Direction direction) {
  return static_cast<std::uint8_t>(FtpState::kBegun << static_cast<int>(direction));
}

/// The direction's stream begins with `first`, or is joined there, in the middle of some line.
void begin(FtpState& state, Direction direction, std::uint32_t first, bool mid_line) {
  state.edits_of(direction).restart(first);
  FtpLine& line = state.line_of(direction);
  line = FtpLine();
  if (mid_line) line.lose_track();
  state.flags |= begun(direction);
}

bool has_begun(const FtpState& state, Direction direction) {
  return (state.flags & begun(direction)) != 0;
}

void read_syn(FtpState& state, Direction direction, const TcpView& syn) {
  // Data in a SYN (RFC 7413) is not looked at.
  begin(state, direction, syn.sequence() + 1 + syn.payload_length(), syn.payload_length() > 0);
  const Direction other = opposite(direction);
  if (!syn.has(tcp::kAck) || (has_begun(state, other) && state.edits_of(other).next == syn.acknowledgement())) return;
  begin(state, other, syn.acknowledgement(), false);  // of several SYNs, the one that is answered counts
}

void read_acknowledgement(FtpState& state, Direction direction, std::uint32_t acknowledgement) {
  const Direction other = opposite(direction);
  if (!has_begun(state, other)) {
    begin(state, other, acknowledgement, true);
  } else if (state.edits_of(other).acknowledge(acknowledgement)) {
    state.line_of(other).lose_track();
  }
}

/// Reads the payload as far as it is new. Returns how much of it can go on: all, unless a line has to wait.
std::size_t read_payload(FtpState& state, Direction direction, std::uint32_t sequence,
                         std::span<const std::uint8_t> payload, const FtpNames& names, DataExpecter& expecter,
                         FtpFindings& findings) {
  StreamEdits& edits = state.edits_of(direction);
  const std::uint32_t known = edits.next - sequence;
  if (known >= payload.size()) return payload.size();
  std::span<const std::uint8_t> left = payload.subspan(known);
  const bool secured = (state.flags & FtpState::kSecured) != 0;
  if (!secured) {
    left = left.subspan(read_ftp_lines(state.line_of(direction), edits, direction, left, names, expecter, findings));
    if (!findings.secured) return payload.size() - left.size();
    state.flags |= FtpState::kSecured;
  } else if (edits.holding != 0) {
    give_up_ftp_line(state.line_of(direction), edits, left.front());
    left = left.subspan(1);
  }
  edits.pass(static_cast<std::uint32_t>(left.size()));
  return payload.size();
}

/// The FIN that comes next. A line that it cuts off is no command: what is held of one is not delivered.
void read_fin(FtpLine& line, StreamEdits& edits) {
  if (edits.holding != 0) edits.replace_held({});
  line.lose_track();
  edits.pass(1);
}

/// The one's complement sum over a segment and its pseudo-header: 0xffff where the checksum is right.
std::uint16_t segment_sum(const Packet& packet, const Ipv4View& ip) {
  const auto segment = packet.bytes.subspan(ip.header_length());
  return checksum_sum(segment, pseudo_header_sum(ip.source(), ip.destination(), Protocol::tcp,
                                                 static_cast<std::uint32_t>(segment.size())));
}

/// A packet of which more than the header is changed: finish() puts lengths, checksums and the virtio header right.
class Editor {
 public:
  Editor(Packet& packet, const PacketView& view)
      : packet_(packet),
        view_(view),
        tcp_(packet.bytes.data() + view.ip.header_length()),
        size_before_(packet.bytes.size()),
        sum_before_(view.checksum == ChecksumKind::partial ? std::uint16_t{0} : segment_sum(packet, view.ip)) {}

  std::uint8_t* tcp() { return tcp_; }
  std::uint8_t* payload() { return tcp_ + view_.tcp.header_length(); }
  std::size_t payload_limit(std::size_t length) const {
    const std::size_t headers = size_before_ - view_.tcp.payload_length();
    return std::min(length + kFtpGrowth, kMaxPacketSize - headers);
  }

  /// Rewrites both edges of each SACK block (RFC 2018 §3).
  void translate_sack(const StreamEdits& edits) {
    view_.tcp.for_each_option([&](std::uint8_t kind, std::span<const std::uint8_t> value) {
      if (kind != tcp::kSack) return;
      std::uint8_t* block = tcp_ + (value.data() - tcp_);
      for (std::size_t left = value.size(); left >= 8; left -= 8, block += 8) {
        const std::uint32_t right_edge = edits.right_edge_to_sender(load32(block + 4));
        const std::uint32_t left_edge = edits.left_edge_to_sender(load32(block));
        // A block within a text reports nothing, and must not look as if it did.
        store32(block, before(left_edge, right_edge) ? left_edge : right_edge);
        store32(block + 4, right_edge);
      }
    });
  }

  void resize_payload(std::size_t length) {
    packet_.bytes = {packet_.bytes.data(), size_before_ - view_.tcp.payload_length() + length};
  }

  void finish() {
    const std::size_t size = packet_.bytes.size();
    std::uint8_t* ip = packet_.bytes.data();
    ChecksumChange header;
    header.replace16(static_cast<std::uint16_t>(size_before_), static_cast<std::uint16_t>(size));
    store16(ip + ipv4::kTotalLength, static_cast<std::uint16_t>(size));
    store16(ip + ipv4::kChecksum, header.apply(load16(ip + ipv4::kChecksum)));

    std::uint8_t* field = tcp_ + tcp::kChecksum;
    if (view_.checksum == ChecksumKind::partial) {
      // The pseudo-header counts the length of the segment, and the IP header is as long as it was.
      store16(field, header.apply_to_sum(load16(field)));
      finish_virtio();
      return;
    }
    ChecksumChange change;
    change.replace16(segment_sum(packet_, view_.ip), sum_before_);
    store16(field, change.apply_to_sum(load16(field)));
  }

 private:
  /// Of a super-packet that became small.
  void finish_virtio() {
    VirtioHeader& virtio = packet_.virtio;
    const std::size_t payload = packet_.bytes.size() - (size_before_ - view_.tcp.payload_length());
    virtio.header_length =
        static_cast<std::uint16_t>(std::min<std::size_t>(virtio.header_length, packet_.bytes.size()));
    if (virtio.gso_type == VirtioHeader::kGsoNone || payload > virtio.gso_size) return;
    virtio.gso_type = VirtioHeader::kGsoNone;
    virtio.gso_size = 0;
  }

  Packet& packet_;
  const PacketView& view_;
  std::uint8_t* tcp_;
  std::size_t size_before_;
  std::uint16_t sum_before_;
};

/// The urgent pointer counts from the sequence number (RFC 9293 §3.8.5).
void translate_urgent(std::uint8_t* tcp, const StreamEdits& edits, std::uint32_t sequence, std::uint32_t translated) {
  const std::uint32_t end = edits.to_receiver(sequence + load16(tcp + tcp::kUrgent));
  store16(tcp + tcp::kUrgent, static_cast<std::uint16_t>(std::min<std::uint32_t>(end - translated, 0xffff)));
}

/// `readable`: bytes of the payload that can go on.
void edit(const FtpState& state, Direction direction, Packet& packet, const PacketView& view, std::size_t readable) {
  const StreamEdits& edits = state.edits_of(direction);
  const StreamEdits& others = state.edits_of(opposite(direction));
  const std::uint32_t sequence = view.tcp.sequence();
  const std::uint32_t acknowledgement = view.tcp.acknowledgement();
  const std::size_t before_length = view.tcp.payload_length();
  std::uint8_t flags = view.tcp.flags();

  Editor editor(packet, view);
  if (view.tcp.has(tcp::kAck)) {
    store32(editor.tcp() + tcp::kAcknowledgement, others.to_sender(acknowledgement));
    editor.translate_sack(others);
  }
  const auto [taken, length] = edits.splice(sequence, editor.payload(), readable, editor.payload_limit(before_length));
  editor.resize_payload(length);
  if (taken < before_length) flags &= static_cast<std::uint8_t>(~tcp::kFin);
  editor.tcp()[tcp::kFlags] = flags;

  std::uint32_t translated = edits.to_receiver(sequence);
  const bool is_empty = length == 0 && (flags & (tcp::kSyn | tcp::kFin | tcp::kRst)) == 0;
  if (is_empty && edits.is_edited(sequence)) --translated;
  store32(editor.tcp() + tcp::kSequence, translated);
  if ((flags & tcp::kUrg) != 0) translate_urgent(editor.tcp(), edits, sequence, translated);
  editor.finish();
}

}  // namespace

bool ftp_is_sound(const FtpState& state) {
  for (std::size_t side = 0; side < 2; ++side) {
    const StreamEdits& edits = state.edits[side];
    const FtpLine& line = state.lines[side];
    if (!edits.is_sound() || !line.is_sound()) return false;
    if ((line.phase == FtpLine::Phase::argument) != (edits.holding != 0)) return false;
  }
  return true;
}

void ftp_open(FtpState& state, std::uint32_t original_next, std::uint32_t reply_next) {
  begin(state, Direction::original, original_next, false);
  begin(state, Direction::reply, reply_next, false);
}

void ftp_restore(const FtpState& state, Direction direction, TcpSegment& segment) {
  const StreamEdits& others = state.edits_of(opposite(direction));
  if (segment.has(tcp::kAck)) segment.acknowledgement = others.to_sender(segment.acknowledgement);
  auto& high = segment.options.sack_high;
  if (high) *high = others.right_edge_to_sender(*high);
}

FtpVerdict ftp_translate(FtpState& state, Direction direction, Packet& packet, const PacketView& view,
                         TcpOutcome outcome, const FtpNames& names, DataExpecter& expecter) {
  const TcpView& tcp = view.tcp;
  const bool believed = outcome == TcpOutcome::accept;
  const std::uint32_t acknowledgement = tcp.acknowledgement();
  StreamEdits& edits = state.edits_of(direction);
  FtpFindings findings;
  std::size_t readable = tcp.payload_length();

  if (tcp.has(tcp::kSyn)) {
    if (believed) read_syn(state, direction, tcp);
  } else if (!tcp.has(tcp::kRst)) {
    const auto payload = view.ip.payload().subspan(tcp.header_length());
    const bool has_fin = tcp.has(tcp::kFin);
    if (!has_begun(state, direction)) begin(state, direction, tcp.sequence(), true);
    if (after(tcp.sequence(), edits.next) && (!payload.empty() || has_fin)) {
      const bool reads = (state.flags & FtpState::kSecured) == 0 || edits.holding != 0;
      if (reads) return {.drop = Reason::helper_busy};
      edits.pass(tcp.sequence() - edits.next);
    }
    if (!payload.empty()) {
      readable = read_payload(state, direction, tcp.sequence(), payload, names, expecter, findings);
      if (readable == 0) return {.drop = Reason::helper_busy};
    }
    if (has_fin && tcp.sequence() + static_cast<std::uint32_t>(payload.size()) == edits.next)
      read_fin(state.line_of(direction), edits);
  }
  if (!edits.is_plain() || !state.edits_of(opposite(direction)).is_plain()) {
    edit(state, direction, packet, view, readable);
  }
  if (believed && tcp.has(tcp::kAck) && !tcp.has(tcp::kSyn) && !tcp.has(tcp::kRst)) {
    read_acknowledgement(state, direction, acknowledgement);
  }
  return {.drop = Reason::none, .announced = findings.announced, .refused = findings.refused};
}

}  // namespace vipgate
