package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// useGiven takes the server that a variable names. It is not ours: it cannot be
// given arguments, killed or removed.
func useGiven(k Kind, o options, n int) (*Cluster, error) {
	variable := k.env("ADDR")
	if n > 1 {
		return nil, fmt.Errorf("the test needs a cluster of its own: unset %s, or choose tests that do not, with -run", variable)
	}
	if len(o.args) > 0 || len(o.files) > 0 || o.tls != nil || o.socket {
		return nil, fmt.Errorf("the test needs a %s with settings of its own: unset %s, or choose tests that do not, with -run", k, variable)
	}
	s := &Server{kind: k, addr: os.Getenv(variable), where: "given by " + variable, machine: given{variable}}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var err error
	if s.version, err = k.askVersion(ctx, s.addr); err != nil {
		return nil, fmt.Errorf("%s does not answer at the address in %s: %w", k, variable, err)
	}
	announce(s)
	return &Cluster{kind: k, members: []*Server{s}}, nil
}

type given struct{ variable string }

func (g given) fault() error {
	return errors.New("it is not ours: unset " + g.variable + " or leave this test out with -skip")
}

func (g given) start(context.Context) error   { return g.fault() }
func (g given) kill(context.Context) error    { return g.fault() }
func (g given) stop(context.Context) error    { return g.fault() }
func (g given) pause(context.Context) error   { return g.fault() }
func (g given) unpause(context.Context) error { return g.fault() }
func (g given) running(context.Context) bool  { return true }
func (g given) remove(context.Context) error  { return nil }
func (g given) log(context.Context) string    { return "" }
