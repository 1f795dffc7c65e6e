package node

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Call is one run of a script, or a command, for Node.Go and Node.EvalAll.
type Call struct {
	// If Ctx ends before the call is sent, the call is dropped, and Done gets ErrNotSent. Once the call
	// is sent, the end of Ctx changes nothing.
	Ctx context.Context

	// Timeout bounds how long the call waits to be sent, and then the round trip. Calls that are sent
	// together have the longest of their timeouts.
	Timeout time.Duration

	Script *Script
	Keys   int   // how many of Args are keys
	Args   []any // the keys, and the arguments; not to be changed before Done

	// Command is sent as it is where Script is nil; not to be changed before Done.
	Command []any

	// Asking has the server take the call though the key's slot is not its own yet, as it wants it where another
	// server has answered ASK: the command ASKING goes right before the call. The script goes in full, since
	// ASKING is good for one command, and a server that did not know the script would have used it up.
	Asking bool

	// Follows says that the call is about those before it: if one of them is sent once more, since the server did
	// not know its script, the call is, too, after it, and only its second outcome counts.
	Follows bool

	// Boot, if it is not empty, is the run_id of the only server process to which the call may be
	// sent; it needs Config.TellBoot. If another process answers there, Done gets a *BootError.
	Boot string

	// Done is called exactly once, with the reply (nil for none) or a raw error: see Classify, with a
	// context that does not end. It must not block: a sender calls it, which has more to send, or Go itself
	// where the call cannot be queued. EvalAll calls it itself. The call may have been carried out unless
	// the error is ErrNotSent or a refusal of the server.
	Done func(reply any, err error)

	request request
}

// maxQueued is how many calls wait to be sent, at most.
const maxQueued = 4096

var (
	errDropped = &notSent{errors.New("nobody waits for it any more")}
	errWaited  = &notSent{errors.New("its time was over before those before it were done")}
	errBroke   = &notSent{errors.New("the server did not know the script, and the connection broke")}
	errFull    = &notSent{ErrFull}
)

// Go queues a call, and does not block. Calls that are queued together go to the server in one write. A
// call is never sent twice, with one exception: if the server does not know the script (NOSCRIPT), nothing
// has run, and the call is sent once more with the source, after those that went with it.
//
// With one sender (Config.Senders), calls are otherwise carried out in the order of Go; those of
// Dedicated scripts are ordered among themselves only.
//
// At most 4096 calls wait to be sent; one more gets ErrNotSent.
func (n *Node) Go(c *Call) {
	p := n.pipelineOf(c.Script)
	r := c.begin(time.Now())
	p.mu.Lock()
	var refused error
	switch {
	case p.closed:
		refused = &notSent{ErrClosed}
	case len(p.queue) >= maxQueued:
		refused = errFull
	default:
		p.queue = append(p.queue, r)
		p.wakeSender()
	}
	p.mu.Unlock()
	if refused != nil {
		c.Done(nil, refused)
	}
}

// EvalAll sends calls in one write, in their order, on a connection that nobody else uses meanwhile, and
// returns when each Done has been called, on this goroutine. As for Go, a call is sent once more, after the
// others, if the server did not know its script, and never otherwise. All have the longest of their
// timeouts, and may have waited as long for the connection. After Close they fail at once.
//
// The calls are of scripts that are Dedicated, or of none that is: the first one's connections carry all.
func (n *Node) EvalAll(calls []*Call) {
	if len(calls) == 0 {
		return
	}
	now := time.Now()
	batch := make([]*request, len(calls))
	for i, c := range calls {
		batch[i] = c.begin(now)
	}
	n.pipelineOf(calls[0].Script).pool.exchange(batch, make([]goredis.Cmder, 0, len(calls)))
}

// begin makes the request of a call.
func (c *Call) begin(now time.Time) *request {
	words := c.Command
	if c.Script != nil {
		words = c.Script.words(c.Keys, c.Args)
		if c.Asking {
			words = c.Script.inFull(c.Keys, c.Args)
		}
	}
	c.request = request{ctx: c.Ctx, timeout: c.Timeout, cmd: goredis.NewCmd(c.Ctx, words...), call: c, queued: now}
	return &c.request
}

// finish gives the outcome of a request to the caller of do, or to Call.Done.
func (r *request) finish() {
	if r.call == nil {
		close(r.done)
		return
	}
	reply, err := r.cmd.Result()
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	if err != nil {
		reply = nil // it may have one that does not count
	}
	r.call.Done(reply, err)
}

// resend sends requests once more whose script the server did not know: nothing has run. The first of
// each script has the source; the others come after it, on the same connection.
func (c *conn) resend(batch []*request, timeout time.Duration) {
	var unknown []*request // and those that follow them
	for _, r := range batch {
		if r.call == nil || !r.sent {
			continue
		}
		if r.call.Script != nil && r.cmd.Err() != nil && isUnknownScript(r.cmd.Err()) || r.call.Follows && len(unknown) > 0 {
			unknown = append(unknown, r)
		}
	}
	if len(unknown) == 0 {
		return
	}
	if c.broken() {
		for _, r := range unknown {
			r.cmd.SetErr(errBroke)
		}
		return
	}
	sent := make(map[*Script]bool)
	cmds := make([]goredis.Cmder, 0, len(unknown))
	for _, r := range unknown {
		words := r.call.Command
		if script := r.call.Script; script != nil && sent[script] {
			words = script.words(r.call.Keys, r.call.Args)
		} else if script != nil {
			words = script.inFull(r.call.Keys, r.call.Args)
			sent[script] = true
		}
		r.cmd = goredis.NewCmd(r.ctx, words...)
		cmds = append(cmds, r.cmd)
	}
	c.processAll(cmds, timeout)
}
