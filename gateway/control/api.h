#pragma once

#include <cstdint>
#include <functional>

#include "control/message.h"
#include "runtime/status.h"

namespace vipgate::control {

/// What a client may have done.
enum class Access : std::uint8_t { read, change };

/// Answers requests to a gateway: HTTP/JSON under /v1/. Errors are {"error": "what, and the remedy"}, with 400 for a
/// request that cannot be understood, 403 for a change by who may only read, 404 for what does not exist, 405 for
/// another method, 409 for what the gateway refuses. HEAD is answered as GET. Calls `respond` once, within a fraction
/// of a second unless it says otherwise, on the thread of the caller.
///
///   GET  /v1/status   how the gateway is, its VIPs, services, backends, workers and counters
///   GET  /v1/services, /v1/backends   of these, the services and the backends as lists
///   GET  /v1/drops    why packets are dropped or rejected, how many so far, and what the reason means
///   GET  /v1/flows    flows, a page at a time: ?address=10.0.0.0/8&port=80&protocol=tcp&service=web&backend=a
///                     &state=established&limit=1000, and &from= with the "next" of the page before
///   GET  /v1/explain  what would become of ?packet=tcp+198.51.100.7:40000+>+203.0.113.10:80+S, or of an IPv4 packet's
///                     ?bytes= in hexadecimal digits
///   POST /v1/capture  packets as they come and leave, as a file of the format pcapng that grows until the client
///   closes
///                     its side or a limit is reached, with what became of each as a comment: ?address= &port=
///                     &protocol= &service= &backend= as above, &verdict=drop&reason=tcp_window,
///                     &packets=100&seconds=10 &snaplen=128; or &format=text, a line a packet. The trailer fields
///                     Captured and Lost say how many packets it has, and how many it lacks since the client was too
///                     slow
///   POST /v1/reload   reads the configuration file again; {"changes": [...]}, or 409 and {"error", "details": [...]}
///   POST /v1/drain    {"backend": NAME}: it gets no new flow; {"backends": [...]}: those that are meant
///   POST /v1/undrain  the same, to have it get flows again
///   POST /v1/weight   {"backend": NAME, "weight": N}: its share of new flows, whatever the configuration says;
///                     null: as configured. {"backends": [...], "weight": N}
///   POST /v1/flows/end  the filters of /v1/flows as an object, or {"all": true}: ends these flows, with a RST to both
///                     sides of connections; {"ended": N, "next": null}. It takes some seconds at most: with a "next",
///                     the same body with "from" set to it ends the others
///   POST /v1/standby  withdraws all announcements: another gateway is to have the VIPs; {"standby": true}
///   POST /v1/activate makes them again; {"standby": false}
///   GET  /            a page for browsers that shows all this
///   GET  /metrics     the same as the status, for Prometheus (metrics.h)
void answer(const Request& request, Access access, GatewayControl& gateway,
            const std::function<void(Response)>& respond);

}  // namespace vipgate::control
