// What the TUN allows: reads a packet, exchanges one address, writes it. No flows, no rules, no ports.

#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "device/tun.h"
#include "vipgate/address.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate {
namespace {

struct Options {
  TunOptions tun{};
  Ipv4Address vip{};
  Ipv4Address backend{};
  bool realtime = false;
};

/// Exchanges an address; the transport checksum follows unless it is UDP's none.
void replace(Packet& packet, std::size_t field, Ipv4Address to) {
  std::uint8_t* ip = packet.bytes.data();
  ChecksumChange change;
  change.replace32(load32(ip + field), to.value());
  store32(ip + field, to.value());
  store16(ip + ipv4::kChecksum, change.apply(load16(ip + ipv4::kChecksum)));
  const bool is_tcp = ip[ipv4::kProtocol] == static_cast<std::uint8_t>(Protocol::tcp);
  std::uint8_t* checksum = ip + std::size_t{4} * (ip[0] & 0xf) + (is_tcp ? tcp::kChecksum : udp::kChecksum);
  if (checksum + 2 > ip + packet.bytes.size()) return;
  const bool partial = (packet.virtio.flags & VirtioHeader::kNeedsChecksum) != 0;
  const std::uint16_t before = load16(checksum);
  if (partial || is_tcp || before != udp::kNoChecksum)
    store16(checksum, partial ? change.apply_to_sum(before) : change.apply(before));
}

void reflect(const Options& options, Packet& packet) {
  if (packet.bytes.size() < ipv4::kMinHeader || packet.bytes[0] >> 4 != 4) return;
  const std::uint8_t* ip = packet.bytes.data();
  if (load32(ip + ipv4::kDestination) == options.vip.value()) {
    replace(packet, ipv4::kDestination, options.backend);
  } else if (load32(ip + ipv4::kSource) == options.backend.value()) {
    replace(packet, ipv4::kSource, options.vip);
  }
}

/// Until `ended` is readable.
void work(const Options& options, TunQueue& queue, int ended) {
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  std::array<pollfd, 2> wait{pollfd{queue.fd(), POLLIN, 0}, pollfd{ended, POLLIN, 0}};
  while (::poll(wait.data(), wait.size(), -1) < 0 || wait[1].revents == 0) {
    for (;;) {
      Packet packet;
      const ReadResult read = queue.read(buffer, packet.virtio);
      if (read.status != IoStatus::ok) break;
      packet.bytes = std::span(buffer).first(read.size);
      packet.virtio.flags &= VirtioHeader::kNeedsChecksum;
      reflect(options, packet);
      (void)queue.write(packet);
    }
  }
}

int run(const Options& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const UniqueFd ended(::signalfd(-1, &signals, SFD_CLOEXEC));
  absl::StatusOr<TunDevice> device = TunDevice::open(options.tun);
  if (!device.ok()) {
    std::cerr << "reflector: " << device.status().message() << "\n";
    return EXIT_FAILURE;
  }
  if (const sched_param lowest{1}; options.realtime && ::sched_setscheduler(0, SCHED_FIFO, &lowest) != 0) {
    std::cerr << "reflector: no right to real-time scheduling\n";
    return EXIT_FAILURE;
  }
  std::vector<std::thread> workers;
  for (TunQueue& queue : device->queues()) {
    workers.emplace_back([&options, &queue, &ended] { work(options, queue, ended.get()); });
  }
  std::cout << "ready" << std::endl;
  for (std::thread& worker : workers) worker.join();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace vipgate

int main(int argc, char** argv) {
  vipgate::Options options;
  std::string vip;
  std::string backend;
  CLI::App app("Reads packets from a TUN and writes them with one address exchanged.");
  app.add_option("--device", options.tun.name)->required();
  app.add_option("--vip", vip)->required();
  app.add_option("--backend", backend)->required();
  app.add_option("--workers", options.tun.queues);
  app.add_flag("--realtime", options.realtime);
  CLI11_PARSE(app, argc, argv);
  const auto outside = vipgate::Ipv4Address::parse(vip);
  const auto inside = vipgate::Ipv4Address::parse(backend);
  if (!outside || !inside) {
    std::cerr << "reflector: --vip and --backend take IPv4 addresses\n";
    return EXIT_FAILURE;
  }
  options.vip = *outside;
  options.backend = *inside;
  return vipgate::run(options);
}
