package node

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Call is one run of a script, for Node.Go.
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

	// Boot, if it is not empty, is the run_id of the only server process to which the call may be
	// sent; it needs Config.TellBoot. If another process answers there, Done gets a *BootError.
	Boot string

	// Done is called exactly once, with the reply (nil for none) or a raw error: see Classify, with a
	// context that does not end. It must not block: a sender calls it, which has more to send, or Go itself
	// where the call cannot be queued. The call may have been carried out unless the error is ErrNotSent
	// or a refusal of the server.
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
	r := &c.request
	*r = request{ctx: c.Ctx, timeout: c.Timeout, cmd: goredis.NewCmd(c.Ctx, c.Script.words(c.Keys, c.Args)...), call: c, queued: time.Now()}
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

// finish gives the outcome of a request to the caller of do, or to Call.Done.
func (r *request) finish() {
	if r.call == nil {
		close(r.done)
		return
	}
	reply, err := r.cmd.Result()
	if errors.Is(err, goredis.Nil) {
		reply, err = nil, nil
	}
	r.call.Done(reply, err)
}

// resend sends requests once more whose script the server did not know: nothing has run. The first of
// each script has the source; the others come after it, on the same connection.
func (c *conn) resend(batch []*request, timeout time.Duration) {
	var unknown []*request
	for _, r := range batch {
		if r.call != nil && r.cmd.Err() != nil && isUnknownScript(r.cmd.Err()) {
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
		words := r.call.Script.words
		if !sent[r.call.Script] {
			words = r.call.Script.inFull
			sent[r.call.Script] = true
		}
		r.cmd = goredis.NewCmd(r.ctx, words(r.call.Keys, r.call.Args)...)
		cmds = append(cmds, r.cmd)
	}
	c.processAll(cmds, timeout)
}
