package sentinel

import (
	"net"
	"strings"
	"time"
)

// run asks the Sentinels again: at once when one has said that the master is another, soon where there is doubt, and
// now and then, since what a Sentinel says may be lost.
func (w *Watch) run() {
	pause := firstPause // until they are asked again: in doubt, without a majority, after news that none confirms
	last := time.Now()
	next := last.Add(jitter(w.word.Load().poll()))
	timer := time.NewTimer(0)
	defer timer.Stop()
	doubt, news := false, false
	for {
		timer.Reset(time.Until(next))
		select {
		case <-w.closing.Done():
			return
		case <-w.pushed:
			news, pause = true, firstPause
		case <-w.doubted:
			if soon := last.Add(jitter(pause)); !doubt && soon.Before(next) {
				next = soon
			}
			doubt = true
			continue
		case <-timer.C:
		}
		before := w.word.Load()
		last = time.Now()
		r, err := w.askedAfter(w.closing, w.begun())
		if err != nil {
			return
		}
		now := w.word.Load()
		next = last.Add(jitter(now.poll()))
		switch {
		case now.changes != before.changes:
			news, pause = false, firstPause
		case !r.found, news && pause < longestPause:
			next = last.Add(jitter(pause))
			pause = nextPause(pause)
		case doubt:
			pause = nextPause(pause)
		default:
			news, pause = false, firstPause
		}
		doubt = false
	}
}

// hear takes what a Sentinel says on +switch-master: "NAME OLDHOST OLDPORT NEWHOST NEWPORT".
func (w *Watch) hear(payload string) {
	words := strings.Fields(payload)
	if len(words) != 5 || words[0] != w.conf.Name {
		return
	}
	if now := w.word.Load(); now == nil || now.master != net.JoinHostPort(words[3], words[4]) {
		wake(w.pushed)
	}
}

// missed notes that a Sentinel may have said something unheard.
func (w *Watch) missed() { wake(w.doubted) }

// Doubt has the Sentinels asked again soon, if they have named addr.
func (w *Watch) Doubt(addr string) {
	if now := w.word.Load(); now != nil && now.master == addr {
		wake(w.doubted)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // whoever is to wake has not looked yet
	}
}
