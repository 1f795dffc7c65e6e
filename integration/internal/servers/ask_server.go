package servers

import (
	"bufio"
	"context"
	"io"
	"net"
	"time"
)

// askServer sends a request on a connection of its own, and reads the answer.
func askServer(ctx context.Context, addr, request string, read func(*bufio.Reader) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	return read(bufio.NewReader(c))
}
