#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "device/kernel.h"
#include "vipgate/time.h"

namespace vipgate {

/// Makes addresses known to the neighbours on a LAN, and watches that nobody else has them (RFC 5227). An address is
/// asked for first; who answers for it then is the kernel (ProxyNeighbour), which KernelSetup tells to.
///
/// The RFC's pauses are those of a host that takes an address for long and may wait for a slow switch: 5 to 9 s. Here
/// an address moves to where it is served, so they are shorter, and an address that turns out to be used later is
/// noticed all the same.
class ArpAnnouncer {
 public:
  /// An address to be announced on a device.
  struct Wanted {
    std::string device{};
    int index = 0;  ///< of the device: one that came anew is another
    Ipv4Address address{};
    std::optional<Ipv4Address> own{};  ///< this host's address on the device
    bool held = false;                 ///< the kernel answers for it already: nobody is asked

    bool operator==(const Wanted&) const = default;
  };
  using Lines = std::vector<std::string>;

  explicit ArpAnnouncer(ArpInterface& arp) : arp_(arp) {}

  /// What is to be announced from now on, on devices that are up. What is new, or comes again, is asked for and
  /// announced anew; what is missing is forgotten.
  void want(const std::vector<Wanted>& wanted);

  /// Sends what is due and looks what others said. Adds a line for each thing to be told.
  void step(Lines& lines);

  /// Whether nobody else has it: the kernel may answer for it.
  bool is_free(const std::string& device, Ipv4Address address) const;
  /// How long until the next step has something to send; none: nothing is due.
  std::optional<Duration> due() const;
  /// Whether somebody is still being asked for an address.
  bool is_asking() const;
  /// What others have, with the remedy, and what could not be sent: a line each.
  Lines failures() const;

 private:
  enum class Phase : std::uint8_t { asking, announcing, settled, conflict };
  struct Entry {
    Wanted wanted;
    Phase phase = Phase::asking;
    int sent = 0;  ///< in this phase
    Time next{};   ///< when something is due, except when settled
    MacAddress other{};
    Duration pause{};  ///< after the last conflict; zero: there was none
    std::optional<Time> defended{};
    std::string trouble{};  ///< why the last packet could not be sent
  };
  using Key = std::pair<std::string, Ipv4Address>;

  void begin(Entry& entry, Phase phase);
  void take(const ArpClaim& claim, Lines& lines);
  void send(Entry& entry, Lines& lines);
  std::string conflict_line(const Entry& entry) const;

  ArpInterface& arp_;
  std::map<Key, Entry> entries_;
};

}  // namespace vipgate
