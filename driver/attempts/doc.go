// Package attempts has what a backend needs to keep account of its client's attempts to lock. [Ledger]
// follows each from its first request until nothing of it is on the server. [Tombstones] remember those
// that must stay out after that. [SessionTTL] chooses the TTL of a session that serves many.
//
// It sends nothing, and reads no clock. A backend asks the ledger what it may do, and tells it what it has
// learned.
//
// # What a backend calls, in which order
//
// The ledger is called with the backend's mutex locked, and requests are sent without it. A backend embeds
// [Attempt] in a struct of its own, beside what the server calls the claim. A field that one backend needs
// goes there; Attempt has what all of them need.
//
//   - Acquire: Enter; then Sent is set, and the request is sent. An answer that nothing was made clears Sent
//     again, unless Late is set or another call is under way. No answer sets Late. Grant is the last step,
//     and Leave comes after it, or after an error.
//   - Renew: Of, and the server is asked; then Extend for what it has confirmed, and Forget for what is
//     gone. If Extend returns false the answer is ErrNotHeld, whatever the server has said.
//   - Release: Release, and the server is asked to end the claim. If late is true it is also told to keep
//     the attempt out, or asked in a way that brings what is late to its end. Forget comes when the server
//     has confirmed that, or at once where the backend needs no more of the entry than g.Handle has. Without
//     an answer the core calls Release again.
//   - What nobody asks about any more: the backend looks for Overdue now and then, calls End, and ends the
//     claim as Release does. A backend does without where the server ends such claims by itself.
//   - A session that has died, an eviction, a deletion by hand: Forget, for each attempt that it has ended.
//     Waiters have to be woken by the backend; Err is what their Acquire returns, and the core asks again.
//
// A backend's Release returns nil if it has ended a grant, otherwise ErrNotHeld. The ledger knows whether
// there was a grant (ReleaseEndsGrant), and the server whether it was still there. Where an earlier Release
// had no answer, that may have ended the grant, and only the backend can tell what it means that nothing is
// left. An entry that is Gone has nothing to end, unless something of it is late.
package attempts
