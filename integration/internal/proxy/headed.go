package proxy

// headed finds the ends of messages that begin with a head of fixed size, which says
// how much comes after it.
type headed struct {
	head []byte
	left int // bytes after the head that are still to come
}

// feed is Framer.Feed for a head of some size. check looks at each byte of the head as it
// comes, and may refuse it; rest reads a head that is complete.
func (f *headed) feed(p []byte, size int, check func(head []byte) error, rest func(head []byte) int) (n int, end bool, err error) {
	for n < len(p) {
		if len(f.head) < size {
			f.head = append(f.head, p[n])
			n++
			if err := check(f.head); err != nil {
				return n, false, err
			}
			if len(f.head) < size {
				continue
			}
			f.left = rest(f.head)
		} else {
			k := min(f.left, len(p)-n)
			f.left -= k
			n += k
		}
		if f.left == 0 {
			f.head = f.head[:0]
			return n, true, nil
		}
	}
	return n, false, nil
}
