// Package snapshot keeps the newest snapshot of a member: one file, with a name that says
// its index. It is written under another name, and gets its own when it is on the disk, so
// there is a whole one at every time. A checksum covers all of it. One that is damaged is
// refused, and not passed over for an older one: the log that would lead on from there has
// been removed.
package snapshot
