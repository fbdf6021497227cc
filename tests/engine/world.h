#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flow/flow_record.h"
#include "support/packet_builder.h"
#include "vipgate/engine.h"
#include "vipgate/flow_info.h"

// An engine with everything around it, on virtual time. The addresses of all engine tests:
//
//     client 198.51.100.7 ── VIP 203.0.113.10 ── masquerade 203.0.113.14 ── backends 10.0.0.2, 10.0.0.3, ...

namespace vipgate::test {

/// What came out for one packet that went in.
struct Outcome {
  Verdict verdict;
  std::vector<WirePacket> out;  ///< forwarded, passed, or sent by the engine itself

  /// One line a packet; "" when nothing came out.
  std::string text() const;
};

/// A service of the VIP, for rules of tests.
struct ServiceSketch {
  std::string name;
  std::vector<Protocol> protocols = {Protocol::tcp};
  std::uint16_t port = 80;
  std::vector<std::string> backends = {"10.0.0.2:8080"};
  SourceMode source = SourceMode::masquerade;
};

/// One VIP, 203.0.113.10, with these services.
Rules rules_with(const std::vector<ServiceSketch>& services);

/// `workers` engines that hand packets off to each other, as the gateway's threads do.
class World {
 public:
  explicit World(Rules rules, std::size_t capacity = 64 * 1024, std::uint32_t workers = 1, std::uint64_t seed = 1);

  /// Puts a packet in, at the worker of the caller's choice. Every packet that comes out must have right checksums.
  Outcome send(WirePacket packet, std::uint32_t worker = 0);
  Outcome send(const PacketBuilder& builder, std::uint32_t worker = 0) { return send(builder.build(), worker); }

  /// At most Engine::kMaxBatch packets at once, at the first worker.
  void send_batch(std::span<WirePacket> packets);

  /// Time goes by; expiry runs.
  void pass_time(Duration duration);
  /// What the engine sent while time went by, since the last call.
  std::vector<WirePacket> sent_meanwhile() { return std::exchange(sent_, {}); }
  void reload(Rules rules);
  /// Ends the flows that are chosen, in steps of so many at most; what is sent counts as sent meanwhile. How many.
  std::size_t end(const std::function<bool(const FlowInfo&)>& chosen, std::size_t budget = 64, std::size_t most = 4);

  /// What outlives a process.
  struct Image {
    std::vector<std::byte> records;
    std::vector<std::byte> helpers;
    bool operator==(const Image&) const = default;
  };
  const FlowMemory& memory() const { return options_.memory; }
  const Engine& engine(std::uint32_t worker = 0) const { return *engines_[worker]; }
  Image image() const;
  bool is_at(const Image& image) const;
  /// The process is killed, and another, with so many workers, finds this.
  Adoption restart(const Image& found, std::uint32_t workers = 1);
  Adoption restart(std::uint32_t workers = 1) { return restart(image(), workers); }
  /// The same with other rules.
  Adoption restart(Rules rules);

  Time now() const { return now_; }
  /// The present rules as they were compiled, and what became of the flows, below what the engine shows.
  const std::shared_ptr<const Ruleset>& ruleset() const { return ruleset_; }
  std::span<const FlowRecord> records() const;

  std::size_t flows() const;
  Counters counters() const;

 private:
  /// Zeroed pages; a process that is forked shares them.
  class Pages {
   public:
    explicit Pages(std::size_t size);
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    std::span<std::byte> bytes() const { return bytes_; }

   private:
    std::span<std::byte> bytes_;
  };

  void make_engines(std::uint32_t workers);

  Pages records_;
  Pages index_;
  Pages helpers_;
  EngineOptions options_;
  std::uint32_t generation_ = 1;
  std::shared_ptr<const Ruleset> ruleset_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<WirePacket> sent_;
  Time now_{std::chrono::hours(1)};
};

/// Endpoints of a packet that came out: "203.0.113.14:5000 > 10.0.0.2:8080".
Endpoint source_of(const WirePacket& packet);
Endpoint destination_of(const WirePacket& packet);

/// A TCP connection through the gateway that behaves well on both ends; each step expects to be forwarded.
class Connection {
 public:
  Connection(World& world, std::string client, std::string vip = "203.0.113.10:80");

  bool open();              ///< three-way handshake
  bool exchange();          ///< some data each way
  bool close_by_client();   ///< FIN from the client first
  bool close_by_backend();  ///< FIN from the backend first
  Outcome syn();
  PacketBuilder from_client() const;
  PacketBuilder from_backend() const;
  /// Numbers as a client's TCP would choose them: a timestamp that grows with time, an initial sequence number of any
  /// value.
  Connection& begin_at(std::uint32_t sequence, std::uint32_t timestamp);

  const std::string& source() const { return source_; }  ///< as the backend sees it
  const std::string& backend() const { return backend_; }

 private:
  bool close(bool client_first);

  World& world_;
  std::string client_;
  std::string vip_;
  std::string source_;
  std::string backend_;
  std::optional<std::uint32_t> timestamp_;
  std::uint32_t client_next_ = 1000;
  std::uint32_t backend_next_ = 500000;
};

}  // namespace vipgate::test
