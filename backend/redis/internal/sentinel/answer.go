package sentinel

import (
	"net"
	"strconv"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// answer is what one Sentinel says of the master.
type answer struct {
	from string // the address by which it was asked
	err  error  // why there is no answer; then nothing else is set

	id        string        // of the Sentinel
	master    string        // where the master is; "" if the Sentinel watches none of this name
	epoch     uint64        // of the configuration that says so: each fail-over has a higher one
	sentinels int           // how many Sentinels it counts, itself included
	quorum    int           // of how many it takes to call the master down
	downAfter time.Duration // how long the master is silent before this Sentinel calls it down
	others    []member      // the other Sentinels that it knows; only where that was asked
}

// member is a Sentinel of which another tells.
type member struct{ id, addr string }

// askTimeout bounds a question to one Sentinel, and how long it waits for a connection before.
const askTimeout = time.Second

// ask asks a Sentinel about the master, in one round trip. The address comes first, so that the epoch is that of
// its configuration or of a later one.
func ask(n *node.Node, from, name string, others bool) answer {
	questions := [][]any{
		{"sentinel", "get-master-addr-by-name", name},
		{"sentinel", "master", name},
		{"sentinel", "myid"},
		{"sentinel", "sentinels", name},
	}
	if !others {
		questions = questions[:3]
	}
	replies := make([]any, len(questions))
	faults := make([]error, len(questions))
	calls := make([]*node.Call, len(questions))
	for i, words := range questions {
		calls[i] = &node.Call{Ctx: background, Timeout: askTimeout, Command: words, Done: func(reply any, err error) {
			replies[i], faults[i] = reply, err
		}}
	}
	n.EvalAll(calls)
	a := answer{from: from}
	a.err = a.read(replies, faults)
	if a.err != nil {
		return answer{from: from, err: a.err}
	}
	return a
}

func (a *answer) read(replies []any, faults []error) error {
	for i, err := range faults {
		switch {
		case err == nil:
		case isUnknownMaster(err):
			replies[i] = nil
		case isUnknownSentinel(err):
			return errNoSentinel
		default:
			return node.Classify(background, err)
		}
	}
	var ok bool
	if a.id, ok = replies[2].(string); !ok || a.id == "" {
		return errNonsense
	}
	if replies[0] == nil || replies[1] == nil {
		return nil // it watches no such master
	}
	at, ok := replies[0].([]any)
	if !ok || len(at) != 2 {
		return errNonsense
	}
	if a.master, ok = addrOf(at[0], at[1]); !ok {
		return errNonsense
	}
	if err := a.readMaster(fields(replies[1])); err != nil {
		return err
	}
	if len(replies) > 3 {
		list, _ := replies[3].([]any)
		for _, one := range list {
			told := fields(one)
			if addr, ok := addrOf(told["ip"], told["port"]); ok && told["runid"] != "" {
				a.others = append(a.others, member{told["runid"], addr})
			}
		}
	}
	return nil
}

func (a *answer) readMaster(told map[string]string) error {
	others, err1 := strconv.Atoi(told["num-other-sentinels"])
	ms, err2 := strconv.ParseInt(told["down-after-milliseconds"], 10, 64)
	epoch, err3 := strconv.ParseUint(told["config-epoch"], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || others < 0 || ms <= 0 {
		return errNonsense
	}
	a.sentinels, a.downAfter, a.epoch = others+1, time.Duration(ms)*time.Millisecond, epoch
	a.quorum, _ = strconv.Atoi(told["quorum"])
	return nil
}

// fields reads a reply that has names and values in turn.
func fields(reply any) map[string]string {
	list, _ := reply.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		m[name], _ = list[i+1].(string)
	}
	return m
}

func addrOf(host, port any) (addr string, ok bool) {
	h, ok1 := host.(string)
	p, ok2 := port.(string)
	return net.JoinHostPort(h, p), ok1 && ok2 && h != "" && p != "" && p != "0"
}
