package etcd

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/driver/address"
)

// trouble remembers why a server could not be reached. The client asks again, by itself, for what
// only reads, until the time of the request is over, and then says no more than that it is: not that
// a certificate has expired, say.
type trouble struct {
	contact *address.Contact // what of it an operator is told

	mu   sync.Mutex
	text string
	at   time.Time
}

// freshTrouble is how old may be what is told of.
const freshTrouble = 10 * time.Second

// unary notes what becomes of each request that the client sends.
func (t *trouble) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, conn, opts...)
	switch said := status.Convert(err).Message(); {
	case err == nil:
		t.note("")
	case strings.HasPrefix(said, "latest balancer error: "), status.Code(err) == codes.Unavailable: // it waits for a connection, or lost it
		t.note(inWords(said))
	}
	return err
}

// inWords takes off what gRPC wraps around the reason for which there is no connection.
func inWords(text string) string {
	_, after, found := strings.Cut(text, " desc = ")
	for ; found; _, after, found = strings.Cut(text, " desc = ") {
		text = strings.Trim(after, `"`)
	}
	for _, around := range []string{"latest balancer error: ", "transport: ", "Error while dialing: ", "error reading server preface: "} {
		text = strings.ReplaceAll(text, around, "")
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(text, `\"`, `"`)), " ") // in one line
}

func (t *trouble) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.at = text, time.Now()
}

// now returns what there is to tell, or nothing.
func (t *trouble) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) > freshTrouble {
		return ""
	}
	return t.text
}

// plain is an error of gRPC in words for people.
type plain struct{ err error }

func (p *plain) Error() string { return inWords(p.err.Error()) }
func (p *plain) Unwrap() error { return p.err }
