package proxy

import (
	"slices"
	"strings"
	"testing"
)

// values has each type of RESP2 and RESP3, alone and nested.
var values = []string{
	"+OK\r\n",
	"-ERR no\r\n",
	":-42\r\n",
	"$5\r\nhello\r\n",
	"$0\r\n\r\n",
	"$-1\r\n",
	"$13\r\nline\r\n+line\r\n\r\n",
	"*0\r\n",
	"*-1\r\n",
	"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n",
	"*3\r\n*1\r\n*1\r\n+deep\r\n*-1\r\n$-1\r\n",
	"_\r\n",
	"#t\r\n",
	",3.14\r\n",
	"(123456789012345678901234567890\r\n",
	"!9\r\nSYNTAX no\r\n",
	"=7\r\ntxt:abc\r\n",
	"%2\r\n+k\r\n:1\r\n+l\r\n*1\r\n_\r\n",
	"%0\r\n",
	"~3\r\n:1\r\n:2\r\n#f\r\n",
	">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
	"|1\r\n+ttl\r\n:9\r\n$1\r\nx\r\n",
	"*2\r\n:1\r\n|1\r\n+a\r\n%1\r\n+b\r\n:1\r\n:2\r\n",
	"|0\r\n+OK\r\n",
	"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n",
	"*?\r\n:1\r\n*1\r\n$?\r\n;0\r\n.\r\n",
	"*1\r\n%?\r\n+a\r\n:1\r\n.\r\n",
}

func frames(t *testing.T, f Framer, pieces ...string) []string {
	t.Helper()
	var all []string
	partial := ""
	for _, piece := range pieces {
		for len(piece) > 0 {
			n, end, err := f.Feed([]byte(piece))
			if err != nil {
				t.Fatalf("Feed(%q): %v", piece, err)
			}
			if n == 0 || !end && n != len(piece) {
				t.Fatalf("Feed(%q) = %d, %v", piece, n, end)
			}
			partial += piece[:n]
			piece = piece[n:]
			if end {
				all, partial = append(all, partial), ""
			}
		}
	}
	if partial != "" {
		all = append(all, "incomplete: "+partial)
	}
	return all
}

func TestFramerSplitAtEveryByte(t *testing.T) {
	stream := strings.Join(values, "")
	for i := range len(stream) {
		if got := frames(t, &respFramer{}, stream[:i], stream[i:]); !slices.Equal(got, values) {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
	if got := frames(t, &respFramer{}, strings.Split(stream, "")...); !slices.Equal(got, values) {
		t.Fatalf("byte by byte: %q", got)
	}
}

func TestFramerOfRequests(t *testing.T) {
	requests := []string{command("ECHO", "a\r\nb"), "PING\r\n", "\r\n", "*0\r\n", "GET k\n", command("X")}
	stream := strings.Join(requests, "")
	for i := range len(stream) {
		if got := frames(t, &respFramer{inline: true}, stream[:i], stream[i:]); !slices.Equal(got, requests) {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
}

func TestFramerRefuses(t *testing.T) {
	for _, s := range []string{
		"\r\n", "GET\r\n", "\x16\x03\x01\r\n", "$x\r\n", "$-2\r\n", "*99999999999\r\n", ".\r\n", "*1\r\n.\r\n",
		strings.Repeat("*1\r\n", maxDepth+1), strings.Repeat("+", maxLine+1),
	} {
		f := &respFramer{}
		err := error(nil)
		for data := []byte(s); len(data) > 0 && err == nil; {
			var n int
			n, _, err = f.Feed(data)
			data = data[n:]
		}
		if err == nil {
			t.Errorf("%.40q was taken for RESP", s)
		}
	}
}

func TestClassify(t *testing.T) {
	const confirm, message = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"
	resp3 := func(s string) string { return ">" + s[1:] }
	unsub := strings.ReplaceAll(confirm, "$9\r\nsub", "$11\r\nunsub")
	for _, tc := range []struct {
		name     string
		sent     []string // requests so far
		messages []string // each with the request that it is held against
		request  string
		want     []Kind
	}{
		{"plain", nil, []string{"+OK\r\n", "*0\r\n", "$-1\r\n", message}, command("GET", "k"), []Kind{Answer, Answer, Answer, Answer}},
		{"push", nil, []string{resp3(message), ">2\r\n$10\r\ninvalidate\r\n*0\r\n"}, command("GET", "k"), []Kind{Push, Push}},
		{"subscribe", []string{command("SUBSCRIBE", "c", "d")}, []string{resp3(confirm), resp3(message), resp3(confirm)}, command("SUBSCRIBE", "c", "d"), []Kind{Part, Push, Answer}},
		{"RESP2", []string{command("subscribe", "c", "d")}, []string{confirm, message, confirm}, command("subscribe", "c", "d"), []Kind{Part, Push, Answer}},
		{"RESP2 ping", []string{command("SUBSCRIBE", "c")}, []string{"*2\r\n$4\r\npong\r\n$0\r\n\r\n"}, command("PING"), []Kind{Answer}},
		{"refused", []string{command("SUBSCRIBE", "c")}, []string{"-NOPERM\r\n"}, command("SUBSCRIBE", "c"), []Kind{Answer}},
		{"unsubscribe all", []string{command("UNSUBSCRIBE")}, []string{resp3(unsub)}, command("UNSUBSCRIBE"), []Kind{Answer}},
		{"late confirmation", nil, []string{resp3(unsub)}, command("GET", "k"), []Kind{Push}},
		{"nothing asked", nil, []string{"-ERR max number of clients reached\r\n"}, "", []Kind{Answer}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &resp{}
			for _, r := range tc.sent {
				if !s.Awaits([]byte(r)) {
					t.Errorf("no answer expected to %q", r)
				}
			}
			for i, m := range tc.messages {
				if got := s.Classify([]byte(m), []byte(tc.request)); got != tc.want[i] {
					t.Errorf("Classify(%q) = %v, want %v", m, got, tc.want[i])
				}
			}
		})
	}
}

func TestArgs(t *testing.T) {
	for request, want := range map[string][]string{
		command("SET", "k", "a\r\n b", ""): {"SET", "k", "a\r\n b", ""},
		"PING\r\n":                         {"PING"},
		"\r\n":                             nil,
		"*0\r\n":                           nil,
		"*2\r\n$3\r\nGET\r\n":              nil,
		"*1\r\n$9\r\nGET\r\n":              nil,
		"*1\r\n:1\r\n":                     nil,
		"no line end":                      nil,
	} {
		if got := Args([]byte(request)); !slices.Equal(got, want) {
			t.Errorf("Args(%q) = %q, want %q", request, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	request := []byte(command("evalsha", "abc", "1", "key"))
	for _, tc := range []struct {
		match func([]byte) bool
		want  bool
	}{
		{Command("EVALSHA"), true},
		{Command("EVALSHA", "abc", "1"), true},
		{Command("EVALSHA", "abd"), false},
		{Command("EVAL"), false},
		{Command("EVALSHA", "abc", "1", "key", "more"), false},
	} {
		if got := tc.match(request); got != tc.want {
			t.Errorf("got %v, want %v", got, tc.want)
		}
	}
}
