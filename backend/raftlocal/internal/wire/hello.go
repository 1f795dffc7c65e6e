package wire

import (
	"encoding/binary"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Version is of the protocol. One side that does not know the other's refuses it.
const Version = 1

// Role is what one who connects wants.
type Role uint8

// The roles.
const (
	Client       Role = iota + 1 // to send commands
	Peer                         // to send messages of raft
	Bootstrapper                 // to tell how it stands, and be told: see package bootstrap
)

// Hello says who has connected.
type Hello struct {
	Version uint64
	Cluster string // its name; a client may leave it empty, to take any
	Role    Role
	// Member and Name are the peer's own, To is whom it thinks that it speaks to.
	Member uint64
	Name   string
	To     uint64
}

// AppendHello appends the frame, without Preface.
func AppendHello(dst []byte, h Hello) []byte {
	at := len(dst)
	dst = binary.AppendUvarint(begin(dst, TypeHello), h.Version)
	dst = append(command.AppendString(dst, h.Cluster), byte(h.Role))
	dst = binary.AppendUvarint(dst, h.Member)
	dst = command.AppendString(dst, h.Name)
	dst = binary.AppendUvarint(dst, h.To)
	return end(dst, at)
}

// ParseHello takes a Hello apart. Of another version it tells that and nothing else, for
// what follows may have changed: the error is nil, so that it can be refused by name.
func ParseHello(body []byte) (Hello, error) {
	f := command.FieldsOf(body)
	h := Hello{Version: f.Number()}
	if h.Version != Version && !f.Failed() {
		return h, nil
	}
	h.Cluster = f.String()
	h.Role = Role(f.Octet())
	h.Member = f.Number()
	h.Name = f.String()
	h.To = f.Number()
	return h, f.Done()
}

// Member is one of the cluster.
type Member struct {
	ID         uint64
	Name, Addr string
}

// Welcome answers a Hello that is not refused.
type Welcome struct {
	Cluster string
	Member  uint64 // who answers
	Name    string
	// Leader is who leads, as far as the one who answers knows; the zero Member if it does
	// not. A client that has come to another than the leader goes there: this connection
	// ends.
	Leader  Member
	Members []Member
}

// AppendWelcome appends the frame.
func AppendWelcome(dst []byte, w Welcome) []byte {
	at := len(dst)
	dst = command.AppendString(begin(dst, TypeWelcome), w.Cluster)
	dst = binary.AppendUvarint(dst, w.Member)
	dst = command.AppendString(dst, w.Name)
	dst = appendMember(dst, w.Leader)
	dst = binary.AppendUvarint(dst, uint64(len(w.Members)))
	for _, m := range w.Members {
		dst = appendMember(dst, m)
	}
	return end(dst, at)
}

// ParseWelcome takes a Welcome apart.
func ParseWelcome(body []byte) (Welcome, error) {
	f := command.FieldsOf(body)
	w := Welcome{Cluster: f.String(), Member: f.Number(), Name: f.String(), Leader: takeMember(&f)}
	for range f.Count(3) {
		w.Members = append(w.Members, takeMember(&f))
	}
	return w, f.Done()
}

func appendMember(dst []byte, m Member) []byte {
	dst = binary.AppendUvarint(dst, m.ID)
	return command.AppendString(command.AppendString(dst, m.Name), m.Addr)
}

func takeMember(f *command.Fields) Member {
	return Member{ID: f.Number(), Name: f.String(), Addr: f.String()}
}

// AppendMoved appends the frame that sends a client to the leader, or just away if that is
// the zero Member.
func AppendMoved(dst []byte, leader Member) []byte {
	at := len(dst)
	return end(appendMember(begin(dst, TypeMoved), leader), at)
}

// ParseMoved takes it apart.
func ParseMoved(body []byte) (leader Member, err error) {
	f := command.FieldsOf(body)
	leader = takeMember(&f)
	return leader, f.Done()
}

// maxText is how much of a refusal is told.
const maxText = 4 << 10

// AppendRefusal appends the frame that tells, in a sentence, why the connection ends.
func AppendRefusal(dst []byte, text string) []byte { return appendText(dst, TypeRefusal, text) }

// AppendVoid appends the frame that tells a client, in a sentence, why nothing that it was granted
// counts any more. ParseRefusal takes it apart. A client of an earlier release ignores it, and
// finds out when it renews.
func AppendVoid(dst []byte, text string) []byte { return appendText(dst, TypeVoid, text) }

// AppendTrouble appends the frame that tells a client, in a sentence, what keeps this member from
// serving: after Welcome where it does not lead, and when it changes. Empty, it is over. ParseRefusal
// takes it apart. A client of an earlier release ignores it.
func AppendTrouble(dst []byte, text string) []byte { return appendText(dst, TypeTrouble, text) }

// Full is in a refusal that is for the moment: the member has as many clients as it may.
const Full = "as many as it may"

func appendText(dst []byte, t Type, text string) []byte {
	at := len(dst)
	return end(append(begin(dst, t), text[:min(len(text), maxText)]...), at)
}

// ParseRefusal takes it apart.
func ParseRefusal(body []byte) string { return string(body[:min(len(body), maxText)]) }

// AppendPeerHandshake appends what two members tell each other of themselves before anything else.
// What is in it is the server's business.
func AppendPeerHandshake(dst, body []byte) ([]byte, error) {
	at := len(dst)
	return checked(append(begin(dst, TypePeerHandshake), body...), at)
}

// AppendResume appends the frame that says which session goes on on this connection: from
// here on its commands are taken from it, and from no other that was accepted earlier. It is not
// in the Hello since a client that looks for the leader may say that on several connections, and
// goes on on one.
func AppendResume(dst []byte, session uint64) []byte { return appendNumber(dst, TypeResume, session) }

// ParseResume takes it apart.
func ParseResume(body []byte) (session uint64, err error) { return parseNumber(body) }

// AppendPing appends a question whether the other is there, with a number of the asker's.
func AppendPing(dst []byte, number uint64) []byte {
	return appendNumber(dst, TypePing, number)
}

// AppendPong appends the answer, with the number of the question.
func AppendPong(dst []byte, number uint64) []byte {
	return appendNumber(dst, TypePong, number)
}

// ParsePing takes a ping apart, or a pong.
func ParsePing(body []byte) (number uint64, err error) { return parseNumber(body) }

// appendNumber appends a frame that is a number.
func appendNumber(dst []byte, t Type, number uint64) []byte {
	at := len(dst)
	return end(binary.AppendUvarint(begin(dst, t), number), at)
}

func parseNumber(body []byte) (number uint64, err error) {
	f := command.FieldsOf(body)
	number = f.Number()
	return number, f.Done()
}
