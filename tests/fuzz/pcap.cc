#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>

#include "device/pcap_file.h"
#include "fuzz/require.h"
#include "fuzz/rules.h"
#include "runtime/replay.h"
#include "vipgate/inspect.h"

// Any bytes as a capture file, put through a replay: the counts add up to the packets read, and what comes out is
// right.

namespace vipgate::fuzz {
namespace {

constexpr std::uint32_t kMtu = 1500;
constexpr std::size_t kFlows = std::size_t{kShards} * 16;

/// A file in memory with a name that libpcap can open.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> bytes) : file_(::memfd_create("capture", MFD_CLOEXEC)) {
    require(file_ >= 0, "a file in memory can be made");
    require(::write(file_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "it can be written");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(file_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

void check_packet(const CapturedPacket& captured, const ReplayedPacket& replayed) {
  require(!replayed.in.empty(), "a packet is described");
  const bool engine_saw_it = replayed.is_ipv4 && !replayed.own_output;
  require(replayed.is_ipv4 == !captured.ip.empty(), "what is not IPv4 is not taken for it", replayed.in);
  if (!engine_saw_it) require(replayed.out.empty(), "nothing comes of what was not put in", replayed.in);
  const bool sends = replayed.verdict.action == Action::forward || replayed.verdict.action == Action::pass;
  if (engine_saw_it) require(!sends || !replayed.out.empty(), "what goes on is sent", replayed.in);
  if (engine_saw_it && replayed.verdict.action == Action::drop) {
    require(replayed.verdict.reason != Reason::none, "a drop has a reason", replayed.in);
  }
  for (std::vector<std::uint8_t> out : replayed.out) {
    const Packet packet{.bytes = out, .virtio = virtio_header_of_capture(out, kMtu)};
    require(checksums_are_right(packet), "what is sent has right checksums", replayed.in + "\n" + describe(out));
  }
}

void replay(const std::string& path) {
  auto reader = PcapReader::open(path);
  if (!reader.ok()) return;
  auto storage = FlowStorage::allocate(kFlows);
  require(storage.ok(), "there is memory for flows");
  Replay replay(*std::move(storage), small_rules(), kMtu, 1);
  std::uint64_t read = 0;
  while (true) {
    const auto captured = reader->next();
    if (!captured.ok() || !*captured) break;
    ++read;
    require((*captured)->original_size >= (*captured)->ip.size(), "a packet is no larger than it was on the wire");
    const ReplayedPacket replayed = replay.process(**captured);
    require(replayed.number == read, "packets are numbered from 1");
    check_packet(**captured, replayed);
  }
  const ReplaySummary summary = replay.summary();
  const auto& actions = summary.engine.actions;
  const auto decided = std::accumulate(actions.begin(), actions.end(), std::uint64_t{0});
  require(summary.packets == read, "every packet is counted");
  require(summary.not_ipv4 + summary.own_output + decided == read, "the counts add up to the packets read");
}

}  // namespace
}  // namespace vipgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const vipgate::fuzz::MemoryFile file({data, size});
  vipgate::fuzz::replay(file.path());
  return 0;
}
