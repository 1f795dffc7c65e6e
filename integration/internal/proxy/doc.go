// Package proxy is a TCP proxy that misbehaves on demand. The fault tests put it
// between a client and a real server, because most of what breaks locks is not a
// dead server but a network that delays, loses or delivers late.
//
// A [Proxy] begins as a plain wire. Faults of two kinds can be put on it, from
// any goroutine, at any time:
//
//   - those that last until they are taken off, for all connections: [Proxy.Delay],
//     [Proxy.Drop], [Proxy.Blackhole], [Proxy.Pause], [Proxy.Refuse];
//   - those that happen once, to one message: [Proxy.LoseReply],
//     [Proxy.LoseReplyTo], [Proxy.LoseRequest], [Proxy.HoldRequest] and their
//     kin, which need a [Protocol] to tell messages apart: [RESP], [GRPC],
//     [ZooKeeper] or [Raft].
//
// [Proxy.Heal] makes it a plain wire again. [Ways] are the proxies of a client that goes to several servers.
//
// # What happens to a connection
//
// TCP promises a gapless stream, so a connection from which bytes were swallowed
// must never carry bytes again: a client that read on would take a later reply for
// an earlier one, a fault no network can cause. Such connections are reset by
// Heal. The same goes for the end of a connection: a close that was swallowed
// leaves the other side with a half-open connection until Heal.
//
// Everything travels in order, the end of a connection too. So bytes that are
// held back reach the server after the client that sent them has gone: the late
// packet of an attempt that was given up. [Held.CutClient] lets the client go on
// meanwhile, on another connection.
//
// A server has its own view of a late packet, and it counts: a gRPC server drops the
// request of a caller that has cancelled, unless [Held.ReleaseAlone] keeps that
// from it, and a ZooKeeper closes the old connection of a session that is back on
// another one.
//
// A server that is down cannot refuse a connection that the proxy has accepted
// already: the client sees it reset. Use [Proxy.Refuse] where the difference
// counts.
package proxy
