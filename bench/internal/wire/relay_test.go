package wire

import (
	"io"
	"net"
	"testing"
)

func TestRelayCountsOnTheWay(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()

	counter := NewCounter(ZooKeeper)
	relay, err := NewRelay(t.Context(), server.Addr().String(), counter.Dial)
	if err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", relay.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := packet(1, "create")
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(sent))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != sent {
		t.Fatalf("%q came back, %v", back, err)
	}
	want := Count{Commands: 1, Sent: int64(len(sent)), Received: int64(len(sent))}
	if got := counter.Read(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}

	if err := relay.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(back); err == nil {
		t.Error("the connection outlives the relay")
	}
}
