package before

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/wire"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// Names of the two in reports and budgets.
const (
	Name    = "fencelock before"
	NowName = "fencelock now, child"
)

// Contestants are the two. Each has a namespace of its own, since builds need not understand the keys of each
// other; the names are of one length, so that both send as many bytes. url opens fencelock on the server at
// an address.
func (b *Builds) Contestants(addr string, url func(addr, namespace string) string) []contest.Contestant {
	one := func(name, program, namespace string) contest.Contestant {
		return contest.Contestant{
			Name: name, Child: true, Token: true, Renews: true, Waits: "does not take part",
			Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
				return open(ctx, exec.Command(program), addr, func(addr string) string { return url(addr, namespace) }, o)
			},
		}
	}
	return []contest.Contestant{one(NowName, b.now, "bench-now"), one(Name, b.before, "bench-old")}
}

// client is a process that works for us.
type client struct {
	process  *exec.Cmd
	in       io.WriteCloser
	requests *json.Encoder
	answers  *json.Decoder
	relay    io.Closer // nil: nobody counts
}

// open runs the program, and has it open the URL. One that is counted goes through a relay: it takes no
// dialer of ours.
func open(ctx context.Context, cmd *exec.Cmd, addr string, url func(addr string) string, o contest.Options) (contest.Client, error) {
	c := &client{process: cmd}
	if o.Dial != nil {
		relay, err := wire.NewRelay(ctx, addr, o.Dial)
		if err != nil {
			return nil, err
		}
		c.relay, addr = relay, relay.Addr
	}
	if err := c.start(); err != nil {
		c.closeRelay()
		return nil, err
	}
	if _, err := c.ask(ctx, work.Request{Open: &work.Open{URL: url(addr), TTL: o.TTL}}); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) start() error {
	in, err := c.process.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return err
	}
	c.process.Stderr = os.Stderr
	c.in, c.requests, c.answers = in, json.NewEncoder(in), json.NewDecoder(out)
	return c.process.Start()
}

// Work has the process do it. One whose context ends is not asked again: the process is ended.
func (c *client) Work(ctx context.Context, w contest.Work) (contest.Done, error) {
	a, err := c.ask(ctx, work.Request{Work: &w})
	return a.Done, err
}

func (c *client) ask(ctx context.Context, r work.Request) (work.Answer, error) {
	defer context.AfterFunc(ctx, func() { _ = c.process.Process.Kill() })()
	var a work.Answer
	err := c.requests.Encode(r)
	if err == nil {
		err = c.answers.Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case err != nil:
		return a, fmt.Errorf("the process %s does not answer: %w", c.process.Path, err)
	default:
		return a, a.Err()
	}
}

// Lock is not for a process of its own: to ask it for each lock would measure the asking.
func (c *client) Lock(context.Context, string) (contest.Held, error) {
	return nil, errors.ErrUnsupported
}

// Close ends the process: it does when there are no more requests.
func (c *client) Close() error {
	defer c.closeRelay()
	_ = c.in.Close()
	defer time.AfterFunc(5*time.Second, func() { _ = c.process.Process.Kill() }).Stop()
	return c.process.Wait()
}

func (c *client) closeRelay() {
	if c.relay != nil {
		_ = c.relay.Close()
	}
}
