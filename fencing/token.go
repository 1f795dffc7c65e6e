// Package fencing holds the fencing token and the check that makes it worth
// something: the one at the resource.
//
// No lease lock can stop a holder that sleeps through its own expiry (a long
// garbage collection, a suspended machine, SIGSTOP). It wakes up believing that
// it still holds the lock. What can stop it is the resource it writes to: every
// grant of a key carries a token greater than all earlier ones of that key, the
// holder sends its token along with each write, and the resource refuses a
// token lower than the highest it has seen. [Gate] is that check in memory, and
// the reference for a check in your own store.
//
// The idea is Martin Kleppmann's ("How to do distributed locking", 2016) and,
// before that, the sequencer of Burrows' Chubby (OSDI 2006).
package fencing

import (
	"errors"
	"strconv"
)

// Token numbers the grants of one key on one backend: a later grant has a
// greater token. Tokens of different keys, or of different backends, say
// nothing about each other: where locks move to another backend, fencelock.Options.TokenBase
// makes them go on rising. Gaps are normal. Zero is never granted.
//
// The largest token is 1<<63 - 1, so that a token fits a signed 64-bit column.
type Token uint64

// String writes the token in decimal. It always fits a signed 64-bit integer.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// ErrBadToken is returned by [Parse] for text that no backend could have
// granted.
var ErrBadToken = errors.New("fencing: not a token: want a decimal number from 1 to 9223372036854775807")

// Parse reads what [Token.String] wrote. It refuses zero, signs, spaces and
// numbers over 1<<63 - 1, with [ErrBadToken].
func Parse(s string) (Token, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, ErrBadToken
	}
	return Token(n), nil
}
