package work

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// Request is a line that a process which works for the bench reads; it writes an Answer for each. The first
// one opens a client.
type Request struct {
	Open *Open         `json:"open,omitempty"`
	Work *contest.Work `json:"work,omitempty"`
}

// Open says to which locks.
type Open struct {
	URL string        `json:"url"`
	TTL time.Duration `json:"ttl"`
}

// Answer is what came of a Request.
type Answer struct {
	Error string       `json:"error,omitempty"`
	Done  contest.Done `json:"done"`
}

// Err is what went wrong, or nil.
func (a Answer) Err() error {
	if a.Error == "" {
		return nil
	}
	return errors.New(a.Error)
}

// Serve answers requests, one after the other, until there are no more. The client ends with it.
func Serve(ctx context.Context, in io.Reader, out io.Writer, open func(ctx context.Context, o Open) (contest.Client, error)) error {
	var worker contest.Worker
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r Request
		err := requests.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var a Answer
		switch {
		case r.Open != nil && worker == nil:
			var client contest.Client
			if client, err = open(ctx, *r.Open); err == nil {
				defer client.Close() // once: there is one worker
				worker = For(client)
			}
		case r.Work != nil && worker != nil:
			runtime.GC() // the garbage of one request must not be collected at the expense of the next
			a.Done, err = worker.Work(ctx, *r.Work)
		default:
			err = errors.New("a request out of order")
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}
