package drivertest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var infoRules = []Rule{{
	Name:     "Info",
	Sentence: "Info never changes over a Backend's life, and is what the harness wants.", // Namespace only where Want has one: most harnesses draw theirs
	check: func(r *fixture) {
		a, b := r.clients()
		for range 2 {
			for _, c := range []driver.Backend{a, b} {
				got, want := c.Info(), r.h.Want
				if got.Name != want.Name || got.Guarantee != want.Guarantee || got.Features != want.Features ||
					got.MinTTL != want.MinTTL || got.MaxTTL != want.MaxTTL || got.SameClock != want.SameClock || got.Tokenless != want.Tokenless ||
					want.Namespace != "" && got.Namespace != want.Namespace {
					r.Errorf("Info is %+v, want %+v", got, want)
				}
			}
			key := r.key()
			r.mustRelease(a, r.mustLock(a, key))
			r.mustRelease(b, r.mustLock(b, key))
		}
	},
}}

var keyRules = []Rule{{
	Name: "Keys",
	Sentence: "Keys are any valid UTF-8 of 1 to MaxKeyLen bytes, case-sensitive and never interpreted: " +
		`"a/b", "..", " " and a prefix of another key are keys like any other.`,
	serial: true, // the keys are the same in every run
	check: func(r *fixture) {
		a, b := r.clients()
		grants := make(map[string]driver.Grant)
		for _, key := range strangeKeys() {
			_ = a.Evict(r.soon(), key, "") // left by a run that was killed
		}
		for _, key := range strangeKeys() {
			g, err := r.tryLock(a, key)
			if err != nil {
				r.Errorf("Acquire of %s: %v (it is taken for another key, or refused)", short(key), err)
				continue
			}
			grants[key] = g
		}
		for key, g := range grants {
			r.wantHeldByOther(b, key, "key "+short(key))
			r.wantShown(b, g, r.Name(), 0)
			r.wantHeld(a, g, "key "+short(key))
			r.mustRelease(a, g)
			r.waitFree(b, key, r.slack)
		}
	},
}, {
	Name:     "Limits",
	Sentence: "The longest key, AttemptID, Identity and Meta, and the shortest and longest TTL that Info names, are granted.",
	check: func(r *fixture) {
		a, b := r.clients()
		req := driver.Request{
			Key:       r.key(),
			AttemptID: newAttemptID() + "_-" + strings.Repeat("zZ9", 21),
			Identity:  strings.Repeat("é", driver.MaxIdentityLen/2),
			Meta:      strings.Repeat("é", driver.MaxMetaLen/2),
			TTL:       r.h.Want.MaxTTL,
		}
		req.AttemptID = req.AttemptID[:64]
		req.Key += "/" + strings.Repeat("k", driver.MaxKeyLen-len(req.Key)-1)
		g := r.mustAcquire(a, req)
		r.wantShownWithMeta(b, g, req.Identity, req.Meta, 0)
		r.wantHeld(a, g, "all that is allowed")
		r.mustRelease(a, g)

		req, start := r.shortest(a)
		r.waitGranted(r.startWait(b, req.Key), req.TTL+r.slack, "behind the shortest lease")
		if took := time.Since(start); took < req.TTL {
			r.Errorf("the shortest lease, of %v, lasted %v", req.TTL, took)
		}
		r.mustEvict(b, req.Key)
	},
}}

// shortest takes a lock with the shortest TTL. An answer that was lost, or came to a machine that was
// busy, may find that the lease has ended: then that is no fault, and another attempt is made, as many as
// it takes to see that it cannot be done.
func (r *fixture) shortest(a driver.Backend) (req driver.Request, start time.Time) {
	began := time.Now()
	for tries := 1; ; tries++ {
		req = r.request(r.key())
		req.TTL = r.h.Want.MinTTL
		start = time.Now()
		ctx, cancel := context.WithTimeout(r.soon(), time.Second+10*req.TTL)
		_, err := a.Acquire(ctx, req)
		cancel()
		if err == nil {
			return req, start
		}
		silent := errors.Is(err, driver.ErrUnavailable)
		if tries >= 20 && time.Since(began) > r.slack || !silent && time.Since(start) < req.TTL/2 {
			r.Fatalf("Acquire with the shortest TTL %v, for the %d. time: %v", req.TTL, tries, err)
		}
		// A backend may know that there is no answer to be had for a moment.
		_ = pause(r.Context(), min(req.TTL/4, 25*time.Millisecond))
	}
}

// strangeKeys returns keys that a server, a protocol or a path may trip over. No
// two are equal.
func strangeKeys() []string {
	long := strings.Repeat("k", driver.MaxKeyLen)
	keys := []string{
		"a/b", "a", "A", "a/", "/a", "/", "//", "a//b", "a/b/", "a/../a", "..", ".", "../..", "~",
		" ", "  ", " a", "a ", "\t", "\n", "a\n", "\r\n", "\x00", "a\x00", "a\x00b", "\x01", "\x7f", "\x1b[0m",
		"{a}", "{a}b", "{b}a", "{}", "{", "}a{", "*", "?", "[a]", "a*", "^", "$", "|", "&", ";", "!", "<>",
		`"`, `'`, "`", `\`, `\\`, `a"b`, "it's", "%", "%2F", "%00", "+", "#", "a:b", ":", "a,b", "=", "a=b", "@", "-", "--", "_",
		"0", "1", "-1", "00", "1e3", "null", "nil", "true", "undefined", "lock", "zookeeper", "quota",
		"é", "e\u0301", "ß", "SS", "ss", "İ", "i", "日本語", "🔒", "\u200b", "\u202e", "\ufeff", "\ufffd", "\u0085", "\ue000", "\U0010ffff",
		"k", long, long[:len(long)-1], long[:len(long)-1] + "K", strings.Repeat("é", driver.MaxKeyLen/2), strings.Repeat("/", 255), strings.Repeat("k", 256),
	}
	return keys
}

func short(key string) string {
	if len(key) > 40 {
		return strings.ToValidUTF8(key[:20], "") + "… (long)"
	}
	return strconv.Quote(key)
}
