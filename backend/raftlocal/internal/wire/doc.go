// Package wire is what clients, members and operators say to each other over a connection.
//
// A connection begins with [Preface], which is neither HTTP nor TLS, so that clients, members
// and operators can be served on one port. Frames follow, in both directions: the length of what follows in 4
// bytes, big endian, a [Type] in one byte, and the body. A frame is never longer than
// [MaxFrame]; a snapshot goes in several.
//
//	client ──Preface, Hello──►            ──Resume, Commands──►     ──Ping──►
//	       ◄──Welcome or Refusal──        ◄──Answers, Moved──       ◄──Pong──
//	member ──Preface, Hello──►            ──Raft, Snapshot──►       (one way; there is another
//	       ◄──Welcome or Refusal──                                   connection for the other)
//	whoever has not begun
//	       ──Preface, Hello, Introduction──►
//	       ◄──Introduction or Refusal──     (that is all)
//
// The Append functions append one or more whole frames to a buffer, so that many go out in
// one write. A [Reader] gives one frame after another out of a buffer that it reuses; the
// Parse functions take the body of a frame apart. They take any bytes whatever without a
// panic, and keep nothing of the body unless they say so.
//
// There is no checksum: TLS has a better one, and where it is switched off by name, TCP's
// has to do.
package wire
