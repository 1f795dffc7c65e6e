package wire

// AppendResume appends the frame that says which session goes on on this connection: from
// here on its commands are taken from it, and from no other that was accepted earlier. It is not
// in the Hello since a client that looks for the leader may say that on several connections, and
// goes on on one.
func AppendResume(dst []byte, session uint64) []byte { return appendNumber(dst, TypeResume, session) }

// ParseResume takes it apart.
func ParseResume(body []byte) (session uint64, err error) { return parseNumber(body) }
