#include "engine/world.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "vipgate/inspect.h"

namespace vipgate::test {
namespace {

class Collector final : public PacketSink {
 public:
  explicit Collector(std::vector<WirePacket>& out) : out_(out) {}
  void send(const Packet& packet) override { out_.emplace_back(packet.bytes, packet.virtio); }

 private:
  std::vector<WirePacket>& out_;
};

Endpoint endpoint_at(std::span<const std::uint8_t> ip, std::size_t address_at, std::size_t port_at) {
  const std::size_t transport = std::size_t{4} * (ip[0] & 15U);
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | ip[address_at + i];
  const auto port = static_cast<std::uint16_t>(ip[transport + port_at] << 8 | ip[transport + port_at + 1]);
  return {Ipv4Address(value), port};
}

}  // namespace

std::string Outcome::text() const {
  std::string lines;
  for (const WirePacket& packet : out) lines += (lines.empty() ? "" : "\n") + describe(packet.bytes());
  return lines;
}

Rules rules_with(const std::vector<ServiceSketch>& services) {
  Rules rules;
  rules.masquerade = {address("203.0.113.14")};
  rules.subnets = {*Ipv4Prefix::parse("203.0.113.8/29")};
  Vip vip;
  vip.address = address("203.0.113.10");
  for (const ServiceSketch& sketch : services) {
    Service service;
    service.name = sketch.name;
    service.protocols = sketch.protocols;
    service.ports = {{sketch.port, sketch.port}};
    service.source = sketch.source;
    for (const std::string& text : sketch.backends) {
      const Endpoint at = endpoint(text);
      Backend backend;
      backend.name = text;
      backend.address = at.address;
      backend.port = at.port;
      service.backends.push_back(backend);
    }
    vip.services.push_back(service);
  }
  rules.vips = {vip};
  return rules;
}

World::Pages::Pages(std::size_t size) {
  void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  bytes_ = {static_cast<std::byte*>(pages), size};
}

World::Pages::~Pages() {
  ::munmap(bytes_.data(), bytes_.size());
}

World::World(Rules rules, std::size_t capacity, std::uint32_t workers, std::uint64_t seed)
    : records_(flow_record_bytes(capacity)),
      index_(flow_index_bytes(capacity)),
      helpers_(helper_record_bytes(capacity)),
      options_{.seed = seed,
               .memory = {.records = records_.bytes(),
                          .index = index_.bytes(),
                          .helpers = helpers_.bytes(),
                          .capacity = capacity}},
      ruleset_(compile(std::move(rules), generation_)) {
  make_engines(workers);
}

void World::make_engines(std::uint32_t workers) {
  engines_.clear();
  options_.workers = workers;
  for (options_.worker = 0; options_.worker < workers; ++options_.worker) {
    engines_.push_back(std::make_unique<Engine>(options_, ruleset_));
  }
}

World::Image World::image() const {
  const auto copy = [](std::span<const std::byte> bytes) { return std::vector(bytes.begin(), bytes.end()); };
  return {copy(records_.bytes()), copy(helpers_.bytes())};
}

bool World::is_at(const Image& image) const {
  return std::memcmp(image.records.data(), records_.bytes().data(), image.records.size()) == 0 &&
         std::memcmp(image.helpers.data(), helpers_.bytes().data(), image.helpers.size()) == 0;
}

Adoption World::restart(const Image& found, std::uint32_t workers) {
  std::ranges::copy(found.records, records_.bytes().begin());
  std::ranges::copy(found.helpers, helpers_.bytes().begin());
  std::ranges::fill(index_.bytes(), std::byte{0});
  // Generations begin anew with a process, and so do limits' counts.
  generation_ = 1;
  ruleset_ = compile(rules_of(*ruleset_), generation_);
  make_engines(workers);
  Adoption sum;
  for (const auto& engine : engines_) {
    sum.add(engine->adopt(now_));
  }
  return sum;
}

Adoption World::restart(Rules rules) {
  ruleset_ = compile(std::move(rules), generation_);
  return restart();
}

Outcome World::send(WirePacket wire, std::uint32_t worker) {
  Outcome outcome;
  Collector collector(outcome.out);
  Packet packet = wire.packet();
  outcome.verdict = engines_[worker]->process(packet, now_, collector);
  // A fragment goes to where its datagram gathers, and the datagram to the owner of its flow.
  while (outcome.verdict.action == Action::hand_off) {
    const auto owner = outcome.verdict.shard % static_cast<std::uint32_t>(engines_.size());
    EXPECT_NE(owner, worker) << "handed off to itself";
    worker = owner;
    const bool was_whole = packet.fragment_size != 0;
    outcome.verdict = engines_[owner]->process(packet, now_, collector);
    const bool joined = packet.fragment_size != 0 && !was_whole;
    if (outcome.verdict.action == Action::hand_off && !joined) {
      ADD_FAILURE() << "not even the owner wants it";
      break;
    }
  }
  if (outcome.verdict.action == Action::forward || outcome.verdict.action == Action::pass) {
    EXPECT_EQ(checksum_fault(packet), "") << describe(packet.bytes);
    send_as_it_came(packet, collector);
  }
  for (WirePacket& out : outcome.out) EXPECT_EQ(checksum_fault(out.packet()), "") << outcome.text();
  return outcome;
}

void World::send_batch(std::span<WirePacket> packets) {
  std::vector<Packet> batch;
  for (WirePacket& packet : packets) batch.push_back(packet.packet());
  std::vector<Verdict> verdicts(batch.size());
  Collector collector(sent_);
  engines_[0]->process(batch, verdicts, now_, collector);
}

void World::pass_time(Duration duration) {
  // In steps, as timers would come, so that expiry has its turns.
  const Time end = now_ + duration;
  while (now_ < end) {
    now_ = std::min(end, now_ + std::chrono::seconds(1));
    Collector collector(sent_);
    for (const auto& engine : engines_) engine->run(now_, collector);
  }
}

std::size_t World::end(const std::function<bool(const FlowInfo&)>& chosen, std::size_t budget, std::size_t most) {
  std::size_t count = 0;
  Collector collector(sent_);
  for (const auto& engine : engines_) {
    std::optional<std::uint64_t> next = 0;
    while (next) {
      const Engine::Ended ended = engine->end(*next, budget, most, now_, chosen, collector);
      EXPECT_LE(ended.flows, most);
      count += ended.flows;
      next = ended.next;
    }
  }
  return count;
}

void World::reload(Rules rules) {
  ruleset_ = compile(std::move(rules), ++generation_, ruleset_.get());
  for (const auto& engine : engines_) engine->set_ruleset(ruleset_);
}

std::span<const FlowRecord> World::records() const {
  return {reinterpret_cast<const FlowRecord*>(records_.bytes().data()), options_.memory.capacity};
}

std::size_t World::flows() const {
  std::size_t sum = 0;
  for (const auto& engine : engines_) sum += engine->flow_count();
  return sum;
}

Counters World::counters() const {
  Counters sum;
  for (const auto& engine : engines_) sum.add(engine->counters());
  return sum;
}

Endpoint source_of(const WirePacket& packet) {
  return endpoint_at(packet.bytes(), 12, 0);
}
Endpoint destination_of(const WirePacket& packet) {
  return endpoint_at(packet.bytes(), 16, 2);
}

Connection::Connection(World& world, std::string client, std::string vip)
    : world_(world), client_(std::move(client)), vip_(std::move(vip)) {}

Connection& Connection::begin_at(std::uint32_t sequence, std::uint32_t timestamp) {
  client_next_ = sequence;
  timestamp_ = timestamp;
  return *this;
}

PacketBuilder Connection::from_client() const {
  const PacketBuilder segment = tcp(client_, vip_).seq(client_next_);
  return timestamp_ ? segment.timestamp(*timestamp_) : segment;
}
PacketBuilder Connection::from_backend() const {
  return tcp(backend_, source_).seq(backend_next_);
}

Outcome Connection::syn() {
  const Outcome outcome = world_.send(from_client().syn());
  if (outcome.verdict.action == Action::forward) {
    source_ = source_of(outcome.out[0]).to_string();
    backend_ = destination_of(outcome.out[0]).to_string();
    ++client_next_;
  }
  return outcome;
}

bool Connection::open() {
  if (syn().verdict.action != Action::forward) return false;
  if (world_.send(from_backend().syn().ack(client_next_)).verdict.action != Action::forward) return false;
  ++backend_next_;
  return world_.send(from_client().ack(backend_next_)).verdict.action == Action::forward;
}

bool Connection::exchange() {
  if (world_.send(from_client().psh().ack(backend_next_).payload("GET / ")).verdict.action != Action::forward)
    return false;
  client_next_ += 6;
  if (world_.send(from_backend().psh().ack(client_next_).payload("200 OK")).verdict.action != Action::forward)
    return false;
  backend_next_ += 6;
  return world_.send(from_client().ack(backend_next_)).verdict.action == Action::forward;
}

bool Connection::close(bool client_first) {
  const auto forwarded = [this](const PacketBuilder& packet) {
    return world_.send(packet).verdict.action == Action::forward;
  };
  std::uint32_t& first_next = client_first ? client_next_ : backend_next_;
  std::uint32_t& second_next = client_first ? backend_next_ : client_next_;
  const auto first = [&] { return client_first ? from_client() : from_backend(); };
  const auto second = [&] { return client_first ? from_backend() : from_client(); };
  if (!forwarded(first().fin().ack(second_next))) return false;
  ++first_next;
  if (!forwarded(second().fin().ack(first_next))) return false;
  ++second_next;
  return forwarded(first().ack(second_next));
}

bool Connection::close_by_client() {
  return close(true);
}
bool Connection::close_by_backend() {
  return close(false);
}

}  // namespace vipgate::test
