// Package shared lets processes share one member: whoever has the lock of its place runs it,
// and the others connect to it. When that process ends, another takes over from what is on the
// disk. There is no message between them for that: the kernel gives the lock to one.
package shared
