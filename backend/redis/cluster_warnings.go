package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/cluster"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

const noMinReplicas = "it takes writes also if no replica listens to it (min-replicas-to-write is 0), so one that its Cluster has given up, and " +
	"that does not know it yet, may grant locks that are lost; with 1, which takes two replicas for each master, that time is shorter, and not none"

// warningsOf has a sentence for each setting that weakens what a lock promises. What is true of all masters names none.
func warningsOf(masters []cluster.Master, found []prepared) (w []string) {
	of := map[string][]string{} // sentence → masters
	var sentences []string
	for i := range found {
		said := found[i].server.Warnings()
		if !found[i].server.NeedsReplicas() {
			said = append(said, noMinReplicas)
		}
		if found[i].few != "" {
			said = append(said, found[i].few)
		}
		for _, sentence := range said {
			if of[sentence] == nil {
				sentences = append(sentences, sentence)
			}
			of[sentence] = append(of[sentence], masters[i].Addr)
		}
	}
	for _, sentence := range sentences {
		who := "each master"
		if names := of[sentence]; len(names) < len(masters) {
			who = strings.Join(names, ", ")
		}
		w = append(w, who+": "+sentence)
	}
	return w
}

// clockWarnings has a sentence if the clocks of nodes differ, replicas among them. What is in a lock's record has times
// of the node that has it, and goes to another with its slot, or by a fail-over. Nodes that do not answer are passed over.
func (s *slotted) clockWarnings(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	var addrs []string
	for _, m := range s.cluster.Masters() {
		addrs = append(addrs, m.Addr)
	}
	addrs = append(addrs, s.cluster.Replicas()...)
	start := time.Now()
	readings := make([]reading, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs {
		asking.Go(func() {
			_ = s.cluster.With(addr, func(n *node.Node) error {
				readings[i] = askClock(ctx, start, n)
				return nil
			})
		})
	}
	asking.Wait()
	first, last := -1, -1 // of those that answer, the clock that is behind all others, and the one ahead
	for i, r := range readings {
		if r.ok && (first < 0 || r.most < readings[first].most) {
			first = i
		}
		if r.ok && (last < 0 || r.least > readings[last].least) {
			last = i
		}
	}
	if first < 0 {
		return nil
	}
	apart := readings[last].from(readings[first])
	if apart <= 0 {
		return nil
	}
	return []string{fmt.Sprintf("the clock of %s is %v ahead of that of %s: a lock that comes from one to the other, with its slot or by a "+
		"fail-over, may be free before its holder knows, or its tokens may fall; synchronize the clocks", addrs[last], apart.Round(100*time.Millisecond), addrs[first])}
}

// askClock asks a node for its time, on a connection that is there already.
func askClock(ctx context.Context, start time.Time, n *node.Node) reading {
	if _, err := n.Ask(ctx, "time"); err != nil {
		return reading{}
	}
	sent := time.Now()
	reply, err := n.Ask(ctx, "time")
	came := time.Now()
	words, _ := reply.([]any)
	if err != nil || len(words) != 2 {
		return reading{}
	}
	second, _ := words[0].(string)
	micro, _ := words[1].(string)
	sec, err1 := strconv.ParseInt(second, 10, 64)
	µs, err2 := strconv.ParseInt(micro, 10, 64)
	if err1 != nil || err2 != nil {
		return reading{}
	}
	at := time.Duration(sec)*time.Second + time.Duration(µs)*time.Microsecond
	return reading{at - came.Sub(start), at - sent.Sub(start), true}
}

// writePauses knows for how long a slot that moves to another master may keep writes waiting, and warns
// of leases that are shorter: they may end meanwhile.
type writePauses struct {
	contact *address.Contact
	longest atomic.Int64 // in ms; 0 if it is not known, or somebody has been told
}

func (w *writePauses) set(found []prepared) {
	var longest time.Duration
	for i := range found {
		longest = max(longest, found[i].milliseconds(redisPause), 2*found[i].milliseconds(valkeyFailover))
	}
	w.longest.Store(longest.Milliseconds())
}

// look looks at the TTL of an attempt, as the scripts get it.
func (w *writePauses) look(ttl string) {
	longest := w.longest.Load()
	if longest == 0 {
		return
	}
	ms, err := strconv.ParseInt(ttl, 10, 64)
	if err != nil || ms > longest || !w.longest.CompareAndSwap(longest, 0) {
		return
	}
	w.contact.Warn("the TTL is shorter than the time for which a slot that moves to another master of the Cluster may keep writes waiting: "+
		"a lock may be lost then", "ttl", time.Duration(ms-1)*time.Millisecond, "pause", time.Duration(longest)*time.Millisecond)
}
