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
func (c *conn) open() bool {
	socket := c.raw
	if outer, ok := socket.(interface{ NetConn() net.Conn }); ok { // TLS
		socket = outer.NetConn()
	}
	system, ok := socket.(syscall.Conn)
	if !ok {
		return true
	}
	descriptor, err := system.SyscallConn()
	if err != nil || socket.SetReadDeadline(time.Time{}) != nil { // one that has passed would end the look
		return false
	}
	quiet := false
	err = descriptor.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && quiet
}
