#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vipgate/engine.h"

namespace vipgate::fuzz {

/// A packet that goes in or came out, apart from the memory that an engine works on.
struct Datagram {
  std::vector<std::uint8_t> bytes;
  VirtioHeader virtio{};

  std::string text() const;
};

/// Same bytes, same virtio header.
bool operator==(const Datagram& a, const Datagram& b);
bool operator<(const Datagram& a, const Datagram& b);

/// What became of one packet.
struct Fate {
  Verdict verdict;
  std::vector<Datagram> out;         ///< what was sent for it, in fragments where it came so
  std::vector<Datagram> understood;  ///< the same as receivers have it: whole
};

/// `workers` engines that hand packets off to each other, as the gateway's threads do. Every packet lies in memory of
/// exactly its size and the room behind it, and every outcome is held against what must be true of all of them:
///   - one packet, one verdict, one count; a drop has a reason and opens no flow;
///   - what is sent is a whole packet with right checksums, if those of the packet that went in were;
///   - what passes is unchanged, and so is what is handed off.
class Gateway {
 public:
  /// `room`: behind each packet. Less than kSpareRoom shows who reads behind it, where nothing makes packets longer.
  Gateway(const Rules& rules, std::uint32_t workers, std::size_t room = kSpareRoom);

  Fate process(const Datagram& in, Time now, std::uint32_t worker = 0);

  /// Several at once, at the first worker, of which there is one; at most Engine::kMaxBatch. What is sent for each is
  /// not told apart.
  std::vector<Verdict> process_batch(std::span<const Datagram> in, Time now, std::vector<Datagram>& out);

  /// Lets the engines run until they have nothing more to do at `now`.
  void run(Time now, std::vector<Datagram>& out);
  /// When they next want to.
  Time next_run() const { return next_run_; }
  void reload(const Rules& rules);

  const Ruleset& ruleset() const { return engines_.front()->ruleset(); }
  std::size_t flows() const;
  Counters counters() const;

 private:
  struct FreeAligned {
    void operator()(std::byte* bytes) const;
  };
  using Aligned = std::unique_ptr<std::byte[], FreeAligned>;
  static Aligned allocate(std::size_t size);

  void check_counted(const Counters& before, std::span<const Verdict> verdicts, std::size_t flows_before) const;

  std::size_t room_;
  Aligned records_;
  Aligned index_;
  Aligned helpers_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::uint32_t generation_ = 1;
  std::shared_ptr<const Ruleset> ruleset_;
  Time next_run_{};
};

}  // namespace vipgate::fuzz
