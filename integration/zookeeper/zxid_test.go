package zookeeper_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// zxid is the number of the server's last transaction. With one server nothing else
// counts it on: reads, pings and watches are none.
func zxid(t *testing.T, s *servers.Server) int64 {
	t.Helper()
	for line := range strings.Lines(fourLetters(t, s, "srvr")) {
		if number, ok := strings.CutPrefix(line, "Zxid: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the server does not tell its zxid")
	return 0
}

// fourLetters sends one of ZooKeeper's commands for administrators.
func fourLetters(t *testing.T, s *servers.Server, word string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addr(), soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
