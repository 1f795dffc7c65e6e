package login

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
)

// refusals is how many tokens one request tries.
const refusals = 2

// authenticate is the method that returns a token. The API of etcd 3.6 has no constant for it.
const authenticate = "/etcdserverpb.Auth/Authenticate"

// unary sends a request with the token. A request that is refused because of the token was not carried
// out, so it is sent again: to other members, and then with the next token.
func (l *Login) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == authenticate {
		return invoke(ctx, method, request, reply, conn, opts...)
	}
	for n := 1; ; n++ {
		token, err := l.current(ctx, conn)
		if err != nil {
			return err
		}
		err = invoke(withToken(ctx, token), method, request, reply, conn, opts...)
		if !cluster.RefusesToken(err) {
			return err
		}
		next := l.refused(token, conn) //nolint:contextcheck // a login is no request's
		switch {
		case n == l.members+refusals:
			return err
		case n < l.members || next == nil:
		default:
			if _, err := next.wait(ctx); err != nil {
				return err
			}
		}
	}
}

// stream opens a stream with the token. Servers check the token with each request of the stream. If
// they refuse it, the user of the stream opens another, at another member.
func (l *Login) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, err := l.current(ctx, conn)
	if err != nil {
		return nil, err
	}
	s, err := open(withToken(ctx, token), desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &knownStream{ClientStream: s, refused: func() { l.refused(token, conn) }}, nil //nolint:contextcheck // a login is no request's
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// knownStream notices that the server refuses the token of a stream.
type knownStream struct {
	grpc.ClientStream
	refused func()
}

// RecvMsg receives a message.
func (s *knownStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if w, ok := m.(*pb.WatchResponse); cluster.RefusesToken(err) || err == nil && ok && w.Canceled && cluster.RefusesWatch(w.CancelReason) {
		s.refused()
	}
	return err
}
