#include "bench/connections.h"

#include <chrono>
#include <cstring>

namespace vipgate::bench {
namespace {

using test::PacketBuilder;

constexpr Endpoint kVip{Ipv4Address(203U << 24 | 113 << 8 | 10), 443};
constexpr Ipv4Address kMasquerade(203U << 24 | 113 << 8 | 14);
constexpr Endpoint kBackend{Ipv4Address((10U << 24) + 1), 8443};
constexpr Time kNow{std::chrono::hours(1)};
constexpr std::size_t kHeaders = 40;  // bytes of IP and TCP
constexpr std::size_t kClientPorts = 50'000;
constexpr std::size_t kSlack = 64;  // flows: how unevenly a few of them fill the shards

Endpoint client(std::size_t connection) {
  return {Ipv4Address(static_cast<std::uint32_t>((11U << 24) + connection / kClientPorts)),
          static_cast<std::uint16_t>(1024 + connection % kClientPorts)};
}

Rules rules(SourceMode source, std::size_t backends) {
  Service service;
  service.name = "web";
  service.protocols = {Protocol::tcp};
  service.ports = {{kVip.port, kVip.port}};
  service.source = source;
  for (std::size_t i = 0; i < backends; ++i) {
    Backend backend;
    backend.address = Ipv4Address(static_cast<std::uint32_t>(kBackend.address.value() + i));
    backend.name = backend.address.to_string();
    backend.port = kBackend.port;
    service.backends.push_back(backend);
  }
  Vip vip;
  vip.address = kVip.address;
  vip.services = {service};
  Rules all;
  all.vips = {vip};
  all.masquerade = {kMasquerade};
  return all;
}

/// The gateway has its memory before the first packet comes (posix_fallocate).
FlowStorage storage_for(std::size_t flows) {
  FlowStorage storage = *FlowStorage::allocate((flows * 5 / 4 / kShards + kSlack) * kShards);
  for (const auto bytes : {storage.memory().records, storage.memory().index}) {
    std::memset(bytes.data(), 0, bytes.size());
  }
  return storage;
}

void put(std::uint8_t* at, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) *at++ = static_cast<std::uint8_t>(value >> shift);
}

}  // namespace

Batch::Batch() {
  for (Packet& packet : packets_) packet.virtio.flags = VirtioHeader::kDataValid;
}

void Batch::set(std::size_t place, std::span<const std::uint8_t> like, const Endpoint& from, const Endpoint& to) {
  std::uint8_t* bytes = memory_[place].data();
  std::memcpy(bytes, like.data(), kHeaders);
  put(bytes + 12, from.address.value());
  put(bytes + 16, to.address.value());
  put(bytes + 20, std::uint32_t{from.port} << 16 | to.port);
  bytes[10] = bytes[11] = 0;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 2) sum += std::uint32_t{bytes[i]} << 8 | bytes[i + 1];
  sum = (sum >> 16) + (sum & 0xffff);
  sum += sum >> 16;
  bytes[10] = static_cast<std::uint8_t>(~sum >> 8);
  bytes[11] = static_cast<std::uint8_t>(~sum);
  packets_[place].bytes = std::span(memory_[place]).first(kHeaders);
}

std::size_t Batch::process(Engine& engine) {
  engine.process(packets_, verdicts_, kNow, nowhere_);
  std::size_t forwarded = 0;
  for (const Verdict& verdict : verdicts_) forwarded += verdict.action == Action::forward ? 1 : 0;
  return forwarded;
}

Connections::Connections(std::size_t flows, SourceMode source, std::size_t backends)
    : storage_(storage_for(flows)),
      engine_({.worker = 0, .workers = 1, .seed = 1, .memory = storage_.memory()}, compile(rules(source, backends), 1)),
      syn_(PacketBuilder(Protocol::tcp, client(0), kVip).syn().seq(999).win(65535).build()),
      syn_ack_(PacketBuilder(Protocol::tcp, kBackend, client(0)).syn().seq(4999).ack(1000).win(65535).build()),
      ack_(PacketBuilder(Protocol::tcp, client(0), kVip).seq(1000).ack(5000).win(65535).build()),
      answer_(PacketBuilder(Protocol::tcp, kBackend, client(0)).seq(5000).ack(1000).win(65535).build()) {}

void Connections::syn(std::size_t place, std::size_t connection) {
  batch_.set(place, syn_.bytes(), client(connection), kVip);
}

void Connections::syn_ack(std::size_t place, std::size_t connection) {
  batch_.set(place, syn_ack_.bytes(), kBackend, client(connection));
}

void Connections::ack(std::size_t place, std::size_t connection) {
  batch_.set(place, ack_.bytes(), client(connection), kVip);
}

void Connections::answer(std::size_t place, std::size_t connection) {
  batch_.set(place, answer_.bytes(), kBackend, client(connection));
}

std::size_t Connections::fill(std::size_t connections) {
  for (std::size_t first = 0; first < connections; first += Engine::kMaxBatch) {
    for (const auto make : {&Connections::syn, &Connections::syn_ack, &Connections::ack}) {
      for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) (this->*make)(i, first + i);
      process();
    }
  }
  return engine_.flow_count();
}

}  // namespace vipgate::bench
