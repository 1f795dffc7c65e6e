package wire

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	tests := []struct {
		name, stream, want string // want holds one type byte for each top-level frame
	}{
		{"one command", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "*"},
		{"a pipeline of two", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "**"},
		{"a value that looks like a frame", "*2\r\n$4\r\nECHO\r\n$6\r\n*1\r\n>1\r\n", "*"},
		{"simple replies", "+OK\r\n-ERR no\r\n:-7\r\n_\r\n#t\r\n,1.5\r\n", "+-:_#,"},
		{"nulls of RESP2", "$-1\r\n*-1\r\n+OK\r\n", "$*+"},
		{"empty aggregates and strings", "*0\r\n$0\r\n\r\n%0\r\n", "*$%"},
		{"nested", "*2\r\n*2\r\n:1\r\n$1\r\na\r\n%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n+OK\r\n", "*+"},
		{"a push between replies", ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n:2\r\n", ":>:"},
		{"an invalidation", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", ">"},
		{"an attribute before a reply", "|1\r\n+a\r\n:1\r\n+OK\r\n", "|+"},
		{"an attribute inside an array", "*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n:3\r\n+OK\r\n", "*+"},
		{"verbatim string and blob error", "=8\r\ntxt:abcd\r\n!3\r\nERR\r\n", "=!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{len(tt.stream), 1, 3} {
				var got strings.Builder
				f := frames{seen: func(kind byte) { got.WriteByte(kind) }}
				for p := range slices.Chunk([]byte(tt.stream), piece) {
					f.feed(p)
				}
				if got.String() != tt.want {
					t.Errorf("in pieces of %d: frames %q, want %q", piece, got.String(), tt.want)
				}
			}
		})
	}
}

func TestCounterCountsBothDirections(t *testing.T) {
	const request = "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"
	const answer = "+PONG\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n+PONG\r\n"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, len(request))); err == nil {
			_, _ = io.WriteString(c, answer)
		}
	}()

	counter := NewCounter(RESP)
	before := counter.Read()
	c, err := counter.Dial(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}

	got := counter.Read().Minus(before)
	want := Count{Commands: 2, Pushes: 1, Sent: int64(len(request)), Received: int64(len(answer))}
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if got.Bytes() != int64(len(request)+len(answer)) {
		t.Errorf("Bytes = %d", got.Bytes())
	}
}
