package etcd

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"

	"github.com/fencelock/fencelock/driver/address"
)

// renewing are the TLS credentials of a client. Each connection gets certificates and authorities
// that are read anew: those of gRPC are read once, and a certificate that has been renewed in time
// would never be shown.
type renewing struct{ certificates *address.Certificates }

var _ credentials.TransportCredentials = renewing{}

// now returns the credentials for one connection. The name of the server comes with the handshake.
func (r renewing) now() credentials.TransportCredentials {
	return credentials.NewTLS(r.certificates.Config(""))
}

// ClientHandshake secures a connection.
func (r renewing) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake is of no use here.
func (r renewing) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ServerHandshake(conn)
}

// Info tells what protocol it is, without a name: the client knows that of each server.
func (r renewing) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(nil).Info()
}

// Clone returns the same: nothing in it is changed.
func (r renewing) Clone() credentials.TransportCredentials { return r }

// OverrideServerName does nothing: gRPC does not use it, and has grpc.WithAuthority for that.
func (r renewing) OverrideServerName(string) error { return nil }
