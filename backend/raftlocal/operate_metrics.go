package raftlocal

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// metricsWithin is how long metrics wait for the member. What can be told without it is told then: a disk that
// hangs is not to hide itself.
const metricsWithin = time.Second

// metrics answers in Prometheus' text format. docs/raftlocal.md has what to watch.
func (o *operator) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), metricsWithin)
	defer cancel()
	var e exposition
	e.metric("info", "gauge", "Whose metrics these are.", 1, "cluster", o.s.Cluster(), "member", o.s.Self().Name)
	e.flag("healthy", "1 if locks are to be had by way of this member, as /healthz says.", o.s.Health() == nil)
	e.flag("has_leader", "1 if this member knows a leader.", o.s.Leader().ID != 0)
	e.flag("disk_full", "1 while a file of the log cannot be made, for want of room or of file descriptors.", o.s.Scarce())
	o.peerMetrics(&e)
	if at := o.s.CertificateExpiry(); !at.IsZero() {
		e.metric("certificate_expiry_timestamp_seconds", "gauge", "When the certificate that this member shows expires, in Unix time.", float64(at.Unix()))
	}
	var s member.Status
	var changes uint64
	if err := o.s.Do(ctx, func(m *member.Member) error {
		s, changes = m.Status(), o.s.LeaderChanges()
		return nil
	}); err == nil {
		memberMetrics(&e, s, changes)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(e.Bytes()) // who does not read it is gone
}

// peerMetrics tells who is reached. A member that is being replaced by itself has its name twice, and is
// reached if both are.
func (o *operator) peerMetrics(e *exposition) {
	reached := map[string]bool{}
	var names []string
	for _, p := range o.s.Peers() { // by name
		was, again := reached[p.Name]
		reached[p.Name] = p.Connected && (was || !again)
		if !again {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	e.head("peer_reachable", "gauge", "1 if this member can send to another.")
	for _, name := range names {
		e.sample("peer_reachable", number(reached[name]), "peer", name)
	}
}

func memberMetrics(e *exposition, s member.Status, changes uint64) {
	e.flag("leader", "1 if this member leads and takes commands.", s.Serving)
	e.gauge("term", "The term of the consensus.", float64(s.Term))
	e.counter("leader_changes_total", "Times that this member has seen another member come to lead.", float64(changes))
	e.counter("elections_total", "Elections for which this member has stood.", float64(s.Elections))
	e.gauge("members", "Members of the cluster, with those who read up.", float64(len(s.Members)))
	e.gauge("log_last_index", "The last entry of the log.", float64(s.Last))
	e.gauge("log_committed_index", "The last entry that is known to be on a majority.", float64(s.Committed))
	e.gauge("log_applied_index", "The last entry that is carried out.", float64(s.Applied))
	e.gauge("log_entries", "Entries since the last snapshot.", float64(s.LogEntries))
	e.gauge("log_bytes", "Bytes of these.", float64(s.LogBytes))
	e.gauge("snapshot_index", "The last entry that the last snapshot has.", float64(s.SnapshotIndex))
	e.gauge("snapshot_bytes", "The size of the last snapshot.", float64(s.SnapshotBytes))
	e.counter("snapshots_total", "Snapshots that this member has taken.", float64(s.Snapshots))
	e.counter("entries_total", "Entries that this member has proposed as the leader: each one fsync on each member.", float64(s.Entries))
	e.counter("commands_total", "Commands in these.", float64(s.Commands))
	e.gauge("pending_commands", "Commands that wait to be proposed or read.", float64(s.Pending))
	e.gauge("clients", "Connections of clients to this member.", float64(s.Clients))
	e.gauge("sessions", "Sessions of clients in the cluster.", float64(s.Machine.Sessions))
	e.gauge("claims", "Locks held and waits for one.", float64(s.Machine.Claims))
	e.gauge("locks", "Locks that are held.", float64(s.Machine.Keys))
	e.gauge("waiters", "Who waits for a lock.", float64(s.Machine.Waiters))
	e.gauge("longest_queue", "Who waits for the same lock, of the lock with most.", float64(s.Machine.LongestQueue))
	e.syncs("fsync_duration_seconds", "How long the disk took to make a write to the log durable.", s.Syncs)
}

// exposition writes Prometheus' text format.
type exposition struct{ bytes.Buffer }

// metricPrefix begins all names.
const metricPrefix = "fencelock_raft_"

func (e *exposition) head(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s%s %s\n# TYPE %s%s %s\n", metricPrefix, name, help, metricPrefix, name, kind)
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (e *exposition) sample(name string, v float64, labels ...string) {
	e.WriteString(metricPrefix + name)
	for i := 0; i < len(labels); i += 2 {
		e.WriteString([]string{"{", ","}[min(i, 1)] + labels[i] + `="` + escapes.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		e.WriteString("}")
	}
	e.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

func (e *exposition) metric(name, kind, help string, v float64, labels ...string) {
	e.head(name, kind, help)
	e.sample(name, v, labels...)
}

func (e *exposition) gauge(name, help string, v float64)   { e.metric(name, "gauge", help, v) }
func (e *exposition) counter(name, help string, v float64) { e.metric(name, "counter", help, v) }
func (e *exposition) flag(name, help string, v bool)       { e.metric(name, "gauge", help, number(v)) }

func (e *exposition) syncs(name, help string, s wal.Syncs) {
	e.head(name, "histogram", help)
	sum := uint64(0)
	for i, n := range s.Counts {
		sum += n
		le := "+Inf"
		if i < len(wal.SyncBounds) {
			le = strconv.FormatFloat(wal.SyncBounds[i].Seconds(), 'g', -1, 64)
		}
		e.sample(name+"_bucket", float64(sum), "le", le)
	}
	e.sample(name+"_sum", s.Took.Seconds())
	e.sample(name+"_count", float64(sum))
}

func number(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
