// Package shared lets processes share one member: whoever has the lock of its place runs it,
// and the others connect to it. When that process ends, another takes over from what is on the
// disk. There is no message between them for that: the kernel gives the lock to one.
//
// # Who may serve
//
// A directory has an owner, a user. Processes of that user serve; those of others, root among them, are
// guests: clients that never serve, never make the directory, and touch nothing in it. Guests are let
// in by a group, if the owner's processes ask for that: the directory becomes the group's with the mode 2750, the
// socket with 0660, and all other files stay the owner's with 0600. The kernel looks at these rights at
// each connect, so the server need not ask who is at the other end (SO_PEERCRED): all who get through may do
// the same.
//
// That two never serve does not rest on this, but on the lock of the directory: see package dirlock.
package shared
