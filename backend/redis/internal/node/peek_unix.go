//go:build unix && !aix

package node

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// open reports whether the connection is still open, as far as this machine knows. It
// is asked between two commands, when nothing should come: what is there to be read is
// the end of the connection, or of TLS. Where nobody can tell, it is open.
func (l *lane) open() bool {
	conn := l.conn
	if outer, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = outer.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil || conn.SetReadDeadline(time.Time{}) != nil { // that of the last command has passed
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && quiet
}
