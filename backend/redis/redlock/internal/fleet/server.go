package fleet

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// Server is one server, as a fleet needs it: *node.Node is, by Wrap.
type Server interface {
	Look(ctx context.Context) (Told, error)
	Prepare(ctx context.Context, scripts []*node.Script, p node.Permissions) error
	Eval(ctx context.Context, timeout time.Duration, s *node.Script, keys int, args ...any) (any, error)
	Go(c *node.Call)
	Subscribe(ctx context.Context, channel string, take func(payload string), again func()) error
	Trip() time.Duration
	Close()
}

// Told is what a server tells of itself.
type Told struct {
	RunID    string
	Unusable error  // why no lock can be kept on it
	Weak     string // what keeps it from keeping its data through a crash; "" if nothing does
}

// Wrap makes a Server of a node.
func Wrap(n *node.Node) Server { return wrapped{n} }

type wrapped struct{ *node.Node }

func (w wrapped) Look(ctx context.Context) (Told, error) {
	s, err := w.Node.Look(ctx)
	if err != nil {
		return Told{}, err
	}
	return Told{RunID: s.RunID(), Unusable: s.Usable(), Weak: s.NotDurable()}, nil
}
