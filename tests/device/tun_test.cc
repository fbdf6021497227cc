#include "device/tun.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/lock.h"
#include "namespace.h"

namespace vipgate {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

TunOptions options(std::size_t queues = 1) {
  TunOptions options;
  options.queues = queues;
  options.patience = milliseconds(0);
  return options;
}

TunDevice open_tun(const TunOptions& wanted) {
  absl::StatusOr<TunDevice> device = TunDevice::open(wanted);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}
absl::Status refused(const TunOptions& wanted) {
  const absl::StatusOr<TunDevice> device = TunDevice::open(wanted);
  EXPECT_FALSE(device.ok());
  return device.status();
}

NAMESPACE_TEST(Tun, is_created_persistent_with_many_queues) {
  {
    TunDevice device = open_tun(options(3));
    EXPECT_TRUE(device.created());
    EXPECT_EQ(device.name(), "tun0");
    EXPECT_EQ(device.queues().size(), 3U);
    for (const TunQueue& queue : device.queues()) {
      EXPECT_NE(::fcntl(queue.fd(), F_GETFL) & O_NONBLOCK, 0);
      EXPECT_NE(::fcntl(queue.fd(), F_GETFD) & FD_CLOEXEC, 0);
    }
    EXPECT_THAT(shell("ip -d link show tun0"),
                AllOf(HasSubstr("tun type tun"), HasSubstr("pi off vnet_hdr on"), HasSubstr("multi_queue"),
                      HasSubstr("numqueues 3"), HasSubstr("persist on")));
  }
  EXPECT_THAT(shell("ip -d link show tun0"), HasSubstr("multi_queue numqueues 0"));
  EXPECT_FALSE(open_tun(options(2)).created()) << "it was there";
}

NAMESPACE_TEST(Tun, offload_as_far_as_the_kernel_goes) {
  EXPECT_THAT(open_tun(options()).offload(), ::testing::AnyOf(0x6fU, 0x0fU));
  TunOptions plain = options();
  plain.offload = false;
  EXPECT_EQ(open_tun(plain).offload(), 0U) << "what an earlier owner had set is taken back";
  EXPECT_THAT(shell("ip link set tun0 up; ip -s link show tun0"), HasSubstr("UP"));
}

/// Copies of a device's queues, as another process has them.
std::vector<UniqueFd> copies_of(TunDevice& device) {
  std::vector<UniqueFd> copies;
  for (const TunQueue& queue : device.queues()) copies.emplace_back(::fcntl(queue.fd(), F_DUPFD_CLOEXEC, 0));
  return copies;
}

NAMESPACE_TEST(Tun, kept_queues_are_taken_over_with_carrier_and_packets) {
  for (const std::size_t wanted : {2U, 1U, 4U}) {
    std::optional<TunDevice> killed(open_tun(options(2)));
    shell("ip link set tun0 up; ip addr replace 192.0.2.1/24 dev tun0");
    std::vector<UniqueFd> kept = copies_of(*killed);
    killed.reset();
    EXPECT_THAT(shell("ip link show tun0"), ::testing::Not(HasSubstr("NO-CARRIER")));
    shell("ping -c 1 -W 0.1 192.0.2.2 || true");
    TunOptions taking = options(wanted);
    taking.kept = [&] { return std::move(kept); };
    TunDevice device = open_tun(taking);
    EXPECT_FALSE(device.created());
    EXPECT_EQ(device.kept(), std::min<std::size_t>(wanted, 2));
    EXPECT_EQ(device.queues().size(), wanted);
    EXPECT_THAT(shell("ip -d link show tun0"), HasSubstr("numqueues " + std::to_string(wanted)));
    if (wanted == 1) continue;  // it may have been in the other one
    std::size_t packets = 0;
    for (TunQueue& queue : device.queues()) {
      std::array<std::uint8_t, kMaxPacketSize> buffer;  // NOLINT: read() fills it
      VirtioHeader virtio;
      while (queue.read(buffer, virtio).status == IoStatus::ok) ++packets;
    }
    EXPECT_GE(packets, 1U) << "what came meanwhile was kept";
  }
}

NAMESPACE_TEST(Tun, kept_queues_of_a_device_that_is_gone_are_of_no_use) {
  std::optional<TunDevice> killed(open_tun(options(2)));
  std::vector<UniqueFd> kept = copies_of(*killed);
  killed.reset();
  shell("ip link delete tun0");
  TunOptions taking = options(2);
  taking.kept = [&] {
    std::vector<UniqueFd> all = std::move(kept);
    all.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    return all;
  };
  const TunDevice device = open_tun(taking);
  EXPECT_TRUE(device.created());
  EXPECT_EQ(device.kept(), 0U);
}

NAMESPACE_TEST(Tun, handed_over_queues_stay_however_many_are_wanted) {
  for (const std::size_t wanted : {1U, 2U, 4U}) {
    std::optional<TunDevice> first(open_tun(options(2)));
    UniqueFd lock(::fcntl(first->lock().get(), F_DUPFD_CLOEXEC, 0));
    absl::StatusOr<TunDevice> device = TunDevice::adopt(options(wanted), std::move(lock), copies_of(*first));
    ASSERT_TRUE(device.ok()) << device.status();
    first.reset();
    EXPECT_EQ(device->queues().size(), 2U);
    EXPECT_THAT(shell("ip -d link show tun0"), HasSubstr("numqueues 2"));
    EXPECT_FALSE(TunDevice::open(options()).ok()) << "the lock came with them";
    ASSERT_TRUE(device->widen(wanted).ok());
    EXPECT_EQ(device->queues().size(), std::max<std::size_t>(wanted, 2));
  }
}

NAMESPACE_TEST(Tun, only_queues_of_the_device_are_handed_over) {
  const TunDevice first = open_tun(options());
  std::vector<UniqueFd> others;
  others.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  UniqueFd lock(::fcntl(first.lock().get(), F_DUPFD_CLOEXEC, 0));
  EXPECT_FALSE(TunDevice::adopt(options(), std::move(lock), std::move(others)).ok());
  lock.reset(::fcntl(first.lock().get(), F_DUPFD_CLOEXEC, 0));
  EXPECT_FALSE(TunDevice::adopt(options(), std::move(lock), {}).ok());
}

NAMESPACE_TEST(Tun, Fault1_a_device_that_was_deleted_is_made_anew) {
  TunDevice device = open_tun(options(2));
  shell("ip link delete tun0");
  ASSERT_TRUE(device.make_anew().ok());
  EXPECT_TRUE(device.created());
  EXPECT_EQ(device.queues().size(), 2U);
  EXPECT_THAT(shell("ip -d link show tun0"), AllOf(HasSubstr("numqueues 2"), HasSubstr("persist on")));
  shell("ip link delete tun0; ip link add tun0 type veth peer name tun1");
  EXPECT_THAT(device.make_anew().ToString(), HasSubstr("another kind"));
  shell("ip link delete tun0");
}

NAMESPACE_TEST(Tun, a_second_owner_is_not_even_asked_for_kept_queues) {
  const TunDevice first = open_tun(options());
  TunOptions second = options();
  bool asked = false;
  second.kept = [&] {
    asked = true;
    return std::vector<UniqueFd>();
  };
  EXPECT_THAT(refused(second).ToString(), HasSubstr("a gateway runs on tun0 already"));
  EXPECT_FALSE(asked);
}

NAMESPACE_TEST(Tun, a_killed_owner_leaves_it_for_the_next) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const TunDevice device = open_tun(options(2));
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(open_tun(options(2)).created());
}

NAMESPACE_TEST(Tun, a_second_gateway_is_refused_and_told_the_first) {
  TunDevice first = open_tun(options());
  const absl::Status status = refused(options());
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("runs on tun0"), HasSubstr("process " + std::to_string(::getpid()))));
  TunOptions other = options();
  other.name = "tun1";
  EXPECT_TRUE(open_tun(other).created());
  { const TunDevice gone = std::move(first); }
  EXPECT_FALSE(open_tun(options()).created()) << "the lock goes with its holder";
}

NAMESPACE_TEST(Tun, another_namespace_has_another_lock) {
  const TunDevice first = open_tun(options());
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  EXPECT_TRUE(open_tun(options()).created());
}

NAMESPACE_TEST(Tun, waits_for_a_predecessor_that_is_ending) {
  auto first = std::make_unique<UniqueFd>(take_namespace_lock("tun/tun0").value());
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();  // holds it a little longer
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    (void)!::read(pipe[0], &byte, 1);
    ::usleep(200'000);
    ::_exit(0);
  }
  first.reset();
  EXPECT_FALSE(TunDevice::open(options()).ok());
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  TunOptions patient = options();
  patient.patience = milliseconds(5000);
  EXPECT_TRUE(open_tun(patient).created());
  ::waitpid(child, nullptr, 0);
}

NAMESPACE_TEST(Tun, a_foreign_reader_is_noticed) {
  TunDevice device = open_tun(options());
  const int reader = ::fcntl(device.queues()[0].fd(), F_DUPFD_CLOEXEC, 0);  // stays when the gateway is gone
  { const TunDevice gone = std::move(device); }
  EXPECT_THAT(refused(options()).ToString(), HasSubstr("tun0 is held by another program"));
  ::close(reader);
  open_tun(options());
}

NAMESPACE_TEST(Tun, names_of_other_devices_are_refused) {
  shell("ip link add tun0 type veth peer name peer0; ip link set tun0 up; ip link set peer0 up");
  EXPECT_THAT(refused(options()).ToString(),
              AllOf(HasSubstr("tun0 is a device of another kind (veth)"), HasSubstr("tun.name")));
  shell("ip link delete tun0; ip tuntap add tun0 mode tap multi_queue");
  EXPECT_THAT(refused(options()).ToString(), HasSubstr("not a TUN"));
  shell("ip link delete tun0; ip tuntap add tun0 mode tun");
  EXPECT_THAT(refused(options()).ToString(), AllOf(HasSubstr("single queue"), HasSubstr("ip link delete tun0")));
  shell("ip link delete tun0; ip tuntap add tun0 mode tun multi_queue");
  EXPECT_FALSE(open_tun(options()).created());
}

TEST(Tun, impossible_wishes_are_refused) {
  for (const char* name : {"", "a-name-that-is-too-long", "tun%d", "a/b", "a b", "."}) {
    TunOptions bad = options();
    bad.name = name;
    EXPECT_TRUE(absl::IsInvalidArgument(refused(bad))) << name;
  }
  EXPECT_THAT(refused(options(0)).ToString(), HasSubstr("tun.workers"));
  EXPECT_THAT(refused(options(257)).ToString(), HasSubstr("1 to 256"));
}

NAMESPACE_TEST(Tun, too_many_queues_leave_nothing_behind) {
  const TunDevice most = open_tun(options(TunDevice::kMaxQueues));
  EXPECT_EQ(TunQueue(UniqueFd()).fd(), -1);
  shell("ip link show tun0");
}

NAMESPACE_TEST(Tun, without_rights_says_so) {
  ASSERT_EQ(::setuid(65534), 0);
  const absl::Status status = refused(options());
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("root"));
}

// Packets, both ways.

constexpr std::uint16_t kPort = 9999;

std::uint16_t sum(const std::uint8_t* bytes, std::size_t size) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < size; i += 2) total += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

/// UDP from 203.0.113.10:53 to 10.0.0.1:9999, without a UDP checksum.
std::vector<std::uint8_t> udp_packet(const std::string& payload) {
  std::vector<std::uint8_t> packet(28 + payload.size());
  const std::array<std::uint8_t, 24> head{0x45, 0, 0,   0,  0,  0, 0, 0, 64, 17, 0,          0,
                                          203,  0, 113, 10, 10, 0, 0, 1, 0,  53, kPort >> 8, kPort & 0xff};
  std::copy(head.begin(), head.end(), packet.begin());
  packet[3] = static_cast<std::uint8_t>(packet.size());
  packet[25] = static_cast<std::uint8_t>(8 + payload.size());
  const auto checksum = static_cast<std::uint16_t>(~sum(packet.data(), 20));
  packet[10] = static_cast<std::uint8_t>(checksum >> 8);
  packet[11] = static_cast<std::uint8_t>(checksum & 0xff);
  std::copy(payload.begin(), payload.end(), packet.begin() + 28);
  return packet;
}

int udp_socket() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(kPort);
  own.sin_addr.s_addr = htonl(0x0a000001);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&own), sizeof(own)), 0);
  return socket;
}

void set_up_routes() {
  shell("ip addr add 10.0.0.1/32 dev lo; echo 1 > /proc/sys/net/ipv6/conf/tun0/disable_ipv6; ip link set tun0 up");
  shell("ip route add 203.0.113.8/29 dev tun0; echo 0 > /proc/sys/net/ipv4/conf/tun0/rp_filter");
}

ReadResult read_within_a_second(TunQueue& queue, std::span<std::uint8_t> buffer, VirtioHeader& virtio) {
  pollfd wait{queue.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 1000), 1);
  return queue.read(buffer, virtio);
}

NAMESPACE_TEST(Tun, what_is_written_arrives) {
  TunDevice device = open_tun(options());
  set_up_routes();
  const int socket = udp_socket();
  std::vector<std::uint8_t> bytes = udp_packet("hello!");
  const WriteResult written = device.queues()[0].write({bytes, {}});
  EXPECT_EQ(written.status, IoStatus::ok);
  EXPECT_EQ(written.size, bytes.size());
  std::array<char, 100> received{};
  EXPECT_EQ(::recv(socket, received.data(), received.size(), MSG_DONTWAIT), 6);
  EXPECT_STREQ(received.data(), "hello!");
}

NAMESPACE_TEST(Tun, what_is_sent_to_a_vip_is_read_with_its_checksum_state) {
  TunDevice device = open_tun(options());
  set_up_routes();
  TunQueue& queue = device.queues()[0];
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  VirtioHeader virtio;
  EXPECT_EQ(queue.read(buffer, virtio).status, IoStatus::again);

  const int socket = udp_socket();
  sockaddr_in vip{};
  vip.sin_family = AF_INET;
  vip.sin_port = htons(53);
  vip.sin_addr.s_addr = htonl(0xcb00710a);
  ASSERT_EQ(::sendto(socket, "question", 8, 0, reinterpret_cast<sockaddr*>(&vip), sizeof(vip)), 8);
  const ReadResult result = read_within_a_second(queue, buffer, virtio);
  ASSERT_EQ(result.status, IoStatus::ok);
  ASSERT_EQ(result.size, 36U);
  EXPECT_EQ(buffer[9], 17);
  EXPECT_EQ(std::string(buffer.begin() + 28, buffer.begin() + 36), "question");
  EXPECT_EQ(virtio.flags, VirtioHeader::kNeedsChecksum) << "locally sent: the kernel leaves the checksum to us";
  EXPECT_EQ(virtio.checksum_start, 20);
  EXPECT_EQ(virtio.checksum_offset, 6);
  EXPECT_EQ(queue.read(buffer, virtio).status, IoStatus::again);
}

NAMESPACE_TEST(Tun, a_super_packet_is_read_whole) {
  TunDevice device = open_tun(options());
  set_up_routes();
  const int socket = udp_socket();
  const int segment = 1000;
  ASSERT_EQ(::setsockopt(socket, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof(segment)), 0);
  sockaddr_in vip{};
  vip.sin_family = AF_INET;
  vip.sin_port = htons(53);
  vip.sin_addr.s_addr = htonl(0xcb00710a);
  const std::vector<char> data(20'000, 'x');
  ASSERT_EQ(::sendto(socket, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&vip), sizeof(vip)), 20'000);
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  VirtioHeader virtio;
  const ReadResult result = read_within_a_second(device.queues()[0], buffer, virtio);
  if ((device.offload() & 0x60) == 0) GTEST_SKIP() << "skipped: this kernel has no UDP segmentation on a TUN";
  EXPECT_EQ(result.size, 20'028U);
  EXPECT_EQ(virtio.gso_type, VirtioHeader::kGsoUdpL4);
  EXPECT_EQ(virtio.gso_size, 1000);
}

// What a TUN seldom does, other descriptors do when asked to: the queue need not know.

TEST(TunQueue, Fault23_AWriteWithoutRoomIsToBeTriedLater) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  TunQueue queue{UniqueFd(pair[0])};
  const UniqueFd other(pair[1]);
  std::vector<std::uint8_t> bytes = udp_packet("again and again");
  int sent = 0;
  WriteResult written;
  while ((written = queue.write({bytes, {}})).status == IoStatus::ok) ++sent;
  EXPECT_EQ(written.status, IoStatus::again);
  EXPECT_GT(sent, 0);
  std::vector<std::uint8_t> received(1000);
  for (int i = 0; i < sent; ++i) {
    EXPECT_EQ(::recv(other.get(), received.data(), received.size(), 0),
              static_cast<ssize_t>(sizeof(VirtioHeader) + bytes.size()))
        << "whole packets alone";
  }
  EXPECT_EQ(queue.write({bytes, {}}).status, IoStatus::ok);
}

TEST(TunQueue, Fault23_APacketThatIsTooLongOrCutOffIsAnErrorOfItsOwn) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::pipe2(pair.data(), O_NONBLOCK | O_CLOEXEC), 0);
  const UniqueFd reader(pair[0]);
  TunQueue queue{UniqueFd(pair[1])};
  std::vector<std::uint8_t> bytes(kMaxPacketSize);
  const WriteResult written = queue.write({bytes, {}});  // a pipe takes 65,536 bytes, header and all
  EXPECT_EQ(written.status, IoStatus::error);
  EXPECT_EQ(written.error, EMSGSIZE);
  EXPECT_FALSE(written.device_gone());
}

TEST(TunQueue, Fault23_InterruptionsDoNotHoldItForEver) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);  // reading waits
  TunQueue queue{UniqueFd(pair[0])};
  const UniqueFd other(pair[1]);
  struct sigaction interrupt {};
  interrupt.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGALRM, &interrupt, &before), 0);
  const itimerval often{.it_interval = {0, 2000}, .it_value = {0, 2000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  VirtioHeader virtio;
  EXPECT_EQ(queue.read(buffer, virtio).status, IoStatus::again);
  const itimerval never{};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
  ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
}

TEST(TunQueue, Fault23_WhatIsShorterThanItsHeaderIsNoPacket) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  TunQueue queue{UniqueFd(pair[0])};
  const UniqueFd other(pair[1]);
  ASSERT_EQ(::send(other.get(), "short", 5, 0), 5);
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  VirtioHeader virtio;
  const ReadResult result = queue.read(buffer, virtio);
  EXPECT_EQ(result.status, IoStatus::error);
  EXPECT_FALSE(result.device_gone());
}

NAMESPACE_TEST(Tun, errors_tell_a_bad_packet_from_a_lost_device) {
  TunDevice device = open_tun(options());
  TunQueue& queue = device.queues()[0];
  std::vector<std::uint8_t> bytes = udp_packet("x");
  WriteResult written = queue.write({bytes, {}});
  EXPECT_EQ(written.status, IoStatus::error);
  EXPECT_EQ(written.error, EIO) << "the device is down";
  EXPECT_FALSE(written.device_gone());
  set_up_routes();
  VirtioHeader nonsense;
  nonsense.gso_type = 77;
  written = queue.write({bytes, nonsense});
  EXPECT_EQ(written.error, EINVAL);
  EXPECT_FALSE(written.device_gone());
  EXPECT_EQ(queue.write({bytes, {}}).status, IoStatus::ok);

  shell("ip link delete tun0");
  VirtioHeader virtio;
  std::vector<std::uint8_t> buffer(kMaxPacketSize);
  EXPECT_TRUE(queue.read(buffer, virtio).device_gone());
  EXPECT_TRUE(queue.write({bytes, {}}).device_gone());
}

}  // namespace
}  // namespace vipgate
