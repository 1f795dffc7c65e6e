package wire

// frames walks a RESP2 or RESP3 byte stream that arrives in arbitrary pieces and reports each complete top-level
// frame by its type byte. In the direction of the server a frame is a command; in the other a reply or a push ('>').
//
// It looks at type bytes and lengths only: what a bulk string holds is skipped, not read.
type frames struct {
	seen func(kind byte)

	state state
	kind  byte  // type byte of the value being read
	top   byte  // type byte of the top-level frame, 0 between frames
	size  int64 // number being read, then bytes left to skip
	minus bool
	open  []int64 // values still missing in each unfinished aggregate, outermost first
}

type state uint8

const (
	atType state = iota // the next byte is a type byte
	inLine              // the rest of the line carries nothing that is counted
	inSize              // the rest of the line is a length
	inBulk              // skipping the bytes of a bulk string and its line end
)

func (f *frames) feed(p []byte) {
	for len(p) > 0 {
		switch f.state {
		case atType:
			f.begin(p[0])
			p = p[1:]
		case inBulk:
			n := min(f.size, int64(len(p)))
			f.size -= n
			p = p[n:]
			if f.size == 0 {
				f.end()
			}
		default:
			f.line(p[0])
			p = p[1:]
		}
	}
}

func (f *frames) begin(b byte) {
	f.kind, f.size, f.minus = b, 0, false
	if f.top == 0 {
		f.top = b
	}
	switch b {
	case '$', '=', '!', '*', '~', '>', '%', '|':
		f.state = inSize
	default:
		f.state = inLine
	}
}

func (f *frames) line(b byte) {
	switch {
	case b == '\n' && f.state == inLine:
		f.end()
	case b == '\n':
		f.sized()
	case f.state == inSize && b == '-':
		f.minus = true
	case f.state == inSize && b >= '0' && b <= '9':
		f.size = f.size*10 + int64(b-'0')
	}
}

// sized is reached when the length of a bulk string or an aggregate has been read.
func (f *frames) sized() {
	n := f.size
	if f.minus { // the RESP2 null has length -1 and nothing after it
		f.end()
		return
	}
	switch f.kind {
	case '$', '=', '!':
		f.size, f.state = n+2, inBulk
		return
	case '%':
		n *= 2
	case '|':
		// An attribute precedes the value that it describes. Inside an aggregate the two count as one element; outside
		// they are two frames, and the attribute's own is of a kind that nobody counts.
		n *= 2
		if len(f.open) > 0 {
			n++
		}
	}
	if n == 0 {
		f.end()
		return
	}
	f.open = append(f.open, n)
	f.state = atType
}

// end closes the value just read and every aggregate that it completes.
func (f *frames) end() {
	f.state = atType
	for last := len(f.open) - 1; last >= 0; last-- {
		f.open[last]--
		if f.open[last] > 0 {
			return
		}
		f.open = f.open[:last]
	}
	f.seen(f.top)
	f.top = 0
}
