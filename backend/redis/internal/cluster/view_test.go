package cluster

import (
	"slices"
	"strings"
	"testing"
)

const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	idC = "cccccccccccccccccccccccccccccccccccccccc"
	idR = "dddddddddddddddddddddddddddddddddddddddd"
)

// lines as Redis 7.0 to 8.6 and Valkey 9.1 write them.
const nodesText = idB + ` 10.0.0.2:6379@16379,h2.example,shard-id=1 master - 0 1764 7 connected 5461-10922 3
` + idA + ` :6379@16379 myself,master - 0 0 4 connected 0-2 4-5460 [93->-` + idB + `]
` + idC + ` ::1:7000@17000 master,fail? - 1764 1700 2 disconnected 10923-16383
` + idR + ` 10.0.0.4:6379@16379 slave ` + idA + ` 0 1764 4 connected
eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee :0@0 master,noaddr - 0 0 0 disconnected
ffffffffffffffffffffffffffffffffffffffff 10.0.0.9:6379@16379 handshake - 0 0 0 connected
`

func TestParseView(t *testing.T) {
	v, err := parseView(nodesText)
	if err != nil {
		t.Fatal(err)
	}
	want := []member{
		{id: idB, addr: "10.0.0.2:6379", master: true, epoch: 7, slots: 5463},
		{id: idA, addr: ":6379", master: true, epoch: 4, slots: 5460},
		{id: idC, addr: "[::1]:7000", master: true, failing: true, pinged: true, epoch: 2, slots: 5461},
		{id: idR, addr: "10.0.0.4:6379", epoch: 4},
		{id: strings.Repeat("e", 40), addr: ":0", master: true, failing: true},
	}
	if !slices.Equal(v.members, want) {
		t.Errorf("%+v", v.members)
	}
	if v.self().id != idA || v.size() != 3 || v.epoch() != 7 || !v.uneasy() || v.isolated() {
		t.Errorf("itself %s, %d masters, epoch %d, uneasy %v, isolated %v", v.self().id, v.size(), v.epoch(), v.uneasy(), v.isolated())
	}
	for slot, id := range map[int]string{0: idA, 3: idB, 4: idA, 5460: idA, 5461: idB, 16383: idC} {
		if v.ownerID(slot) != id {
			t.Errorf("slot %d is %s's", slot, v.ownerID(slot))
		}
	}
	for _, bad := range []any{nil, int64(1), "", "x", strings.ReplaceAll(nodesText, "myself,", ""), strings.ReplaceAll(nodesText, " 7 connected", " x connected")} {
		if v, err := parseView(bad); err == nil {
			t.Errorf("%.60q: %+v", bad, v)
		}
	}
}

// What most of the masters do not answer is no place to listen at.
func TestIsolated(t *testing.T) {
	text := strings.ReplaceAll(nodesText, idB+" 10.0.0.2:6379@16379,h2.example,shard-id=1 master", idB+" 10.0.0.2:6379@16379 master,fail")
	v, err := parseView(text)
	if err != nil || !v.isolated() {
		t.Errorf("isolated %v, %v, though it has no answer from two of three", v.isolated(), err)
	}
}

func TestMapOf(t *testing.T) {
	v, err := parseView(nodesText)
	if err != nil {
		t.Fatal(err)
	}
	m := v.mapOf(endpoints{idA: "one:6379", idB: "two:6379"}, "10.0.0.1:6379")
	if want := []Master{{idA, "one:6379", 4}, {idB, "two:6379", 7}, {idC, "10.0.0.1:7000", 2}}; !slices.Equal(m.masters, want) {
		t.Errorf("masters %+v", m.masters) // one that calls itself ::1 is where the asked one is
	}
	if m.epoch != 7 || m.missing() != 0 || !slices.Equal(m.replicas, []string{"10.0.0.4:6379"}) {
		t.Errorf("epoch %d, %d slots missing, replicas %v", m.epoch, m.missing(), m.replicas)
	}
	if x, ok := m.owner(3); !ok || x.ID != idB {
		t.Errorf("slot 3 is %v's", x)
	}
	next := m.with(3, "new:1")
	if x, _ := next.owner(3); x.Addr != "new:1" || x.ID != "" || next.size() != 3 {
		t.Errorf("slot 3 is %v's", x)
	}
	if x, _ := m.owner(3); x.ID != idB || m.stamp() == next.stamp() || m.stamp() != v.mapOf(endpoints{}, "x:1").stamp() {
		t.Errorf("a redirection changes the old map, or no stamp, or addresses change the stamp")
	}
	if got := next.gone(m); got != nil {
		t.Errorf("%v are gone, of which only a redirection has told", got)
	}
	if got := m.gone(m.with(1, "one:6379")); got != nil {
		t.Errorf("%v are gone", got)
	}
}

func TestParseEndpoints(t *testing.T) {
	node := func(host any, id string, more ...any) []any { return append([]any{host, int64(6379), id}, more...) }
	reply := []any{
		[]any{int64(0), int64(100), node("10.0.0.1", idA), node(nil, idR)},
		[]any{int64(101), int64(16000), node("?", idB, []any{"ip", "10.0.0.2"}), []any{"", int64(0), "no-port"}},
		[]any{int64(16001), int64(16383), node("fe80::1", idC), node("127.0.0.1", "loop"), node("?", "nothing", []any{})},
	}
	got, err := parseEndpoints(reply, "192.0.2.7:7000")
	want := endpoints{
		idA: "10.0.0.1:6379", idR: "192.0.2.7:6379", idB: "10.0.0.2:6379", "no-port": "192.0.2.7:7000",
		idC: "[fe80::1]:6379", "loop": "192.0.2.7:6379", "nothing": "192.0.2.7:6379",
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for id, addr := range want {
		if got[id] != addr {
			t.Errorf("%s: %s, want %s", id, got[id], addr)
		}
	}
	if got, _ := parseEndpoints(reply, "127.0.0.1:7000"); got["loop"] != "127.0.0.1:6379" {
		t.Errorf("on the same machine it is at %s", got["loop"])
	}
	for _, bad := range []any{nil, "x", []any{"x"}, []any{[]any{int64(0)}}, []any{[]any{int64(0), int64(1), []any{"h"}}}, []any{[]any{int64(0), int64(1), []any{"h", "p", "id"}}}} {
		if got, err := parseEndpoints(bad, "h:1"); err == nil {
			t.Errorf("%v: %v", bad, got)
		}
	}
}
